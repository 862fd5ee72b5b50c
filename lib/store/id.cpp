// SPDX-License-Identifier: Apache-2.0
#include "store/id.h"

#include <algorithm>
#include <array>

#include "store/id_prefix.h"

namespace hoplock::store {
namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t length = 10;
constexpr std::int64_t unit_us = 8;
constexpr std::int64_t epoch_ms = 1'577'836'800'000;  // 2020-01-01
constexpr std::int64_t largest = (std::int64_t{1} << 48) - 1;

int digit_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  const auto at = alphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string Id::text() const {
  std::string out(length, '0');
  auto rest = static_cast<std::uint64_t>(value);
  for (std::size_t i = length; i-- > 0; rest >>= 5) out[i] = alphabet[rest & 31];
  return out;
}

std::optional<Id> Id::parse(std::string_view text) {
  if (text.size() != length) return {};
  std::int64_t value = 0;
  for (const char c : text) {
    const int digit = digit_of(c);
    if (digit < 0) return {};
    value = (value << 5) | digit;
  }
  if (value > largest) return {};
  return Id{value};
}

std::optional<std::pair<Id, Id>> ids_beginning_with(std::string_view prefix) {
  if (prefix.empty() || prefix.size() > length) return {};
  const std::string rest(length - prefix.size(), ' ');
  const auto first = Id::parse(std::string(prefix) + std::string(rest.size(), alphabet.front()));
  if (!first) return {};
  const std::int64_t span = (std::int64_t{1} << (5 * rest.size())) - 1;
  return std::pair(*first, Id{std::min(first->value + span, largest)});
}

Id Id::at(Time time) {
  const auto ms = std::clamp<std::int64_t>(to_millis(time) - epoch_ms, 0, largest / (1000 / unit_us));
  return Id{ms * (1000 / unit_us)};
}

Time Id::time() const { return from_millis(epoch_ms + value / (1000 / unit_us)); }

}  // namespace hoplock::store
