// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/bounce.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::tlsrpt {

namespace {

constexpr std::size_t most_of_field = 4096;  // folded lines included
constexpr std::size_t most_of_why = 500;

struct Heard {
  bool notice = false;  // the part of RFC 3464 has begun
  bool failed = false;
  std::string message_id;
  std::string report_id;
  std::string diagnostic;
  std::string status;
};

std::string between_brackets(std::string_view text) {
  const auto begin = text.find('<');
  const auto end = begin == std::string_view::npos ? begin : text.find('>', begin);
  if (end == std::string_view::npos) return {};
  return std::string(text.substr(begin + 1, end - begin - 1));
}

// "smtp; 550 5.7.1 no": the words behind the kind.
std::string_view behind_kind(std::string_view value) {
  const auto semicolon = value.find(';');
  return trim(semicolon == std::string_view::npos ? value : value.substr(semicolon + 1));
}

// RFC 8460 section 5.3: the subject ends with the id.
std::string report_id_in(std::string_view subject) {
  constexpr std::string_view word = "report-id:";
  const auto at = to_lower(subject).rfind(word);
  return at == std::string::npos ? std::string() : between_brackets(subject.substr(at + word.size()));
}

// Fields of the notice's header, of its parts and of what came back, in that order: where a name stands twice, the last one is the report's.
void take(Heard& heard, std::string_view field) {
  const auto colon = field.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = to_lower(trim(field.substr(0, colon)));
  const std::string_view value = trim(field.substr(colon + 1));
  if (name == "content-type") {
    const std::string type = to_lower(value);
    heard.notice |= type.starts_with("message/delivery-status") || type.starts_with("message/global-delivery-status");
  } else if (name == "action") {
    heard.failed |= heard.notice && equals_ignoring_case(value, "failed");
  } else if (name == "diagnostic-code") {
    if (heard.notice && heard.diagnostic.empty()) heard.diagnostic = behind_kind(value);
  } else if (name == "status") {
    if (heard.notice && heard.status.empty()) heard.status = value;
  } else if (name == "message-id") {
    if (heard.notice) heard.message_id = between_brackets(value);
  } else if (name == "subject") {
    if (auto id = report_id_in(value); heard.notice && !id.empty()) heard.report_id = std::move(id);
  }
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, most_of_why));
  std::replace(out.begin(), out.end(), '\t', ' ');
  return sanitized(out, Charset::ascii);
}

}  // namespace

std::optional<Bounce> parse_bounce(std::string_view content) {
  Heard heard;
  std::string field;
  for (const auto whole : split(content.substr(0, most_of_bounce), '\n')) {
    const auto line = whole.ends_with('\r') ? whole.substr(0, whole.size() - 1) : whole;
    const bool goes_on = line.starts_with(' ') || line.starts_with('\t');
    if (!goes_on) {
      take(heard, field);
      field.clear();
    }
    if (field.size() < most_of_field) field += line.substr(0, most_of_field);
  }
  take(heard, field);
  if (!heard.failed || heard.message_id.empty() || heard.report_id.empty()) return std::nullopt;
  Bounce bounce;
  bounce.message_id = std::move(heard.message_id);
  bounce.report_id = std::move(heard.report_id);
  bounce.why = printable(heard.diagnostic.empty() ? heard.status : heard.diagnostic);
  if (bounce.why.empty()) bounce.why = "it came back";
  return bounce;
}

}  // namespace hoplock::tlsrpt
