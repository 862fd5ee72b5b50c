// SPDX-License-Identifier: Apache-2.0
// ASCII case rules, as SMTP and DNS want them: no locale, octets above 127 untouched.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hoplock {

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_alnum(char c) { return is_digit(c) || is_alpha(c); }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
// Without blanks (space, tab, CR, LF) at both ends.
std::string_view trim(std::string_view text);
// "a,b,,c" by ',' gives a, b, "", c; the empty text gives one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);
// All of `text` must be decimal digits and fit; no sign, no blanks.
std::optional<std::uint64_t> parse_decimal(std::string_view text);
// Lower-case hexadecimal, two digits an octet.
std::string to_hex(std::string_view octets);
std::optional<std::string> from_hex(std::string_view text);
// RFC 4648 section 4, with padding, on one line.
std::string to_base64(std::string_view octets);
// The same in lines of at most 76 characters, each with its CRLF, as mail has them (RFC 2045 section 6.8).
std::string to_base64_lines(std::string_view octets);
std::optional<std::string> from_base64(std::string_view text);

}  // namespace hoplock
