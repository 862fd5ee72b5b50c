// SPDX-License-Identifier: Apache-2.0
// Enhanced mail system status codes (RFC 3463, RFC 2034).
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hoplock::smtp {

struct EnhancedStatus {
  std::uint16_t category = 0;  // RFC 3463's class: 2, 4 or 5
  std::uint16_t subject = 0;
  std::uint16_t detail = 0;

  // "5.7.1", and nothing around it.
  static std::optional<EnhancedStatus> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const EnhancedStatus&) const = default;
};

}  // namespace hoplock::smtp
