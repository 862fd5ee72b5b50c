// SPDX-License-Identifier: Apache-2.0
#include "smtp/data_decoder.h"

#include <cstring>

namespace hoplock::smtp {

namespace {
constexpr auto npos = std::string_view::npos;

std::size_t find(std::string_view octets, char wanted, std::size_t from, std::size_t to) {
  const void* at = from < to ? std::memchr(octets.data() + from, wanted, to - from) : nullptr;
  return at == nullptr ? npos : static_cast<std::size_t>(static_cast<const char*>(at) - octets.data());
}
}  // namespace

Content DataDecoder::content() const {
  if (lone_newlines_ > 0 && mode_ == BareNewline::reject) return Content::bare_newline;
  if (nul_) return Content::nul;
  return size_ > limit_ ? Content::too_large : Content::good;
}

void DataDecoder::put(std::string_view part, std::string& out) {
  size_ += part.size();
  if (!nul_ && find(part, '\0', 0, part.size()) != npos) nul_ = true;
  if (content() == Content::good) out += part;
}

void DataDecoder::lone_newline(std::string& out) {
  ++lone_newlines_;
  if (mode_ == BareNewline::normalize) put("\r\n", out);
}

std::size_t DataDecoder::feed(std::string_view octets, std::string& out) {
  std::size_t at = 0;
  while (at < octets.size() && state_ != State::finished) {
    const char c = octets[at];
    switch (state_) {
      case State::line_start:
        if (c == '.') {
          state_ = State::dot;
          ++at;
        } else {
          state_ = State::text;
        }
        break;
      case State::dot:  // the dot is gone, be it stuffing or the terminator's
        if (c == '\r') {
          state_ = State::dot_cr;
          ++at;
        } else {
          state_ = State::text;
        }
        break;
      case State::dot_cr:
        if (c == '\n') {
          state_ = State::finished;
          ++at;
        } else {
          state_ = State::text;
          lone_newline(out);
        }
        break;
      case State::cr:
        if (c == '\n') {
          state_ = State::line_start;
          put("\r\n", out);
          ++at;
        } else {
          state_ = State::text;
          lone_newline(out);
        }
        break;
      case State::text:
        at = feed_text(octets, at, out);
        break;
      case State::finished:
        break;
    }
  }
  return at;
}

// From the middle of a line on, over whole lines, as far as content runs without an octet to drop or to add. Returns
// where it stopped. Linear also for content that is made of lone CRs and LFs.
std::size_t DataDecoder::feed_text(std::string_view octets, std::size_t at, std::string& out) {
  std::size_t kept = at;  // content from here on is not yet put
  const auto put_to = [&](std::size_t end) {
    if (end > kept) put(octets.substr(kept, end - kept), out);
    kept = end;
  };
  while (at < octets.size()) {
    const std::size_t newline = find(octets, '\n', at, octets.size());
    const std::size_t end = newline == npos ? octets.size() : newline;
    std::size_t cr = find(octets, '\r', at, end);
    for (; cr != npos && cr + 1 < end; cr = find(octets, '\r', at, end)) {
      put_to(cr);
      lone_newline(out);
      at = kept = cr + 1;
    }
    if (newline == npos) {
      put_to(cr == npos ? end : cr);
      if (cr != npos) state_ = State::cr;
      return end;
    }
    at = newline + 1;
    if (cr == npos) {
      put_to(newline);
      lone_newline(out);
      kept = at;
    } else if (at == octets.size() || octets[at] == '.') {
      put_to(at);
      state_ = State::line_start;
      return at;
    }
  }
  put_to(at);
  return at;
}

}  // namespace hoplock::smtp
