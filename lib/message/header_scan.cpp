// SPDX-License-Identifier: Apache-2.0
#include "message/header_scan.h"

#include <algorithm>
#include <cstring>

#include "base/ascii.h"

namespace hoplock::message {

namespace {

bool has_eight_bit(std::string_view octets) {
  constexpr std::uint64_t high = 0x8080808080808080U;
  std::size_t i = 0;
  for (; i + 32 <= octets.size(); i += 32) {
    std::uint64_t words[4];
    std::memcpy(words, octets.data() + i, sizeof words);
    if (((words[0] | words[1] | words[2] | words[3]) & high) != 0) return true;
  }
  for (; i < octets.size(); ++i) {
    if (static_cast<unsigned char>(octets[i]) >= 0x80) return true;
  }
  return false;
}

// RFC 5322 section 3.6.8: printable, no colon. A blank may stand before the colon (section 4.5.8).
bool is_name_octet(char c) { return c > ' ' && c < 0x7f && c != ':'; }

// Behind a comment or quoted string that `text` begins with.
std::string_view behind_nested(std::string_view text) {
  const bool quoted = text.front() == '"';
  std::size_t depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      ++i;
    } else if (quoted ? c == '"' && i > 0 : c == ')' && --depth == 0) {
      return text.substr(i + 1);
    } else if (!quoted && c == '(') {
      ++depth;
    }
  }
  return {};
}

// Whether the `by` clause of a Received value names `host` (RFC 5321 section 4.4), comments left out.
bool is_by(std::string_view value, std::string_view host) {
  bool after_by = false;
  while (!value.empty() && value.front() != ';') {
    if (is_blank(value.front())) {
      value.remove_prefix(1);
    } else if (value.front() == '(' || value.front() == '"') {
      value = behind_nested(value);
    } else {
      const std::size_t length = std::min(value.find_first_of(" \t(;\""), value.size());
      std::string_view word = value.substr(0, length);
      value.remove_prefix(length);
      if (word.size() > 1 && word.back() == '.') word.remove_suffix(1);
      if (after_by && equals_ignoring_case(word, host)) return true;
      after_by = equals_ignoring_case(word, "by");
    }
  }
  return false;
}

}  // namespace

bool says_tls_not_required(const HeaderFacts& facts) {
  return facts.tls_required == 1 && equals_ignoring_case(facts.tls_required_value, "no");
}

HeaderScan::HeaderScan(std::string hostname) : hostname_(std::move(hostname)) {}

void HeaderScan::feed(std::string_view octets) {
  if (!facts_.eight_bit) facts_.eight_bit = has_eight_bit(octets);
  while (!octets.empty() && state_ != State::body) {
    const std::size_t used = state_ == State::line_start ? feed_line_start(octets)
                             : state_ == State::name     ? feed_name(octets)
                                                         : feed_value(octets);
    if (!facts_.eight_bit_header) facts_.eight_bit_header = has_eight_bit(octets.substr(0, used));
    octets.remove_prefix(used);
  }
}

void HeaderScan::finish() {
  if (state_ != State::body) begin_body();
}

// Uses no octet but to begin the body.
std::size_t HeaderScan::feed_line_start(std::string_view octets) {
  const char c = octets.front();
  if (is_blank(c) && in_field_) {
    state_ = State::value;  // a continuation line; its blank is kept
    return 0;
  }
  if (!is_name_octet(c)) {
    begin_body();
    return 0;
  }
  end_field();
  name_.clear();
  state_ = State::name;
  return 0;
}

std::size_t HeaderScan::feed_name(std::string_view octets) {
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const char c = octets[i];
    if (c == ':') {
      end_name();
      return i + 1;
    }
    const bool blank_before = !name_.empty() && is_blank(name_.back());
    if (is_blank(c) ? name_.empty() : !is_name_octet(c) || blank_before) {
      begin_body();
      return i;
    }
    if (name_.size() <= max_name) {
      name_ += c;
    } else {
      name_.back() = c;  // too long to be one of ours; the last octet tells whether a blank stands before the colon
    }
  }
  return octets.size();
}

std::size_t HeaderScan::feed_value(std::string_view octets) {
  const std::size_t newline = octets.find('\n');
  const std::string_view line = octets.substr(0, newline);
  if (keep_ != Keep::nothing) keep(line);
  if (newline == std::string_view::npos) return octets.size();
  state_ = State::line_start;
  return newline + 1;
}

void HeaderScan::keep(std::string_view part) {
  while (!part.empty() && value_.size() < max_value) {
    const std::string_view piece = part.substr(0, part.find('\r'));
    value_ += piece.substr(0, max_value - value_.size());
    part.remove_prefix(std::min(piece.size() + 1, part.size()));
  }
}

void HeaderScan::end_name() {
  if (is_blank(name_.back())) name_.pop_back();
  ++facts_.fields;
  in_field_ = true;
  state_ = State::value;
  value_.clear();
  keep_ = equals_ignoring_case(name_, "received")       ? Keep::received
          : equals_ignoring_case(name_, "message-id")   ? Keep::message_id
          : equals_ignoring_case(name_, "from")         ? Keep::from
          : equals_ignoring_case(name_, "tls-required") ? Keep::tls_required
                                                        : Keep::nothing;
}

void HeaderScan::end_field() {
  if (!in_field_) return;
  in_field_ = false;
  switch (keep_) {
    case Keep::nothing:
      break;
    case Keep::received:
      ++facts_.received;
      if (is_by(value_, hostname_)) ++facts_.received_by_us;
      break;
    case Keep::message_id:
      if (facts_.message_id.empty()) facts_.message_id = trim(value_);
      break;
    case Keep::from:
      if (facts_.from_fields++ == 0) facts_.from = trim(value_);
      break;
    case Keep::tls_required:
      // one that was cut may go on behind its blanks
      if (facts_.tls_required++ == 0) facts_.tls_required_value = value_.size() < max_value ? trim(value_) : value_;
      break;
  }
}

void HeaderScan::begin_body() {
  end_field();
  state_ = State::body;
}

}  // namespace hoplock::message
