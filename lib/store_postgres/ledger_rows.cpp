// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/ledger_rows.h"

#include <limits>
#include <utility>

namespace hoplock::store_postgres {

namespace {

std::optional<Time> time_of(const postgres::Row& row, int column) {
  return row.null(column) ? std::nullopt : std::optional(row.time(column));
}

}  // namespace

std::string select_accounts(std::string_view more_columns, std::string_view condition) {
  std::string sql =
      "SELECT a.day, a.domain, a.state, coalesce(c.sessions, 0), coalesce(c.failures, 0), a.due, a.since, a.attempts,"
      " a.error";
  sql += more_columns;
  sql +=
      " FROM tlsrpt_account a LEFT JOIN LATERAL (SELECT sum(n.sessions)::bigint AS sessions, sum(n.failures)::bigint AS"
      " failures FROM tlsrpt_count n WHERE n.account = a.id) c ON true ";
  sql += condition;
  return sql;
}

std::optional<ReportAccount> account_of(const postgres::Row& row, int first) {
  auto domain = dns::Name::parse(row.text(first + 1));
  if (!domain) return std::nullopt;
  ReportAccount account;
  account.key = ReportKey{day_of_number(row.integer(first)), std::move(*domain)};
  account.state = static_cast<ReportState>(row.integer(first + 2));
  account.sessions = static_cast<std::uint64_t>(row.integer(first + 3));
  account.failures = static_cast<std::uint64_t>(row.integer(first + 4));
  account.due = time_of(row, first + 5);
  account.since = time_of(row, first + 6);
  account.attempts = static_cast<std::uint32_t>(row.integer(first + 7));
  account.error = row.text(first + 8);
  return account;
}

std::optional<ReportKey> key_of(const postgres::Row& row) {
  auto domain = dns::Name::parse(row.text(1));
  if (!domain) return std::nullopt;
  return ReportKey{day_of_number(row.integer(0)), std::move(*domain)};
}

postgres::Statement select_page(const ReportSelection& selection) {
  std::string condition =
      "LEFT JOIN tlsrpt_report r ON r.account = a.id LEFT JOIN node o ON o.incarnation = a.owner"
      " WHERE (a.day, a.domain) > ($1, $2)";
  if (selection.day) condition += " AND a.day = $4";
  if (selection.domain) condition += " AND a.domain = $5";
  condition += " AND $4 IS NOT NULL AND $5 IS NOT NULL ORDER BY a.day, a.domain LIMIT $3";
  return postgres::statement(
      select_accounts(", a.id, coalesce(r.report_id, ''), coalesce(o.name, '')", condition),
      selection.after ? number_of(selection.after->day) : std::numeric_limits<std::int64_t>::min(),
      selection.after ? selection.after->domain.text() : std::string(), selection.limit,
      selection.day ? number_of(*selection.day) : 0, selection.domain ? selection.domain->text() : std::string());
}

postgres::Statement select_destinations(const std::vector<std::int64_t>& accounts) {
  return postgres::statement(
      "SELECT account, rua, state, attempts, next, error FROM tlsrpt_destination WHERE account = ANY($1)"
      " ORDER BY account, rua",
      accounts);
}

postgres::Statement select_destinations(const ReportKey& key) {
  return postgres::statement(
      "SELECT d.account, d.rua, d.state, d.attempts, d.next, d.error FROM tlsrpt_destination d"
      " JOIN tlsrpt_account a ON a.id = d.account WHERE a.day = $1 AND a.domain = $2 ORDER BY d.rua",
      number_of(key.day), key.domain.text());
}

ReportDestination destination_of(const postgres::Row& row) {
  ReportDestination one;
  one.rua = row.text(1);
  one.state = static_cast<ReportDestination::State>(row.integer(2));
  one.attempts = static_cast<std::uint32_t>(row.integer(3));
  one.next = time_of(row, 4);
  one.error = row.text(5);
  return one;
}

}  // namespace hoplock::store_postgres
