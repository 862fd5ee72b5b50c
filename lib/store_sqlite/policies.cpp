// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/policies.h"

#include "disk/db.h"

namespace hoplock::store_sqlite {

namespace {

// `failures` and what follows tell of the fetches since the policy's own; `policy` is NULL where none ever succeeded.
constexpr std::string_view policy_table = R"(
CREATE TABLE sts_policy (
  id INTEGER PRIMARY KEY,
  domain TEXT NOT NULL UNIQUE,
  due INTEGER NOT NULL,
  checked INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  failed_record TEXT NOT NULL,
  reason TEXT NOT NULL,
  error TEXT NOT NULL,
  record TEXT,
  fetched INTEGER,
  max_age INTEGER,
  policy TEXT
);
CREATE INDEX sts_policy_due ON sts_policy (due);
)";

constexpr std::string_view refused_table = R"(
CREATE TABLE sts_refused (
  domain TEXT PRIMARY KEY,
  policy TEXT NOT NULL
) WITHOUT ROWID;
)";

std::string rows_where(std::string_view condition) {
  std::string sql =
      "SELECT domain, due, checked, failures, failed, failed_record, reason, error, record, fetched, max_age, policy "
      "FROM "
      "sts_policy WHERE ";
  sql += condition;
  return sql;
}

// Nothing: what stands there is no row of ours (a name that none can be).
std::optional<PolicyRow> row_of(const disk::Statement& row) {
  auto domain = dns::Name::parse(row.text(0));
  if (!domain) return std::nullopt;
  PolicyRow found;
  found.domain = std::move(*domain);
  found.due = from_millis(row.integer(1));
  found.checked = from_millis(row.integer(2));
  mtasts::Failures& failures = found.freshness.failures;
  failures.count = static_cast<unsigned>(row.integer(3));
  failures.last = from_millis(row.integer(4));
  failures.id = row.text(5);
  if (failures.count > 0) {
    const auto reason = hop::parse_reason(row.text(6)).value_or(hop::Reason::sts_policy_fetch_error);
    found.problem = hop::Refusal{reason, std::string(row.text(7))};
  }
  if (!row.null(11)) {
    found.freshness.held =
        mtasts::Held{std::string(row.text(8)), from_millis(row.integer(9)), Seconds(row.integer(10))};
    found.text = row.text(11);
  }
  return found;
}

std::string_view reason_of(const PolicyRow& row) { return row.problem ? to_text(row.problem->reason) : ""; }
std::string_view error_of(const PolicyRow& row) { return row.problem ? std::string_view(row.problem->text) : ""; }

}  // namespace

std::vector<disk::Migration> policy_migrations() {
  disk::Migration first;
  first.name = "route: MTA-STS policies";
  first.sql = policy_table;
  return {first};
}

std::optional<PolicyRow> find_policy(disk::Tx& tx, const dns::Name& domain) {
  auto row = tx.prepare(rows_where("domain = ?1"));
  if (!row.bind(domain.text()).step()) return std::nullopt;
  return row_of(row);
}

disk::Migration refused_migration() {
  disk::Migration second;
  second.name = "route: MTA-STS policies that could not be accepted";
  second.sql = refused_table;
  return second;
}

KeptPolicy find_kept(disk::Tx& tx, const dns::Name& domain) {
  KeptPolicy kept;
  kept.row = find_policy(tx, domain);
  auto row = tx.prepare("SELECT policy FROM sts_refused WHERE domain = ?1");
  if (kept.row && row.bind(domain.text()).step()) kept.refused = row.text(0);
  return kept;
}

void put_refused(disk::Tx& tx, const dns::Name& domain, std::string_view text) {
  if (text.empty()) {
    tx.prepare("DELETE FROM sts_refused WHERE domain = ?1").bind(domain.text()).run();
    return;
  }
  tx.prepare("INSERT INTO sts_refused (domain, policy) VALUES (?1, ?2) ON CONFLICT (domain) DO UPDATE SET policy = ?2")
      .bind(domain.text(), text)
      .run();
}

void put_policy(disk::Tx& tx, const PolicyRow& row) {
  const auto& [held, failures] = row.freshness;
  using Text = std::optional<std::string_view>;
  using Number = std::optional<std::int64_t>;
  tx.prepare(
        "INSERT INTO sts_policy (domain, due, checked, failures, failed, failed_record, reason, error, record, "
        "fetched, "
        "max_age, policy) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (domain) DO UPDATE "
        "SET "
        "due = excluded.due, checked = excluded.checked, failures = excluded.failures, failed = excluded.failed, "
        "failed_record = excluded.failed_record, reason = excluded.reason, error = excluded.error, record = "
        "excluded.record, fetched = excluded.fetched, max_age = excluded.max_age, policy = excluded.policy")
      .bind(row.domain.text(), to_millis(row.due), to_millis(row.checked), failures.count, to_millis(failures.last),
            failures.id, reason_of(row), error_of(row), held ? Text(held->id) : Text(),
            held ? Number(to_millis(held->fetched)) : Number(), held ? Number(held->max_age.count()) : Number(),
            row.text ? Text(*row.text) : Text())
      .run();
}

void update_policy(disk::Tx& tx, const PolicyRow& row) {
  const auto& [held, failures] = row.freshness;
  using Number = std::optional<std::int64_t>;
  tx.prepare(
        "UPDATE sts_policy SET due = ?2, checked = ?3, failures = ?4, failed = ?5, failed_record = ?6, reason = ?7, "
        "error "
        "= ?8, fetched = ?9 WHERE domain = ?1")
      .bind(row.domain.text(), to_millis(row.due), to_millis(row.checked), failures.count, to_millis(failures.last),
            failures.id, reason_of(row), error_of(row), held ? Number(to_millis(held->fetched)) : Number())
      .run();
}

void remove_policy(disk::Tx& tx, const dns::Name& domain) {
  put_refused(tx, domain, "");
  tx.prepare("DELETE FROM sts_policy WHERE domain = ?1").bind(domain.text()).run();
}

std::vector<PolicyRow> list_policies(disk::Tx& tx, std::string_view after, std::size_t limit) {
  std::vector<PolicyRow> found;
  auto rows = tx.prepare(rows_where("domain > ?1 ORDER BY domain LIMIT ?2"));
  rows.bind(after, limit);
  while (rows.step()) {
    if (auto row = row_of(rows)) found.push_back(std::move(*row));
  }
  return found;
}

DuePolicies due_policies(disk::Tx& tx, const DueBy& by) {
  DuePolicies found;
  const auto take = [&](std::string_view where, Time time) {
    auto rows =
        tx.prepare("SELECT domain FROM sts_policy WHERE due " + std::string(where) + " ?1 ORDER BY due LIMIT ?2");
    rows.bind(to_millis(time), by.limit - found.domains.size());
    while (rows.step()) {
      if (auto domain = dns::Name::parse(rows.text(0))) found.domains.push_back(std::move(*domain));
    }
  };
  take("<=", by.now);
  take(">", by.horizon);
  auto first = tx.prepare("SELECT min(due) FROM sts_policy");
  if (first.step() && !first.null(0)) found.next = from_millis(first.integer(0));
  return found;
}

}  // namespace hoplock::store_sqlite
