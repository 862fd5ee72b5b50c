// SPDX-License-Identifier: Apache-2.0
#include "smtp/line_buffer.h"

#include <algorithm>

namespace hoplock::smtp {

void LineBuffer::append(std::string_view octets) {
  if (begin_ != 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_ += octets;
}

LineBuffer::Event LineBuffer::next() {
  line_ = {};
  const auto newline = std::min(buffer_.find('\n', scanned_), buffer_.size());
  const auto cr = std::string_view(buffer_).substr(0, newline).find('\r', scanned_);
  const auto end = cr == std::string_view::npos ? newline : cr;  // the line ends here, or breaks
  if (end == buffer_.size() || (end == cr && end + 1 == buffer_.size())) {
    scanned_ = end;
    if (scanned_ - begin_ > max_line - 2) {  // no more of it than a CR has to be kept
      swallowing_ = true;
      begin_ = scanned_;
    }
    return Event::none;
  }
  if (end != cr || end + 1 != newline) return Event::bare_newline;
  const bool too_long = swallowing_ || end - begin_ > max_line - 2;
  if (!too_long) line_ = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = scanned_ = end + 2;
  swallowing_ = false;
  return too_long ? Event::too_long : Event::line;
}

void LineBuffer::consume(std::size_t count) { begin_ = scanned_ = begin_ + count; }

void LineBuffer::clear() {
  buffer_.clear();
  line_ = {};
  begin_ = scanned_ = 0;
  swallowing_ = false;
}

}  // namespace hoplock::smtp
