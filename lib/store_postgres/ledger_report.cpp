// SPDX-License-Identifier: Apache-2.0
// A report made of what the nodes counted.
#include <map>
#include <utility>

#include "store_postgres/ledger_rows.h"

namespace hoplock::store_postgres {

namespace {

std::optional<Ip> ip_of(std::string_view text) {
  const auto ip = Ip::parse(text);
  return ip ? std::optional(*ip) : std::nullopt;
}

// An element's place in the rows: whose it is, and its key.
using Place = std::pair<std::int64_t, std::string>;

tlsrpt::Sessions element_of(const postgres::Row& row) {
  tlsrpt::Sessions sessions;
  sessions.policy.type = static_cast<tlsrpt::PolicyType>(row.integer(3));
  if (auto name = dns::Name::parse(row.text(4))) sessions.policy.domain = std::move(*name);
  sessions.policy.text = split_lines(row.text(5));
  sessions.policy.mx_host = split_lines(row.text(6));
  sessions.successes = static_cast<std::uint64_t>(row.integer(10));
  sessions.failures = static_cast<std::uint64_t>(row.integer(11));
  return sessions;
}

tlsrpt::Failure detail_of(const postgres::Row& row) {
  tlsrpt::Failure one;
  one.type = static_cast<tlsrpt::ResultType>(row.integer(3));
  one.receiving_host = row.text(4);
  one.receiving_ip = ip_of(row.text(5));
  one.receiving_helo = row.text(6);
  one.sending_ip = ip_of(row.text(7));
  one.reason = row.text(8);
  one.information = row.text(9);
  one.sessions = static_cast<std::uint64_t>(row.integer(10));
  return one;
}

}  // namespace

postgres::Statement select_tag(const ReportKey& key) {
  return postgres::statement("SELECT tag FROM tlsrpt_account WHERE day = $1 AND domain = $2", number_of(key.day),
                             key.domain.text());
}

// One statement, so that no report is built between elements and details.
postgres::Statement select_counted(const ReportKey& key) {
  return postgres::statement(
      "WITH account AS (SELECT id FROM tlsrpt_account WHERE day = $1 AND domain = $2)"
      " SELECT 0 AS kind, e.slot, e.key, e.type, e.domain, e.text, e.mx_host, '', '', '', e.successes, e.failures"
      " FROM account a JOIN tlsrpt_element e ON e.account = a.id"
      " UNION ALL SELECT 1, d.slot, d.element, d.type, d.receiving_host, d.receiving_ip, d.receiving_helo, "
      "d.sending_ip,"
      " d.reason, d.information, d.sessions, 0 FROM account a JOIN tlsrpt_detail d ON d.account = a.id"
      " ORDER BY kind",
      number_of(key.day), key.domain.text());
}

// The nodes together may have more than a report takes: what is too much is added up once more.
tlsrpt::Report report_of(const ReportKey& key, const tlsrpt::Submitter& submitter, std::string_view tag,
                         const postgres::Rows& counted) {
  std::map<Place, tlsrpt::Sessions> elements;
  for (const postgres::Row row : counted) {
    Place place{row.integer(1), std::string(row.bytea(2))};
    if (row.integer(0) == 0)
      elements.insert_or_assign(std::move(place), element_of(row));
    else if (const auto at = elements.find(place); at != elements.end())
      at->second.details.push_back(detail_of(row));
  }
  tlsrpt::Tally tally(key.domain);
  for (const auto& [place, sessions] : elements) tally.add(sessions);
  return report_about(key, submitter, tag, tally.sum());
}

postgres::Statement select_built(const ReportKey& key) {
  return postgres::statement(
      "SELECT r.report_id, r.file_name, r.gzip, r.policies, coalesce(sum(c.sessions), 0)::bigint,"
      " coalesce(sum(c.failures), 0)::bigint FROM tlsrpt_account a JOIN tlsrpt_report r ON r.account = a.id"
      " LEFT JOIN tlsrpt_count c ON c.account = a.id WHERE a.day = $1 AND a.domain = $2 GROUP BY r.account",
      number_of(key.day), key.domain.text());
}

std::optional<BuiltReport> built_of(const postgres::Rows& rows) {
  if (rows.empty()) return std::nullopt;
  const postgres::Row row = rows[0];
  BuiltReport built;
  built.report_id = row.text(0);
  built.file_name = row.text(1);
  built.gzip = row.bytea(2);
  built.policies = static_cast<std::uint32_t>(row.integer(3));
  built.sessions = static_cast<std::uint64_t>(row.integer(4));
  built.failures = static_cast<std::uint64_t>(row.integer(5));
  return built;
}

}  // namespace hoplock::store_postgres
