// SPDX-License-Identifier: Apache-2.0
#include "smtp/reply.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::smtp {

Reply::Reply(int reply_code, std::optional<EnhancedStatus> enhanced, std::string reply_text)
    : code(reply_code), status(enhanced), text(std::move(reply_text)) {}

EnhancedStatus Reply::status_or_default() const {
  if (status) return *status;
  return {static_cast<std::uint16_t>(is_positive() || is_intermediate() ? 2 : is_permanent() ? 5 : 4), 0, 0};
}

std::string Reply::to_wire() const {
  const std::string number = std::to_string(code);
  const std::string enhanced = status ? status->text() + " " : "";
  std::string out;
  out.reserve(text.size() + enhanced.size() + 16);
  std::string_view rest = text;
  for (;;) {
    const auto newline = rest.find('\n');
    const bool last = newline == std::string_view::npos;
    out += number;
    out += last ? ' ' : '-';
    out += enhanced;
    out += rest.substr(0, newline);
    out += "\r\n";
    if (last) return out;
    rest.remove_prefix(newline + 1);
  }
}

std::string Reply::one_line(std::size_t limit) const {
  std::string whole = std::to_string(code);
  if (status) whole += " " + status->text();
  whole += ' ';
  whole += text;
  return to_one_line(whole, limit);
}

void ReplyParser::feed(std::string_view octets) {
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = scanned_ = 0;
  } else if (begin_ > max_line) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_ += octets;
}

Result<std::optional<Reply>> ReplyParser::next() {
  while (broken_.empty()) {
    const auto newline = buffer_.find('\n', scanned_);
    if (newline == std::string::npos) {
      scanned_ = buffer_.size();
      if (buffer_.size() - begin_ > max_total)
        broken_ = "a reply line of more than " + std::to_string(max_total) + " octets";
      if (broken_.empty()) return std::optional<Reply>{};
      break;
    }
    const std::string_view raw = std::string_view(buffer_).substr(begin_, newline - begin_);
    total_ += raw.size() + 1;
    begin_ = scanned_ = newline + 1;
    auto last = take_line(raw.ends_with('\r') ? raw.substr(0, raw.size() - 1) : raw);
    if (!last) {
      broken_ = last.error().detail;
    } else if (*last) {
      std::optional<Reply> whole(std::move(reply_));
      reply_ = Reply{};
      total_ = lines_ = 0;
      return whole;
    }
  }
  return fail(errc::bad_message, broken_);
}

// True: the last line of the reply.
Result<bool> ReplyParser::take_line(std::string_view line) {
  const bool code_given =
      line.size() >= 3 && line[0] >= '2' && line[0] <= '5' && is_digit(line[1]) && is_digit(line[2]);
  if (!code_given || (line.size() > 3 && line[3] != ' ' && line[3] != '-')) {
    return bad_input("no SMTP reply: '" + to_one_line(line, 120) + "'");
  }
  if (++lines_ > max_lines) return bad_input("a reply of more than " + std::to_string(max_lines) + " lines");
  if (total_ > max_total) return bad_input("a reply of more than " + std::to_string(max_total) + " octets");
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (lines_ > 1 && code != reply_.code) {
    return bad_input("a reply whose lines differ in code: " + std::to_string(reply_.code) + " and " +
                     std::to_string(code));
  }
  reply_.code = code;
  const bool last = line.size() <= 3 || line[3] == ' ';
  std::string_view text = line.substr(std::min<std::size_t>(line.size(), 4));
  text = text.substr(0, max_line);
  // RFC 2034 section 4: the enhanced code stands on every line; one of another class is text.
  const auto blank = std::min(text.find(' '), text.size());
  const auto status = EnhancedStatus::parse(text.substr(0, blank));
  if (status && status->category == line[0] - '0' && (lines_ == 1 || status == reply_.status)) {
    reply_.status = status;
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  if (lines_ > 1) reply_.text += '\n';
  reply_.text += text;
  return last;
}

}  // namespace hoplock::smtp
