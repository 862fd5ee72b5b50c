// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/ledger.h"

#include <limits>

#include "store_sqlite/ledger_rows.h"
#include "store_sqlite/report_mails.h"

namespace hoplock::store_sqlite {

namespace {

std::optional<Time> time_of(const disk::Statement& row, int column) {
  return row.null(column) ? std::nullopt : std::optional(from_millis(row.integer(column)));
}
std::optional<std::int64_t> millis_of(const std::optional<Time>& time) {
  return time ? std::optional(to_millis(*time)) : std::nullopt;
}

std::string accounts_where(std::string_view condition) {
  std::string sql =
      "SELECT day, domain, state, sessions, failures, due, since, attempts, error FROM tlsrpt_account WHERE ";
  sql += condition;
  return sql;
}

// Nothing: what stands there is no name of ours.
std::optional<ReportAccount> account_of(const disk::Statement& row) {
  auto domain = dns::Name::parse(row.text(1));
  if (!domain) return std::nullopt;
  ReportAccount account;
  account.key = ReportKey{day_of_number(row.integer(0)), std::move(*domain)};
  account.state = static_cast<ReportState>(row.integer(2));
  account.sessions = static_cast<std::uint64_t>(row.integer(3));
  account.failures = static_cast<std::uint64_t>(row.integer(4));
  account.due = time_of(row, 5);
  account.since = time_of(row, 6);
  account.attempts = static_cast<std::uint32_t>(row.integer(7));
  account.error = row.text(8);
  return account;
}

std::optional<ReportKey> key_of(const disk::Statement& row) {
  auto domain = dns::Name::parse(row.text(1));
  if (!domain) return std::nullopt;
  return ReportKey{day_of_number(row.integer(0)), std::move(*domain)};
}

}  // namespace

std::optional<AccountRow> find_row(disk::Tx& tx, const ReportKey& key) {
  auto row =
      tx.prepare("SELECT id, state, tag, elements, octets, details FROM tlsrpt_account WHERE day = ?1 AND domain = ?2");
  if (!row.bind(number_of(key.day), key.domain.text()).step()) return std::nullopt;
  AccountRow found;
  found.id = row.integer(0);
  found.state = static_cast<ReportState>(row.integer(1));
  found.tag = row.text(2);
  found.elements = static_cast<std::uint64_t>(row.integer(3));
  found.octets = static_cast<std::uint64_t>(row.integer(4));
  found.details = static_cast<std::uint64_t>(row.integer(5));
  return found;
}

std::optional<ReportAccount> find_account(disk::Tx& tx, const ReportKey& key) {
  auto row = tx.prepare(accounts_where("day = ?1 AND domain = ?2"));
  if (!row.bind(number_of(key.day), key.domain.text()).step()) return std::nullopt;
  return account_of(row);
}

std::vector<ReportAccount> list_accounts(disk::Tx& tx, const ReportSelection& selection) {
  std::string sql = accounts_where("(day, domain) > (?1, ?2)");
  if (selection.day) sql += " AND day = ?3";
  if (selection.domain) sql += " AND domain = ?4";
  sql += " AND ?3 IS ?3 AND ?4 IS ?4 ORDER BY day, domain LIMIT ?5";
  const auto first = std::numeric_limits<std::int64_t>::min();
  const std::string after = selection.after ? selection.after->domain.text() : "";  // what is bound lives until the end
  const std::string domain = selection.domain ? selection.domain->text() : "";
  auto rows = tx.prepare(sql);
  rows.bind(selection.after ? number_of(selection.after->day) : first, after,
            selection.day ? number_of(*selection.day) : first, domain, selection.limit);
  std::vector<ReportAccount> found;
  while (rows.step()) {
    if (auto account = account_of(rows)) found.push_back(std::move(*account));
  }
  return found;
}

std::vector<ReportKey> unplanned_reports(disk::Tx& tx, tlsrpt::Day today, std::size_t limit) {
  std::vector<ReportKey> found;
  auto rows =
      tx.prepare("SELECT day, domain FROM tlsrpt_account WHERE state = 0 AND day < ?1 ORDER BY day, id LIMIT ?2");
  rows.bind(number_of(today), limit);
  while (rows.step()) {
    if (auto key = key_of(rows)) found.push_back(std::move(*key));
  }
  return found;
}

void plan_report(disk::Tx& tx, const ReportKey& key, Time due) {
  tx.prepare("UPDATE tlsrpt_account SET state = 1, due = ?3, since = ?3 WHERE day = ?1 AND domain = ?2 AND state = 0")
      .bind(number_of(key.day), key.domain.text(), to_millis(due))
      .run();
}

void rebase_reports(disk::Tx& tx, Time now, Time latest) {
  tx.prepare("UPDATE tlsrpt_account SET due = ?1, since = ?1 WHERE due > ?2 AND day < ?3")
      .bind(to_millis(now), to_millis(latest), number_of(tlsrpt::day_of(now)))
      .run();
}

DueReports due_reports(disk::Tx& tx, Time now, std::size_t limit) {
  DueReports found;
  auto rows = tx.prepare("SELECT day, domain FROM tlsrpt_account WHERE due <= ?1 ORDER BY due LIMIT ?2");
  rows.bind(to_millis(now), limit);
  while (rows.step()) {
    if (auto key = key_of(rows)) found.keys.push_back(std::move(*key));
  }
  auto next = tx.prepare("SELECT min(due) FROM tlsrpt_account WHERE due > ?1");
  if (next.bind(to_millis(now)).step()) found.next = time_of(next, 0);
  return found;
}

bool send_report_now(disk::Tx& tx, const ReportKey& key, Time now) {
  const auto row = find_row(tx, key);
  if (!row || row->state == ReportState::sent) return false;
  const bool again = row->state == ReportState::failed || row->state == ReportState::skipped;
  const bool is_built = stored_report(tx, key).has_value();
  if (again) {
    tx.prepare("UPDATE tlsrpt_account SET since = ?2, attempts = 0, error = '' WHERE id = ?1")
        .bind(row->id, to_millis(now))
        .run();
    tx.prepare("UPDATE tlsrpt_destination SET state = 0, attempts = 0 WHERE account = ?1 AND state = 2")
        .bind(row->id)
        .run();
  }
  tx.prepare("UPDATE tlsrpt_destination SET next = NULL WHERE account = ?1").bind(row->id).run();
  tx.prepare("UPDATE tlsrpt_account SET state = ?2, due = ?3, since = coalesce(since, ?3) WHERE id = ?1")
      .bind(row->id, is_built ? ReportState::built : ReportState::due, to_millis(now))
      .run();
  return true;
}

std::vector<ReportDestination> report_destinations(disk::Tx& tx, const ReportKey& key) {
  std::vector<ReportDestination> found;
  const auto row = find_row(tx, key);
  if (!row) return found;
  auto rows =
      tx.prepare("SELECT rua, state, attempts, next, error FROM tlsrpt_destination WHERE account = ?1 ORDER BY rua");
  for (rows.bind(row->id); rows.step();) {
    ReportDestination one;
    one.rua = rows.text(0);
    one.state = static_cast<ReportDestination::State>(rows.integer(1));
    one.attempts = static_cast<std::uint32_t>(rows.integer(2));
    one.next = time_of(rows, 3);
    one.error = rows.text(4);
    found.push_back(std::move(one));
  }
  return found;
}

void put_report_destination(disk::Tx& tx, const ReportKey& key, const ReportDestination& destination) {
  const auto row = find_row(tx, key);
  if (!row) return;
  tx.prepare(
        "INSERT INTO tlsrpt_destination (account, rua, state, attempts, next, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        " ON CONFLICT (account, rua) DO UPDATE SET state = ?3, attempts = ?4, next = ?5, error = ?6")
      .bind(row->id, destination.rua, destination.state, destination.attempts, millis_of(destination.next),
            destination.error)
      .run();
}

void postpone_report(disk::Tx& tx, const ReportKey& key, const ReportPause& pause, std::string_view error) {
  tx.prepare(
        "UPDATE tlsrpt_account SET due = ?3, since = ?4, attempts = attempts + 1, error = ?5"
        " WHERE day = ?1 AND domain = ?2 AND state IN (1, 2)")
      .bind(number_of(key.day), key.domain.text(), to_millis(pause.next), to_millis(pause.since), error)
      .run();
}

void finish_report(disk::Tx& tx, const ReportKey& key, ReportState end, std::string_view error) {
  tx.prepare(
        "UPDATE tlsrpt_account SET state = ?3, due = NULL, attempts = attempts + ?4, error = ?5"
        " WHERE day = ?1 AND domain = ?2")
      .bind(number_of(key.day), key.domain.text(), end, end == ReportState::skipped ? 0 : 1, error)
      .run();
}

bool prune_reports(disk::Tx& tx, tlsrpt::Day before, PruneReports which, std::size_t limit) {
  std::vector<std::int64_t> ids;
  {
    auto rows =
        tx.prepare("SELECT id FROM tlsrpt_account WHERE day < ?1 AND state >= ?2 ORDER BY day, domain LIMIT ?3");
    const ReportState from = which == PruneReports::ended ? ReportState::sent : ReportState::collecting;
    for (rows.bind(number_of(before), from, limit); rows.step();) ids.push_back(rows.integer(0));
  }
  for (const auto id : ids) {
    drop_counts(tx, id);
    tx.prepare("DELETE FROM tlsrpt_destination WHERE account = ?1").bind(id).run();
    tx.prepare("DELETE FROM tlsrpt_report WHERE account = ?1").bind(id).run();
    forget_report_mails(tx, id);
    tx.prepare("DELETE FROM tlsrpt_account WHERE id = ?1").bind(id).run();
  }
  if (ids.size() == limit) return true;
  tx.prepare("DELETE FROM tlsrpt_day WHERE day < ?1").bind(number_of(before)).run();
  return false;
}

}  // namespace hoplock::store_sqlite
