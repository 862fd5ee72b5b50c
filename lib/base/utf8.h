// SPDX-License-Identifier: Apache-2.0
// Well-formed UTF-8 (RFC 3629), and text of foreign origin made fit for one printable line.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace hoplock {

// Length of the well-formed sequence at the start of `text`; 0 when there is none. REQUIRES: text is not empty.
std::size_t utf8_length(std::string_view text);
bool is_utf8(std::string_view text);
bool is_ascii(std::string_view text);
// One line: runs of blanks and line ends become one space, other controls (C0, DEL, C1) and octets that are no UTF-8
// become
// "?"; at most `limit` octets, cut between characters.
std::string to_one_line(std::string_view text, std::size_t limit);

}  // namespace hoplock
