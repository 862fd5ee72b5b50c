// SPDX-License-Identifier: Apache-2.0
// For its own sources: integers as PostgreSQL's binary format has them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace hoplock::postgres {

template <class T>
void append_big_endian(std::string& out, T value) {
  using Unsigned = std::make_unsigned_t<T>;
  for (int shift = static_cast<int>(sizeof(T) - 1) * 8; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<Unsigned>(value) >> shift & 0xff);
}

// As many octets as there are, with their sign.
inline std::int64_t read_big_endian(std::string_view octets) {
  std::uint64_t value = !octets.empty() && (octets.front() & 0x80) ? ~std::uint64_t{0} : 0;
  for (const char c : octets) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(value);
}

}  // namespace hoplock::postgres
