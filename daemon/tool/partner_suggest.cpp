// SPDX-License-Identifier: Apache-2.0
// `hoplock partner suggest`: who could be required today, by the statistics of 30 days.
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/audit_report.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "hop/names.h"
#include "partners/book.h"
#include "partners/suggestion.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

using partners::Record;
using statistics::Kind;

constexpr std::chrono::days studied_back{30};

void count_delivered(Record& record, const AuditLine& line) {
  const std::uint64_t recipients = line.sum.count;
  record.delivered += recipients;
  switch (line.proof().value_or(statistics::Proof::clear)) {
    case statistics::Proof::dane:  // how much of it from a signed domain on is in the rows of the records
    case statistics::Proof::sts:
    case statistics::Proof::verified:
      record.proved += recipients;
      break;
    case statistics::Proof::encrypted:
      record.encrypted += recipients;
      break;
    case statistics::Proof::clear:
      record.clear += recipients;
      break;
  }
}

void count_failure(Record& record, std::string_view reason, std::uint64_t recipients) {
  const auto known = hop::parse_reason(reason);
  if (known && hop::is_policy(*known)) record.failures[std::string(to_text(*known))] += recipients;
}

Record record_of(const AuditPartner& partner) {
  Record record;
  for (const AuditLine& line : partner.lines) {
    if (line.kind == Kind::delivered) count_delivered(record, line);
    if (line.kind == Kind::tlsa && line.word(1) == statistics::signed_mx) record.dane += line.sum.count;
    if (line.kind == Kind::failed) count_failure(record, line.word(2), line.sum.count);
    if (line.kind == Kind::relaxed && line.word(0) == statistics::relaxed_by::audit)
      count_failure(record, line.word(1), line.sum.count);
  }
  record.dane = std::min(record.dane, record.proved);
  record.proved -= record.dane;
  return record;
}

struct Studied {
  std::vector<AuditPartner> partners;
  statistics::Day from{};  // the first day that was looked at
  bool complete = true;    // each domain has figures of its own
};
Result<Studied> study(const Call& call) {
  auto reader = readers(call.loaded.config)->statistics();
  if (!reader) return reader.error();
  statistics::Range range;
  range.to = statistics::day_of(call.console.now);
  range.from = range.to - studied_back;
  auto found = (*reader)->read(range);
  if (!found) return found.error();
  AuditReport report = audit_report(std::move(*found));
  Studied studied;
  studied.from = std::max(range.from, report.since.value_or(range.from));
  studied.complete =
      std::erase_if(report.partners, [](const AuditPartner& partner) { return partner.domain.empty(); }) == 0;
  studied.partners = std::move(report.partners);
  return studied;
}

struct Row {
  std::string domain;
  Record record;
  partners::Suggestion suggestion;
  std::string required;  // already; "": nothing
};

std::string level_word(hop::Mandate level) {
  if (level == hop::Mandate::none) return "";
  partners::Entry entry;
  entry.level = level;
  return std::string(word_of(entry));
}

// Who could be required first, and of these those with the most mail.
std::vector<Row> rows_of(const Studied& studied, const partners::Book& book, Time now) {
  std::vector<Row> rows;
  for (const AuditPartner& partner : studied.partners) {
    Row row;
    row.domain = partner.domain;
    row.record = record_of(partner);
    row.suggestion = partners::suggest(row.record);
    const auto name = dns::Name::parse(row.domain);
    const auto terms = name ? book.find(*name, now) : partners::Terms{};
    if (terms.mandate) row.required = word_of(*terms.mandate);
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::pair(a.suggestion.level, a.record.delivered) > std::pair(b.suggestion.level, b.record.delivered);
  });
  return rows;
}

json::object row_to_json(const Row& row) {
  json::object failures;
  for (const auto& [reason, count] : row.record.failures) failures[reason] = count;
  json::object to;
  to["domain"] = clean(row.domain);
  to["level"] = text_or_null(level_word(row.suggestion.level));
  to["required"] = text_or_null(row.required);
  to["delivered"] = row.record.delivered;
  to["dane"] = row.record.dane;
  to["proved"] = row.record.proved;
  to["encrypted"] = row.record.encrypted;
  to["clear"] = row.record.clear;
  to["failures"] = std::move(failures);
  to["why"] = clean(row.suggestion.why);
  return to;
}

}  // namespace

int partner_suggest(const Call& call) {
  const Console& console = call.console;
  auto studied = study(call);
  if (!studied) return cannot_read(call, "the statistics in", studied.error());
  partners::Book book;
  auto reader = readers(call.loaded.config)->partners();
  if (!reader) return cannot_read(call, "the partners in", reader.error());
  const auto listed = (*reader)->list([&](const partners::Entry& entry) { book.put(entry); });
  if (!listed) return cannot_read(call, "the partners in", listed.error());
  const auto rows = rows_of(*studied, book, console.now);
  if (call.arguments.json) {
    json::array domains;
    for (const Row& row : rows) domains.push_back(row_to_json(row));
    json::object to;
    to["since"] = time_or_null(Time(studied->from));
    to["complete"] = studied->complete;
    to["domains"] = std::move(domains);
    console.out << to_line(to) << '\n';
    return ok;
  }
  if (!studied->complete)
    console.out << "There was mail to more domains than a day has figures for: some of them are not here.\n";
  if (rows.empty()) console.out << "no mail since " << to_text(studied->from) << '\n';
  Table table(console.out, console.width,
              {{"DOMAIN"},
               {"COULD BE REQUIRED"},
               {"REQUIRED"},
               {"DELIVERED", Table::Align::right},
               {"WHY", Table::Align::left, Table::Give::lines}});
  for (const Row& row : rows) {
    const std::string level = level_word(row.suggestion.level);
    table.add({row.domain, level.empty() ? "-" : level, row.required.empty() ? "-" : row.required,
               std::to_string(row.record.delivered), row.suggestion.why});
  }
  table.finish();
  return ok;
}

}  // namespace hoplock::daemon::tool
