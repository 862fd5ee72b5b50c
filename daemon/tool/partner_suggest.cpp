// SPDX-License-Identifier: Apache-2.0
// `hoplock partner suggest`: who could be required today, by the history of 30 days. Read from the latest message on, in short reads, and
// for a time that ends: what was not reached is said.
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "hop/names.h"
#include "partners/book.h"
#include "partners/suggestion.h"
#include "queue/reader.h"
#include "route/partner_reader.h"

namespace hoplock::daemon::tool {

namespace {

using partners::Record;
using Records = std::map<std::string, Record>;

constexpr std::chrono::days studied_back{30};
constexpr std::chrono::seconds suggest_patience{20};
constexpr std::size_t most_reasons = 20;  // of a domain

std::string_view word_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

void count_delivered(Record& record, const json::object& event, std::uint64_t recipients) {
  const auto auth = word_in(event, "auth"), tls = word_in(event, "tls");
  record.delivered += recipients;
  const bool dane = auth.starts_with("dane-");
  if (dane && word_in(event, "mx_dnssec") == "secure") {
    record.dane += recipients;
  } else if (dane || auth == "pkix") {
    record.proved += recipients;
  } else {
    (tls.empty() || tls == "none" ? record.clear : record.encrypted) += recipients;
  }
}

// A line of the history: of mail that went, or that a rule refused or only let pass.
void count_line(Records& records, std::string_view line) {
  const bool told = line.starts_with("{\"event\":\"delivered\"") || line.starts_with("{\"event\":\"deferred\"") ||
                    line.starts_with("{\"event\":\"bounced\"") || line.starts_with("{\"event\":\"expired\"");
  if (!told) return;
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(line.data(), line.size()), error);
  const json::object* event = error ? nullptr : value.if_object();
  if (event == nullptr) return;
  const auto domain = word_in(*event, "domain");
  if (domain.empty()) return;
  const json::value* to = event->if_contains("to");
  const json::array* list = to == nullptr ? nullptr : to->if_array();
  const std::uint64_t recipients = list == nullptr ? 1 : list->size();
  Record& record = records[std::string(domain)];
  if (word_in(*event, "event") == "delivered") count_delivered(record, *event, recipients);
  const auto reason = hop::parse_reason(word_in(*event, "reason"));
  if (!reason || !hop::is_policy(*reason)) return;
  const std::string word(to_text(*reason));
  if (record.failures.size() < most_reasons || record.failures.contains(word)) record.failures[word] += recipients;
}

struct Studied {
  Records records;
  Time from;             // all that was accepted since then was looked at
  bool complete = true;  // else there was no time for what came before
};
Result<Studied> study(const Call& call) {
  Studied studied;
  studied.from = call.console.now - studied_back;
  auto reader = queue::Reader::open(database_path(call.loaded.config));
  if (!reader) return reader.error();
  const auto end = std::chrono::steady_clock::now() + suggest_patience;
  const auto read = reader->history(studied.from, [&](Time accepted, std::string_view text) {
    while (!text.empty()) {
      const auto stop = text.find('\n');
      count_line(studied.records, text.substr(0, stop));
      text.remove_prefix(stop == std::string_view::npos ? text.size() : stop + 1);
    }
    if (std::chrono::steady_clock::now() < end) return queue::Go::on;
    studied.complete = false;
    studied.from = accepted;
    return queue::Go::stop;
  });
  if (!read) return read.error();
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
std::vector<Row> rows_of(Studied studied, const partners::Book& book, Time now) {
  std::vector<Row> rows;
  for (auto& [domain, record] : studied.records) {
    Row row;
    row.domain = domain;
    row.suggestion = partners::suggest(record);
    row.record = std::move(record);
    const auto name = dns::Name::parse(domain);
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
  if (!studied) return cannot_read(call, "the history in", studied.error());
  partners::Book book;
  auto reader = route::PartnerReader::open(database_path(call.loaded.config));
  if (!reader) return cannot_read(call, "the partners in", reader.error());
  const auto listed = reader->list([&](const partners::Entry& entry) { book.put(entry); });
  if (!listed) return cannot_read(call, "the partners in", listed.error());
  const Time from = studied->from;
  const bool complete = studied->complete;
  const auto rows = rows_of(std::move(*studied), book, console.now);
  if (call.arguments.json) {
    json::array domains;
    for (const Row& row : rows) domains.push_back(row_to_json(row));
    const json::object to{{"since", time_or_null(from)}, {"complete", complete}, {"domains", std::move(domains)}};
    console.out << to_line(to) << '\n';
    return ok;
  }
  if (!complete)
    console.out << "Looked at what was accepted since " << moment(from)
                << "; there was no time for what came before.\n";
  if (rows.empty()) console.out << "no mail since " << moment(from) << '\n';
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
