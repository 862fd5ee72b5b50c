// SPDX-License-Identifier: Apache-2.0
#include "dsn/wrap.h"

#include <algorithm>

#include "base/utf8.h"

namespace hoplock::dsn {

namespace {

constexpr std::size_t columns = 72;
constexpr std::size_t longest_word = 900;  // RFC 5322 section 2.1.1: no line above 998

void append_words(std::string& out, std::string_view text, std::string_view indent, std::size_t column) {
  bool first = true;
  while (!text.empty()) {
    const auto begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, std::min(text.find(' '), longest_word));
    text.remove_prefix(word.size());
    if (!first && column + 1 + word.size() > columns) {
      out += "\r\n";
      out += indent;
      column = indent.size();
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
}

char32_t decode(std::string_view sequence) {
  const auto lead = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return lead;
  char32_t value = lead & (0xffU >> (sequence.size() + 1));
  for (const char c : sequence.substr(1)) value = value << 6U | (static_cast<unsigned char>(c) & 0x3fU);
  return value;
}

std::string hex(char32_t value) {
  std::string out;
  do {
    out.insert(out.begin(), "0123456789ABCDEF"[value & 15U]);
    value >>= 4U;
  } while (value != 0);
  return out.size() < 2 ? "0" + out : out;
}

}  // namespace

std::string paragraph(std::string_view text, std::string_view indent) {
  std::string out(indent);
  append_words(out, text, indent, indent.size());
  return out + "\r\n";
}

std::string field(std::string_view name, std::string_view value) {
  std::string out(name);
  out += ": ";
  append_words(out, sanitized(value, Charset::ascii), " ", out.size());
  return out + "\r\n";
}

std::string unfolded_field(std::string_view name, std::string_view value) {
  return std::string(name) + ": " + sanitized(value, Charset::ascii) + "\r\n";
}

std::string to_utf8_addr_xtext(std::string_view address) {
  std::string out;
  while (!address.empty()) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(address));
    const std::string_view sequence = address.substr(0, length);
    const bool plain = length == 1 && sequence[0] > ' ' && sequence[0] < 0x7f && sequence[0] != '\\' &&
                       sequence[0] != '+' && sequence[0] != '=';
    if (plain) {
      out += sequence;
    } else {
      out += "\\x{" + hex(decode(sequence)) + "}";
    }
    address.remove_prefix(length);
  }
  return out;
}

}  // namespace hoplock::dsn
