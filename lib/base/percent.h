// SPDX-License-Identifier: Apache-2.0
// Percent-encoding of URLs (RFC 3986 section 2.1).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace hoplock {

// Nothing where a percent sign stands without its two hexadecimal digits. "+" is a plus.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace hoplock
