// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/fnv1a.h"
#include "store_sqlite/ledger_rows.h"

namespace hoplock::store_sqlite {

namespace {

// What the accounts of a day may hold together beyond what each always may: 10 million sessions to 50,000 domains stay below 400 MiB,
// whatever servers say and however often their policies change.
constexpr std::uint64_t day_octets = 48U << 20U;
constexpr std::uint64_t day_details = 300'000;
constexpr tlsrpt::Limits always{8, 8192, 48};
// RPT-48: an account may hold a thirty-second of what is left of the day's. However much others take, what is left for one that comes
// later shrinks slowly, and what it always may stays its own.
constexpr std::uint64_t share = 32;

struct Totals {
  std::uint64_t octets = 0;
  std::uint64_t details = 0;
};

Totals totals_of(disk::Tx& tx, tlsrpt::Day day) {
  auto row = tx.prepare("SELECT octets, details FROM tlsrpt_day WHERE day = ?1");
  if (!row.bind(number_of(day)).step()) return {};
  return {static_cast<std::uint64_t>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1))};
}

std::size_t part_of(std::uint64_t all, std::uint64_t used) {
  return static_cast<std::size_t>((all - std::min(all, used)) / share);
}

tlsrpt::Limits limits_on(const Totals& day) {
  const tlsrpt::Limits most;
  tlsrpt::Limits limits;
  limits.policy_octets = std::clamp(part_of(day_octets, day.octets), always.policy_octets, most.policy_octets);
  limits.details = std::clamp(part_of(day_details, day.details), always.details, most.details);
  if (day.octets >= day_octets || day.details >= day_details) limits.policies = always.policies;
  return limits;
}

void raise_totals(disk::Tx& tx, tlsrpt::Day day, const Totals& by) {
  tx.prepare(
        "INSERT INTO tlsrpt_day (day, octets, details) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (day) DO UPDATE SET octets = octets + ?2, details = details + ?3")
      .bind(number_of(day), by.octets, by.details)
      .run();
}

// A policy as its row has it.
struct Columns {
  explicit Columns(const tlsrpt::Policy& policy)
      : type(policy.type),
        domain(policy.domain.text()),
        text(join_lines(policy.text)),
        mx_host(join_lines(policy.mx_host)) {
    for (const std::string_view one :
         {tlsrpt::to_text(type), std::string_view(domain), std::string_view(text), std::string_view(mx_host)}) {
      hash = fnv1a("\xff", fnv1a(one, hash));
    }
  }
  tlsrpt::PolicyType type;
  std::string domain;
  std::string text;
  std::string mx_host;
  std::uint64_t hash = fnv1a("");  // stored; equal ones are compared in full
};

std::string text_of(const std::optional<Ip>& ip) { return ip ? ip->text() : std::string(); }

// One account while sessions are added to it.
class Adding {
 public:
  Adding(disk::Tx& tx, AccountRow row, ReportKey key)
      : tx_(tx), row_(std::move(row)), key_(std::move(key)), before_(row_) {}

  void add(const tlsrpt::Sessions& sessions) {
    const std::int64_t element = find_or_make(sessions.policy);
    tx_.prepare("UPDATE tlsrpt_element SET successes = successes + ?2, failures = failures + ?3 WHERE id = ?1")
        .bind(element, sessions.successes, sessions.failures)
        .run();
    for (const auto& failure : sessions.details) add_detail(element, failure);
  }

  // Writes the account down; what it holds more than before.
  Totals end(std::uint64_t sessions, std::uint64_t failures) {
    tx_.prepare(
           "UPDATE tlsrpt_account SET sessions = sessions + ?2, failures = failures + ?3, elements = ?4, octets = ?5,"
           " details = ?6 WHERE id = ?1")
        .bind(row_.id, sessions, failures, row_.elements, row_.octets, row_.details)
        .run();
    return {row_.octets - before_.octets, row_.details - before_.details};
  }

 private:
  // Asked for only when something new comes.
  const tlsrpt::Limits& limits() {
    if (!limits_) {
      const Totals day = totals_of(tx_, key_.day);
      limits_ = limits_on(day);
    }
    return *limits_;
  }

  std::int64_t find_or_make(const tlsrpt::Policy& policy) {
    const Columns columns(policy);
    if (const auto known = find(columns)) return *known;
    const std::size_t octets = columns.text.size() + columns.mx_host.size();
    const bool fits = row_.elements < limits().policies && row_.octets + octets <= limits().policy_octets;
    const tlsrpt::Policy bare{policy.type, {}, key_.domain, {}};
    if (!fits && policy != bare) return find_or_make(bare);
    ++row_.elements;
    row_.octets += octets;
    auto made = tx_.prepare(
        "INSERT INTO tlsrpt_element (account, hash, type, domain, text, mx_host, successes, failures)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0) RETURNING id");
    made.bind(row_.id, columns.hash, columns.type, columns.domain, columns.text, columns.mx_host).step();
    return made.integer(0);
  }

  std::optional<std::int64_t> find(const Columns& columns) {
    auto rows = tx_.prepare(
        "SELECT id FROM tlsrpt_element"
        " WHERE account = ?1 AND hash = ?2 AND type = ?3 AND domain = ?4 AND text = ?5 AND mx_host = ?6");
    rows.bind(row_.id, columns.hash, columns.type, columns.domain, columns.text, columns.mx_host);
    return rows.step() ? std::optional(rows.integer(0)) : std::nullopt;
  }

  void add_detail(std::int64_t element, const tlsrpt::Failure& failure) {
    if (raise_detail(element, failure)) return;
    if (row_.details < limits().details) {
      ++row_.details;
      return make_detail(element, failure);
    }
    tlsrpt::Failure other;  // as tlsrpt::Tally has it
    other.type = failure.type;
    other.reason = "other";
    other.sessions = failure.sessions;
    if (!raise_detail(element, other)) make_detail(element, other);
  }

  bool raise_detail(std::int64_t element, const tlsrpt::Failure& failure) {
    tx_.prepare(
           "UPDATE tlsrpt_detail SET sessions = sessions + ?9 WHERE element = ?1 AND type = ?2 AND receiving_host = ?3"
           " AND receiving_ip = ?4 AND receiving_helo = ?5 AND sending_ip = ?6 AND reason = ?7 AND information = ?8")
        .bind(element, failure.type, failure.receiving_host, text_of(failure.receiving_ip), failure.receiving_helo,
              text_of(failure.sending_ip), failure.reason, failure.information, failure.sessions)
        .run();
    return tx_.changes() > 0;
  }

  void make_detail(std::int64_t element, const tlsrpt::Failure& failure) {
    tx_.prepare(
           "INSERT INTO tlsrpt_detail (element, type, receiving_host, receiving_ip, receiving_helo, sending_ip, reason,"
           " information, sessions) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
        .bind(element, failure.type, failure.receiving_host, text_of(failure.receiving_ip), failure.receiving_helo,
              text_of(failure.sending_ip), failure.reason, failure.information, failure.sessions)
        .run();
  }

  disk::Tx& tx_;
  AccountRow row_;
  ReportKey key_;
  AccountRow before_;
  std::optional<tlsrpt::Limits> limits_;
};

// The account that a session of that day is counted in, made if need be; `key` becomes that account's own.
AccountRow open_account(disk::Tx& tx, ReportKey& key) {
  auto row = find_row(tx, key);
  while (row && row->state >= ReportState::built) {
    key.day += std::chrono::days{1};
    row = find_row(tx, key);
  }
  if (row) return *row;
  tx.prepare("INSERT INTO tlsrpt_account (day, domain, tag) VALUES (?1, ?2, lower(hex(randomblob(6))))")
      .bind(number_of(key.day), key.domain.text())
      .run();
  return find_row(tx, key).value();
}

}  // namespace

void add_counts(disk::Tx& tx, const LedgerCounts& counts) {
  for (const auto& [key, account] : counts.accounts()) {
    ReportKey open = key;
    AccountRow row = open_account(tx, open);
    Adding adding(tx, std::move(row), open);
    for (const auto& sessions : account.tally.sum()) adding.add(sessions);
    const Totals more = adding.end(account.sessions, account.failures);
    if (more.octets > 0 || more.details > 0) raise_totals(tx, open.day, more);
  }
}

}  // namespace hoplock::store_sqlite
