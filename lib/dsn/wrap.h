// SPDX-License-Identifier: Apache-2.0
// Text laid out in short lines: paragraphs for people, folded fields for machines.
#pragma once
#include <string>
#include <string_view>

namespace hoplock::dsn {

// Lines of at most 72 columns, each behind `indent`, with CRLF. A word that is longer has a line of its own, cut at 900 octets.
std::string paragraph(std::string_view text, std::string_view indent);
// "Name: value" folded at blanks, with CRLF. `value` must be printable ASCII; whatever is not becomes '?'.
std::string field(std::string_view name, std::string_view value);
// The same on one line, blanks as they are: for an address, whose quoted part may hold several.
std::string unfolded_field(std::string_view name, std::string_view value);
// ASCII as it is, else "\x{E4}" for each character beyond it (RFC 6533 section 3).
std::string to_utf8_addr_xtext(std::string_view address);

}  // namespace hoplock::dsn
