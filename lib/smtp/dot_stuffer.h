// SPDX-License-Identifier: Apache-2.0
// The inverse of DataDecoder, for sending by DATA (RFC 5321 section 4.5.2): doubles a dot at the start of a line and
// ends the content.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace hoplock::smtp {

class DotStuffer {
 public:
  // Appends the stuffed form of `content` (any split) to `out`.
  void feed(std::string_view content, std::string& out);
  // Appends what ends the data: a CRLF where the content lacks it, then ". CRLF". Send it in the same write as the last
  // content.
  void finish(std::string& out);

 private:
  enum class State : std::uint8_t { line_start, text, cr };
  State state_ = State::line_start;
};

}  // namespace hoplock::smtp
