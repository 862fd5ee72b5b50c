// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace hoplock {

std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  const unsigned second = at(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
      (first == 0xf4 && second > 0x8f)) {
    return 0;
  }
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

namespace {
constexpr std::string_view replacement = "\xef\xbf\xbd";

// C0, DEL or C1.
bool is_control(std::string_view character) {
  const auto c = static_cast<unsigned char>(character[0]);
  return c < 0x20 || c == 0x7f ||
         (character.size() == 2 && c == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0);
}

bool is_noncharacter(std::string_view character) {
  if (character.size() == 3)
    return character.substr(0, 2) == "\xef\xbf"
               ? character[2] >= '\xbe'
               : character.substr(0, 2) == "\xef\xb7" && character[2] >= '\x90' && character[2] <= '\xaf';
  if (character.size() != 4) return false;
  return (static_cast<unsigned char>(character[1]) & 0x0fU) == 0x0f && character[2] == '\xbf' && character[3] >= '\xbe';
}

void append_quoted(std::string& out, std::string_view character) {
  const char c = character[0];
  if (c == '"' || c == '\\') {
    out += {'\\', c};
  } else if (!is_control(character)) {
    out += character;
  } else if (c == '\n' || c == '\r' || c == '\t') {
    out += {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
  } else {
    std::array<char, 8> escaped{};
    std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned char>(character.back()));
    out += escaped.data();
  }
}
}  // namespace

void append_sanitized(std::string& out, std::string_view text, Charset charset) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(character.size());
    if (charset == Charset::ascii) {
      const bool fits = character.size() == 1 && character[0] >= ' ' && character[0] < 0x7f;
      fits ? out += character : out.append(character.size(), '?');
    } else if (length == 0 || (charset == Charset::i_json && is_noncharacter(character))) {
      out += replacement;
    } else if (charset == Charset::quoted) {
      append_quoted(out, character);
    } else {
      out += character;
    }
  }
}

std::string sanitized(std::string_view text, Charset charset) {
  std::string out;
  out.reserve(text.size());
  append_sanitized(out, text, charset);
  return out;
}

std::string to_one_line(std::string_view text, std::size_t limit) {
  std::string out;
  out.reserve(std::min(text.size(), limit));
  bool blank = false;  // one is due before the next character
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    std::string_view piece = text.substr(0, length);
    text.remove_prefix(length);
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      blank = !out.empty();
      continue;
    }
    if (is_control(piece) || (c >= 0x80 && length == 1)) piece = "?";
    if (out.size() + piece.size() + (blank ? 1 : 0) > limit) break;
    if (blank) out += ' ';
    blank = false;
    out += piece;
  }
  return out;
}

}  // namespace hoplock
