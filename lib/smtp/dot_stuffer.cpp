// SPDX-License-Identifier: Apache-2.0
#include "smtp/dot_stuffer.h"

namespace hoplock::smtp {

void DotStuffer::feed(std::string_view content, std::string& out) {
  if (content.empty()) return;
  if (state_ == State::line_start && content.front() == '.') out += '.';
  const bool began_behind_cr = state_ == State::cr;
  state_ = content.back() == '\r' ? State::cr : State::text;
  std::size_t kept = 0;  // content from here on is not yet appended
  for (auto newline = content.find('\n'); newline != std::string_view::npos;
       newline = content.find('\n', newline + 1)) {
    if (newline > 0 ? content[newline - 1] != '\r' : !began_behind_cr) continue;
    const std::size_t next = newline + 1;
    if (next == content.size()) {
      state_ = State::line_start;
    } else if (content[next] == '.') {
      out += content.substr(kept, next - kept);
      out += '.';
      kept = next;
    }
  }
  out += content.substr(kept);
}

void DotStuffer::finish(std::string& out) {
  out += state_ == State::line_start ? ".\r\n" : state_ == State::cr ? "\n.\r\n" : "\r\n.\r\n";
  state_ = State::line_start;
}

}  // namespace hoplock::smtp
