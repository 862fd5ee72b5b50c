// SPDX-License-Identifier: Apache-2.0
// FNV-1a, 64 bits: the same in every build and release, so it may be stored. Anybody can make two texts that have the same.
#pragma once
#include <cstdint>
#include <string_view>

namespace hoplock {

// `hash` is that of what went before.
constexpr std::uint64_t fnv1a(std::string_view octets, std::uint64_t hash = 0xcbf29ce484222325U) {
  for (const char c : octets) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

}  // namespace hoplock
