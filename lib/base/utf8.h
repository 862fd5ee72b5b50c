// SPDX-License-Identifier: Apache-2.0
// Well-formed UTF-8 (RFC 3629), and text of foreign origin made fit for one printable line.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hoplock {

// Length of the well-formed sequence at the start of `text`; 0 when there is none. REQUIRES: text is not empty.
std::size_t utf8_length(std::string_view text);
bool is_utf8(std::string_view text);
bool is_ascii(std::string_view text);

// What a text of foreign origin may hold, and what stands in place of the rest.
enum class Charset : std::uint8_t {
  utf8,    // octets that are not UTF-8 become U+FFFD
  i_json,  // so do noncharacters (RFC 7493 section 2.1)
  quoted,  // as utf8, for between the quotes of a JSON string: '"', '\' and controls (C0, DEL, C1) become escapes
  ascii,   // each octet that is not printable ASCII becomes "?"
};
void append_sanitized(std::string& out, std::string_view text, Charset charset);
std::string sanitized(std::string_view text, Charset charset);
// One line: runs of blanks and line ends become one space, other controls (C0, DEL, C1) and octets that are no UTF-8 become "?"; at most
// `limit` octets, cut between characters.
std::string to_one_line(std::string_view text, std::size_t limit);

}  // namespace hoplock
