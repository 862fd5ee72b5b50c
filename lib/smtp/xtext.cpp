// SPDX-License-Identifier: Apache-2.0
#include "smtp/xtext.h"

namespace hoplock::smtp {

namespace {

constexpr std::string_view digits = "0123456789ABCDEF";

bool stands_as_it_is(char c) { return c > ' ' && c < 0x7f && c != '+' && c != '='; }

}  // namespace

std::optional<std::string> from_xtext(std::string_view text) {
  std::string octets;
  octets.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (stands_as_it_is(text[i])) {
      octets += text[i];
      continue;
    }
    if (text[i] != '+' || i + 2 >= text.size()) return std::nullopt;
    const auto high = digits.find(text[i + 1]), low = digits.find(text[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    octets += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return octets;
}

}  // namespace hoplock::smtp
