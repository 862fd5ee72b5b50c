// SPDX-License-Identifier: Apache-2.0
// xtext (RFC 3461 section 4): any octets inside a parameter's value, where '+', '=' and what is not printable ASCII
// stand as "+HH".
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace hoplock::smtp {

// nullopt: not xtext. Upper-case hexadecimal digits only, as the RFC has it.
std::optional<std::string> from_xtext(std::string_view text);

}  // namespace hoplock::smtp
