// SPDX-License-Identifier: Apache-2.0
#include "message/transfer_encoding.h"

#include <utility>

#include "base/ascii.h"

namespace hoplock::message {

namespace {
constexpr std::size_t longest_encoded_line = 76;
constexpr std::string_view digits = "0123456789ABCDEF";
}  // namespace

void QuotedPrintable::feed(std::string_view octets, std::string& out) {
  for (const char c : octets) take(c, out);
}

void QuotedPrintable::take(char c, std::string& out) {
  const char held = std::exchange(held_, '\0');
  if (held == '\r') {
    if (c == '\n') {
      out += "\r\n";
      column_ = 0;
      return;
    }
    escape('\r', out);
  } else if (held != '\0') {
    c == '\r' ? escape(held, out) : put(held, out);  // no blank may end a line
  }
  if (c == ' ' || c == '\t' || c == '\r') {
    held_ = c;
  } else if (c > ' ' && c < 0x7f && c != '=') {
    put(c, out);
  } else {
    escape(c, out);
  }
}

void QuotedPrintable::finish(std::string& out) {
  if (const char held = std::exchange(held_, '\0'); held != '\0') escape(held, out);
  column_ = 0;
}

void QuotedPrintable::soft_break(std::size_t needed, std::string& out) {
  if (column_ + needed < longest_encoded_line) return;
  out += "=\r\n";
  column_ = 0;
}

void QuotedPrintable::put(char c, std::string& out) {
  soft_break(1, out);
  out += c;
  ++column_;
}

void QuotedPrintable::escape(char c, std::string& out) {
  soft_break(3, out);
  const auto octet = static_cast<unsigned char>(c);
  out += '=';
  out += digits[octet >> 4U];
  out += digits[octet & 15U];
  column_ += 3;
}

std::string quoted_printable(std::string_view text) {
  std::string out;
  QuotedPrintable encoder;
  encoder.feed(text, out);
  encoder.finish(out);
  return out;
}

void Base64::feed(std::string_view octets, std::string& out) {
  held_ += octets;
  std::size_t at = 0;
  for (; held_.size() - at >= line_octets; at += line_octets) {
    out += to_base64(std::string_view(held_).substr(at, line_octets));
    out += "\r\n";
  }
  held_.erase(0, at);
}

void Base64::finish(std::string& out) {
  if (held_.empty()) return;
  out += to_base64(held_);
  out += "\r\n";
  held_.clear();
}

}  // namespace hoplock::message
