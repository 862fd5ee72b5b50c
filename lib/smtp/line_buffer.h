// SPDX-License-Identifier: Apache-2.0
// Cuts a client's octets into command lines (RFC 5321 section 2.3.8): a line ends at CR LF and nowhere else. A lone CR
// or LF is an attack or a broken client and ends the session (SUB-05); a line that is too long is swallowed to its end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hoplock::smtp {

class LineBuffer {
 public:
  // Octets of a line with its CRLF. RFC 5321 asks for 512, and more with each extension's parameters.
  static constexpr std::size_t max_line = 2048;

  enum class Event : std::uint8_t {
    none,          // needs more octets
    line,          // a command: line()
    too_long,      // one command of more than max_line octets went by
    bare_newline,  // answer and close; the buffer is of no more use
  };

  void append(std::string_view octets);
  // The next event. After `line`, line() is valid until the next call of any other member.
  Event next();
  std::string_view line() const { return line_; }
  // Octets behind the last line: message content after DATA, an attack after STARTTLS.
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  // Takes the first `count` octets of rest() away, which a DataDecoder has used.
  void consume(std::size_t count);
  void clear();

 private:
  std::string buffer_;
  std::string_view line_;
  std::size_t begin_ = 0;
  std::size_t scanned_ = 0;  // up to here no CR LF and no lone CR or LF
  bool swallowing_ = false;
};

}  // namespace hoplock::smtp
