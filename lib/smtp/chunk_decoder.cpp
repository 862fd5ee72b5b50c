// SPDX-License-Identifier: Apache-2.0
#include "smtp/chunk_decoder.h"

#include <algorithm>
#include <utility>

namespace hoplock::smtp {

Content ChunkDecoder::content() const {
  if (lone_newlines_ > 0 && mode_ == BareNewline::reject) return Content::bare_newline;
  if (nul_) return Content::nul;
  return size_ > limit_ ? Content::too_large : Content::good;
}

void ChunkDecoder::put(std::string_view part, std::string& out) {
  if (part.empty()) return;
  size_ += part.size();
  if (!nul_ && part.find('\0') != std::string_view::npos) nul_ = true;
  if (content() == Content::good) out += part;
}

void ChunkDecoder::lone_newline(std::string& out) {
  ++lone_newlines_;
  if (mode_ == BareNewline::normalize) put("\r\n", out);
}

void ChunkDecoder::feed(std::string_view octets, std::string& out) {
  if (octets.empty()) return;
  if (mode_ == BareNewline::keep) {
    size_ += octets.size();
    if (content() == Content::good) out += octets;
    return;
  }
  std::size_t kept = 0;  // content from here on is not yet put
  if (std::exchange(cr_, false)) {
    if (octets.front() == '\n') {
      put("\r\n", out);
      kept = 1;
    } else {
      lone_newline(out);
    }
  }
  for (std::size_t at = kept; at < octets.size();) {
    const std::size_t newline = std::min(octets.find('\n', at), octets.size());
    const std::size_t cr = octets.substr(0, newline).find('\r', at);
    if (cr != std::string_view::npos && cr + 1 == newline && newline < octets.size()) {
      at = newline + 1;  // CRLF
      continue;
    }
    const std::size_t lone = cr == std::string_view::npos ? newline : cr;
    put(octets.substr(kept, lone - kept), out);
    kept = at = lone + 1;
    if (lone == octets.size()) return;
    if (octets[lone] == '\r' && at == octets.size()) {
      cr_ = true;
      return;
    }
    lone_newline(out);
  }
  if (kept < octets.size()) put(octets.substr(kept), out);
}

void ChunkDecoder::finish(std::string& out) {
  if (std::exchange(cr_, false)) lone_newline(out);
}

}  // namespace hoplock::smtp
