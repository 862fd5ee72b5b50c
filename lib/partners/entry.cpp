// SPDX-License-Identifier: Apache-2.0
#include "partners/entry.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace hoplock::partners {

namespace {

std::string without_blanks(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });
  return text;
}

// Mail goes to such a name: neither an address (of a host or of a person) nor what only stands in the DNS.
bool is_mail_domain(const dns::Name& name) {
  const std::string& text = name.text();
  const std::string_view last = std::string_view(text).substr(text.rfind('.') + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return std::all_of(
             text.begin(), text.end(),
             [&](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.'; }) &&
         !std::all_of(last.begin(), last.end(), is_digit);
}

}  // namespace

std::string_view word_of(const Entry& entry) {
  if (entry.rule == Rule::dane) return "dane";
  if (entry.rule == Rule::mta_sts) return "mta-sts";
  switch (entry.level) {
    case hop::Mandate::encrypt:
      return "encrypt";
    case hop::Mandate::verify:
      return "verify";
    case hop::Mandate::dane_audit:
    case hop::Mandate::dane:
      return "dane";
    case hop::Mandate::none:
      break;
  }
  return "none";
}

std::string_view kind_of(const Entry& entry) { return entry.rule == Rule::mandate ? "require" : "except"; }

std::string to_text(Day day) { return to_rfc3339(Time{day}).substr(0, 10); }

Result<dns::Pattern> parse_domain(std::string_view text) {
  auto pattern = dns::parse_pattern(text);
  if (pattern && pattern->kind != dns::Pattern::Kind::any && is_mail_domain(pattern->name)) return pattern;
  return bad_input(
      "'" + std::string(text) +
      "' is no partner's domain; allowed: a name such as contoso.com, or *.contoso.com for its subdomains");
}

Result<hop::Mandate> parse_level(std::string_view text) {
  if (text == "encrypt") return hop::Mandate::encrypt;
  if (text == "verify") return hop::Mandate::verify;
  if (text == "dane") return hop::Mandate::dane;
  return bad_input("'" + std::string(text) + "' is no level; allowed: dane, verify, encrypt");
}

Result<Rule> parse_exception(std::string_view text) {
  if (text == "dane") return Rule::dane;
  if (text == "mta-sts") return Rule::mta_sts;
  return bad_input("'" + std::string(text) + "' is no rule that can be excepted; allowed: dane, mta-sts");
}

Result<Day> parse_day(std::string_view text) {
  const auto time = parse_rfc3339(std::string(text) + "T00:00:00Z");
  if (time && text.size() == 10) return std::chrono::floor<std::chrono::days>(*time);
  return bad_input("'" + std::string(text) + "' is no date; allowed: a day such as 2027-01-31 (UTC)");
}

// One line of a file, and nothing that a terminal obeys.
Result<std::string> parse_note(std::string_view text) {
  std::string line = to_one_line(text, text.size());
  if (line.size() <= most_note && without_blanks(line) == without_blanks(std::string(text))) return line;
  return bad_input("a note like this cannot be kept; allowed: text in UTF-8 without control characters, of at most " +
                   std::to_string(most_note) + " octets");
}

Result<Entry> admitted(Entry entry, Time now) {
  const Day today = std::chrono::floor<std::chrono::days>(now);
  const Day latest = today + longest_exception;
  const bool exception = entry.rule != Rule::mandate;
  if (exception && !entry.until) entry.until = latest;
  if (entry.until && *entry.until < today)
    return bad_input(to_text(*entry.until) + " is over; allowed: " + to_text(today) + " or a later day");
  if (exception && *entry.until > latest) {
    return bad_input("an exception may last 90 days, and " + to_text(*entry.until) + " is later; allowed: until " +
                     to_text(latest));
  }
  auto note = parse_note(entry.note);
  if (!note) return note.error();
  entry.note = std::move(*note);
  return entry;
}

bool says_the_same(const Entry& a, const Entry& b) {
  return a.domain == b.domain && a.rule == b.rule && a.level == b.level && a.until == b.until && a.note == b.note;
}

// A clock that was set back brings a mandate back, and no exception.
bool is_over(const Entry& entry, Time now) {
  const auto end = end_of(entry);
  return end && (now >= *end || (entry.told && entry.rule != Rule::mandate));
}

std::optional<Time> end_of(const Entry& entry) {
  if (!entry.until) return std::nullopt;
  return Time{*entry.until + std::chrono::days(1)};
}

std::string why(const Entry& entry) {
  std::string text = "partner, ";
  text += entry.rule == Rule::mandate ? std::string(word_of(entry)) + " required"
                                      : "excepted from " + std::string(word_of(entry));
  if (entry.until) text += " until " + to_text(*entry.until);
  return entry.note.empty() ? text : text + ": " + entry.note;
}

}  // namespace hoplock::partners
