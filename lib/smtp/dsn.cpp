// SPDX-License-Identifier: Apache-2.0
#include "smtp/dsn.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/ascii.h"
#include "smtp/xtext.h"

namespace hoplock::smtp {

namespace {

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 3> notify_words{
    {{"SUCCESS", notify_success}, {"FAILURE", notify_failure}, {"DELAY", notify_delay}}};

// RFC 5322's atom, as an address type is one.
bool is_atom(std::string_view text) {
  constexpr std::string_view others = "!#$%&'*-/?^_`{|}~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alpha(c) || is_digit(c) || others.find(c) != std::string_view::npos;
  });
}

}  // namespace

std::optional<std::uint8_t> parse_notify(std::string_view text) {
  if (equals_ignoring_case(text, "NEVER")) return notify_never;
  std::uint8_t all = 0;
  for (const std::string_view word : split(text, ',')) {
    const auto known = std::find_if(notify_words.begin(), notify_words.end(),
                                    [&](const auto& one) { return equals_ignoring_case(word, one.first); });
    if (known == notify_words.end()) return std::nullopt;
    all = static_cast<std::uint8_t>(all | known->second);
  }
  return all;
}

std::string notify_text(std::uint8_t notify) {
  if ((notify & notify_never) != 0) return "NEVER";
  std::string text;
  for (const auto& [word, bit] : notify_words) {
    if ((notify & bit) == 0) continue;
    if (!text.empty()) text += ',';
    text += word;
  }
  return text;
}

std::optional<Ret> parse_ret(std::string_view text) {
  if (equals_ignoring_case(text, "FULL")) return Ret::full;
  if (equals_ignoring_case(text, "HDRS")) return Ret::headers;
  return std::nullopt;
}

std::optional<std::string> decode_xtext(std::string_view text) {
  auto decoded = from_xtext(text);
  const auto is_printable = [](char c) { return c >= ' ' && c < 0x7f; };
  if (!decoded || !std::all_of(decoded->begin(), decoded->end(), is_printable)) return std::nullopt;
  return decoded;
}

bool is_envid(std::string_view text) {
  return !text.empty() && text.size() <= max_envid && decode_xtext(text).has_value();
}

std::optional<OriginalRecipient> parse_orcpt(std::string_view text) {
  if (text.size() > max_orcpt) return std::nullopt;
  const auto semicolon = text.find(';');
  if (semicolon == std::string_view::npos || !is_atom(text.substr(0, semicolon))) return std::nullopt;
  const std::string_view encoded = text.substr(semicolon + 1);
  auto address = decode_xtext(encoded);
  if (!address || encoded.empty()) return std::nullopt;
  OriginalRecipient found;
  found.type = text.substr(0, semicolon);
  found.address = std::move(*address);
  return found;
}

}  // namespace hoplock::smtp
