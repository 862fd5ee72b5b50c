// SPDX-License-Identifier: Apache-2.0
// The two content transfer encodings that carry anything over 7-bit lines (RFC 2045 section 6.7, 6.8), as streams.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace hoplock::message {

// Lines of at most 76 characters. CRLF in the content is a line end, every other CR and LF is encoded.
class QuotedPrintable {
 public:
  void feed(std::string_view octets, std::string& out);
  void finish(std::string& out);

 private:
  void take(char c, std::string& out);
  void put(char c, std::string& out);
  void escape(char c, std::string& out);
  void soft_break(std::size_t needed, std::string& out);

  std::size_t column_ = 0;
  char held_ = '\0';  // a blank or CR whose meaning what follows decides; NUL: none
};

std::string quoted_printable(std::string_view text);

// Lines of 76 characters, each ended by CRLF.
class Base64 {
 public:
  void feed(std::string_view octets, std::string& out);
  void finish(std::string& out);

 private:
  static constexpr std::size_t line_octets = 57;
  std::string held_;
};

}  // namespace hoplock::message
