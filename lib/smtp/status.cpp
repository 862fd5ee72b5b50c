// SPDX-License-Identifier: Apache-2.0
#include "smtp/status.h"

#include "base/ascii.h"

namespace hoplock::smtp {

namespace {
// 1 to 3 digits (RFC 3463 section 2: no leading zeros, but some servers send them) off the front of `text`.
std::optional<std::uint16_t> take_number(std::string_view& text) {
  std::uint16_t value = 0;
  std::size_t length = 0;
  while (length < text.size() && is_digit(text[length]) && length < 3) {
    value = static_cast<std::uint16_t>(value * 10 + (text[length++] - '0'));
  }
  if (length == 0) return std::nullopt;
  text.remove_prefix(length);
  return value;
}
}  // namespace

std::optional<EnhancedStatus> EnhancedStatus::parse(std::string_view text) {
  if (text.size() < 5 || (text[0] != '2' && text[0] != '4' && text[0] != '5') || text[1] != '.') return std::nullopt;
  EnhancedStatus status;
  status.category = static_cast<std::uint16_t>(text[0] - '0');
  text.remove_prefix(2);
  const auto subject = take_number(text);
  if (!subject || text.empty() || text.front() != '.') return std::nullopt;
  text.remove_prefix(1);
  const auto detail = take_number(text);
  if (!detail || !text.empty()) return std::nullopt;
  status.subject = *subject;
  status.detail = *detail;
  return status;
}

std::string EnhancedStatus::text() const {
  std::string out = std::to_string(category);
  out += '.';
  out += std::to_string(subject);
  out += '.';
  out += std::to_string(detail);
  return out;
}

}  // namespace hoplock::smtp
