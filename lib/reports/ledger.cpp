// SPDX-License-Identifier: Apache-2.0
#include "reports/ledger.h"

#include <array>
#include <limits>

#include "reports/ledger_rows.h"
#include "reports/returned.h"

namespace hoplock::reports {

namespace {

constexpr std::array<std::string_view, 6> state_words{"collecting", "due", "built", "sent", "failed", "skipped"};

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
std::optional<Account> account_of(const disk::Statement& row) {
  auto domain = dns::Name::parse(row.text(1));
  if (!domain) return std::nullopt;
  Account account;
  account.key = Key{day_of_number(row.integer(0)), std::move(*domain)};
  account.state = static_cast<State>(row.integer(2));
  account.sessions = static_cast<std::uint64_t>(row.integer(3));
  account.failures = static_cast<std::uint64_t>(row.integer(4));
  account.due = time_of(row, 5);
  account.since = time_of(row, 6);
  account.attempts = static_cast<std::uint32_t>(row.integer(7));
  account.error = row.text(8);
  return account;
}

std::optional<Key> key_of(const disk::Statement& row) {
  auto domain = dns::Name::parse(row.text(1));
  if (!domain) return std::nullopt;
  return Key{day_of_number(row.integer(0)), std::move(*domain)};
}

}  // namespace

std::string_view to_text(State state) { return state_words.at(static_cast<std::size_t>(state)); }

std::optional<AccountRow> find_row(disk::Tx& tx, const Key& key) {
  auto row =
      tx.prepare("SELECT id, state, tag, elements, octets, details FROM tlsrpt_account WHERE day = ?1 AND domain = ?2");
  if (!row.bind(number_of(key.day), key.domain.text()).step()) return std::nullopt;
  AccountRow found;
  found.id = row.integer(0);
  found.state = static_cast<State>(row.integer(1));
  found.tag = row.text(2);
  found.elements = static_cast<std::uint64_t>(row.integer(3));
  found.octets = static_cast<std::uint64_t>(row.integer(4));
  found.details = static_cast<std::uint64_t>(row.integer(5));
  return found;
}

std::optional<Account> find(disk::Tx& tx, const Key& key) {
  auto row = tx.prepare(accounts_where("day = ?1 AND domain = ?2"));
  if (!row.bind(number_of(key.day), key.domain.text()).step()) return std::nullopt;
  return account_of(row);
}

std::vector<Account> list(disk::Tx& tx, const Selection& selection) {
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
  std::vector<Account> found;
  while (rows.step()) {
    if (auto account = account_of(rows)) found.push_back(std::move(*account));
  }
  return found;
}

std::vector<Key> unplanned(disk::Tx& tx, tlsrpt::Day today, std::size_t limit) {
  std::vector<Key> found;
  auto rows =
      tx.prepare("SELECT day, domain FROM tlsrpt_account WHERE state = 0 AND day < ?1 ORDER BY day, id LIMIT ?2");
  rows.bind(number_of(today), limit);
  while (rows.step()) {
    if (auto key = key_of(rows)) found.push_back(std::move(*key));
  }
  return found;
}

void plan(disk::Tx& tx, const Key& key, Time due) {
  tx.prepare("UPDATE tlsrpt_account SET state = 1, due = ?3, since = ?3 WHERE day = ?1 AND domain = ?2 AND state = 0")
      .bind(number_of(key.day), key.domain.text(), to_millis(due))
      .run();
}

void rebase(disk::Tx& tx, Time now, Time latest) {
  tx.prepare("UPDATE tlsrpt_account SET due = ?1, since = ?1 WHERE due > ?2 AND day < ?3")
      .bind(to_millis(now), to_millis(latest), number_of(tlsrpt::day_of(now)))
      .run();
}

Due due(disk::Tx& tx, Time now, std::size_t limit) {
  Due found;
  auto rows = tx.prepare("SELECT day, domain FROM tlsrpt_account WHERE due <= ?1 ORDER BY due LIMIT ?2");
  rows.bind(to_millis(now), limit);
  while (rows.step()) {
    if (auto key = key_of(rows)) found.keys.push_back(std::move(*key));
  }
  auto next = tx.prepare("SELECT min(due) FROM tlsrpt_account WHERE due > ?1");
  if (next.bind(to_millis(now)).step()) found.next = time_of(next, 0);
  return found;
}

bool send_now(disk::Tx& tx, const Key& key, Time now) {
  const auto row = find_row(tx, key);
  if (!row || row->state == State::sent) return false;
  const bool again = row->state == State::failed || row->state == State::skipped;
  const bool is_built = stored(tx, key).has_value();
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
      .bind(row->id, is_built ? State::built : State::due, to_millis(now))
      .run();
  return true;
}

std::vector<Destination> destinations(disk::Tx& tx, const Key& key) {
  std::vector<Destination> found;
  const auto row = find_row(tx, key);
  if (!row) return found;
  auto rows =
      tx.prepare("SELECT rua, state, attempts, next, error FROM tlsrpt_destination WHERE account = ?1 ORDER BY rua");
  for (rows.bind(row->id); rows.step();) {
    Destination one;
    one.rua = rows.text(0);
    one.state = static_cast<Destination::State>(rows.integer(1));
    one.attempts = static_cast<std::uint32_t>(rows.integer(2));
    one.next = time_of(rows, 3);
    one.error = rows.text(4);
    found.push_back(std::move(one));
  }
  return found;
}

void put_destination(disk::Tx& tx, const Key& key, const Destination& destination) {
  const auto row = find_row(tx, key);
  if (!row) return;
  tx.prepare(
        "INSERT INTO tlsrpt_destination (account, rua, state, attempts, next, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        " ON CONFLICT (account, rua) DO UPDATE SET state = ?3, attempts = ?4, next = ?5, error = ?6")
      .bind(row->id, destination.rua, destination.state, destination.attempts, millis_of(destination.next),
            destination.error)
      .run();
}

void postpone(disk::Tx& tx, const Key& key, const Pause& pause, std::string_view error) {
  tx.prepare(
        "UPDATE tlsrpt_account SET due = ?3, since = ?4, attempts = attempts + 1, error = ?5"
        " WHERE day = ?1 AND domain = ?2 AND state IN (1, 2)")
      .bind(number_of(key.day), key.domain.text(), to_millis(pause.next), to_millis(pause.since), error)
      .run();
}

void finish(disk::Tx& tx, const Key& key, State end, std::string_view error) {
  tx.prepare(
        "UPDATE tlsrpt_account SET state = ?3, due = NULL, attempts = attempts + ?4, error = ?5"
        " WHERE day = ?1 AND domain = ?2")
      .bind(number_of(key.day), key.domain.text(), end, end == State::skipped ? 0 : 1, error)
      .run();
}

bool prune(disk::Tx& tx, tlsrpt::Day before, Prune which, std::size_t limit) {
  std::vector<std::int64_t> ids;
  {
    auto rows =
        tx.prepare("SELECT id FROM tlsrpt_account WHERE day < ?1 AND state >= ?2 ORDER BY day, domain LIMIT ?3");
    const State from = which == Prune::ended ? State::sent : State::collecting;
    for (rows.bind(number_of(before), from, limit); rows.step();) ids.push_back(rows.integer(0));
  }
  for (const auto id : ids) {
    drop_counts(tx, id);
    tx.prepare("DELETE FROM tlsrpt_destination WHERE account = ?1").bind(id).run();
    tx.prepare("DELETE FROM tlsrpt_report WHERE account = ?1").bind(id).run();
    forget_mails(tx, id);
    tx.prepare("DELETE FROM tlsrpt_account WHERE id = ?1").bind(id).run();
  }
  if (ids.size() == limit) return true;
  tx.prepare("DELETE FROM tlsrpt_day WHERE day < ?1").bind(number_of(before)).run();
  return false;
}

}  // namespace hoplock::reports
