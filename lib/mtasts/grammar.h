// SPDX-License-Identifier: Apache-2.0
// What the record and the policy have in common: RFC 8461 sections 3.1 and 3.2. For this module's own sources.
#pragma once
#include <algorithm>
#include <cstddef>
#include <string_view>

#include "base/ascii.h"

namespace hoplock::mtasts {

inline constexpr std::size_t shown = 80;  // octets of foreign text that a sentence quotes

// sts-ext-name: up to 32 octets.
inline bool is_key(std::string_view key) {
  return !key.empty() && key.size() <= 32 && is_alnum(key.front()) &&
         std::all_of(key.begin(), key.end(), [](char c) { return is_alnum(c) || c == '_' || c == '-' || c == '.'; });
}

}  // namespace hoplock::mtasts
