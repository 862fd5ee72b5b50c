// SPDX-License-Identifier: Apache-2.0
// A message's id: 48 bits of time in units of 8 µs since 2020, strictly growing, and its text, ten characters of
// Crockford's base 32, which sorts as the number does. The id is the row's key, so no index finds a message by it.
#pragma once
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace hoplock::store {

struct Id {
  std::int64_t value = 0;

  // "0D5K2M7QZ3": CONTRACT's [0-9A-Za-z]{8,32}.
  std::string text() const;
  // Exactly what text() writes, in either case.
  static std::optional<Id> parse(std::string_view text);
  // The smallest id of that time, for ranges.
  static Id at(Time time);
  // About when it was given out; an id can run ahead of the clock after a clock was set back.
  Time time() const;
  auto operator<=>(const Id&) const = default;
};

}  // namespace hoplock::store

template <>
struct std::hash<hoplock::store::Id> {
  std::size_t operator()(const hoplock::store::Id& id) const noexcept { return std::hash<std::int64_t>{}(id.value); }
};
