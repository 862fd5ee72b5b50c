// SPDX-License-Identifier: Apache-2.0
#include "dkim/canonical.h"

#include <algorithm>

#include "base/ascii.h"

namespace hoplock::dkim {

namespace {
constexpr std::size_t most_buffered = 8192;
constexpr bool is_plain(char c) { return !is_blank(c) && c != '\r'; }
}  // namespace

std::string relaxed_field(std::string_view field) {
  const std::size_t colon = field.find(':');
  std::string_view name = field.substr(0, colon);
  while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
  std::string out = to_lower(name) + ":";
  std::string_view value = field.substr(colon + 1);
  bool blank = false;
  bool begun = false;
  while (!value.empty()) {
    if (value.starts_with(crlf)) {  // a fold, or the end
      value.remove_prefix(crlf.size());
      continue;
    }
    const char c = value.front();
    value.remove_prefix(1);
    if (is_blank(c)) {
      blank = true;
      continue;
    }
    if (blank && begun) out += ' ';
    blank = false;
    begun = true;
    out += c;
  }
  return out + "\r\n";
}

void BodyHash::feed(std::string_view octets) {
  while (!octets.empty()) {
    if (waiting_cr_) {
      waiting_cr_ = false;
      if (octets.front() == '\n') {
        end_line();
        octets.remove_prefix(1);
        continue;
      }
      take("\r");
    }
    const char c = octets.front();
    if (is_plain(c)) {
      const auto* end = std::find_if_not(octets.begin(), octets.end(), is_plain);
      const auto length = static_cast<std::size_t>(end - octets.begin());
      take(octets.substr(0, length));
      octets.remove_prefix(length);
      continue;
    }
    (is_blank(c) ? waiting_blank_ : waiting_cr_) = true;
    octets.remove_prefix(1);
  }
}

void BodyHash::take(std::string_view text) {
  for (; waiting_lines_ > 0; --waiting_lines_) put(crlf);
  if (waiting_blank_) put(" ");
  waiting_blank_ = false;
  begun_ = true;
  put(text);
}

void BodyHash::end_line() {
  waiting_blank_ = false;
  ++waiting_lines_;
}

void BodyHash::put(std::string_view octets) {
  if (buffer_.size() + octets.size() > most_buffered) flush();
  if (octets.size() > most_buffered) {
    hash_.update(octets);
  } else {
    buffer_ += octets;
  }
}

void BodyHash::flush() {
  hash_.update(buffer_);
  buffer_.clear();
}

std::string BodyHash::finish() {
  if (waiting_cr_) take("\r");
  waiting_cr_ = false;
  if (begun_)
    put(crlf);  // one line end, whether the last line had none or empty ones followed it; none for an empty body
  flush();
  return hash_.finish();
}

}  // namespace hoplock::dkim
