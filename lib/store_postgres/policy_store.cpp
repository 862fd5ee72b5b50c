// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/policy_store.h"

#include <algorithm>
#include <utility>

#include "store_postgres/policy_rows.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Octets;
using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;

namespace {

using Number = std::optional<std::int64_t>;

std::string reason_of(const PolicyRow& row) {
  return row.problem ? std::string(to_text(row.problem->reason)) : std::string();
}
std::string error_of(const PolicyRow& row) { return row.problem ? text_of(row.problem->text) : std::string(); }

postgres::Statement put_refused(const dns::Name& domain, const std::string& text) {
  if (text.empty()) return statement("DELETE FROM sts_refused WHERE domain = $1", domain.text());
  return statement(
      "INSERT INTO sts_refused (domain, policy) VALUES ($1, $2) ON CONFLICT (domain) DO UPDATE SET policy = $2",
      domain.text(), Octets{text});
}

// The whole row, anew or over the old one.
postgres::Statement put_policy(const PolicyRow& row) {
  const auto& [held, failures] = row.freshness;
  return statement(
      "INSERT INTO sts_policy (domain, due, checked, failures, failed, failed_record, reason, error, record, fetched,"
      " max_age, policy) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (domain) DO UPDATE SET"
      " due = excluded.due, checked = excluded.checked, failures = excluded.failures, failed = excluded.failed,"
      " failed_record = excluded.failed_record, reason = excluded.reason, error = excluded.error,"
      " record = excluded.record, fetched = excluded.fetched, max_age = excluded.max_age, policy = excluded.policy,"
      " owner = 0, claimed = 0",
      row.domain.text(), row.due, row.checked, failures.count, failures.last, text_of(failures.id), reason_of(row),
      error_of(row), held ? std::optional(text_of(held->id)) : std::optional<std::string>(),
      held ? std::optional(held->fetched) : std::optional<Time>(), held ? Number(held->max_age.count()) : Number(),
      row.text ? std::optional(Octets{*row.text}) : std::optional<Octets>());
}

// Of a domain that has no policy as far as we know: one that another node fetched meanwhile stays.
postgres::Statement put_failed(const PolicyRow& row) {
  const auto& failures = row.freshness.failures;
  return statement(
      "INSERT INTO sts_policy AS p (domain, due, checked, failures, failed, failed_record, reason, error)"
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (domain) DO UPDATE SET"
      " due = CASE WHEN p.policy IS NULL THEN excluded.due ELSE least(p.due, excluded.due) END,"
      " checked = excluded.checked, failures = excluded.failures, failed = excluded.failed,"
      " failed_record = excluded.failed_record, reason = excluded.reason, error = excluded.error,"
      " owner = 0, claimed = 0",
      row.domain.text(), row.due, row.checked, failures.count, failures.last, text_of(failures.id), reason_of(row),
      error_of(row));
}

// All but the text of a policy that is there already; nor is one older that another node has fetched since.
postgres::Statement update_policy(const PolicyRow& row) {
  const auto& [held, failures] = row.freshness;
  return statement(
      "UPDATE sts_policy SET due = $2, checked = $3, failures = $4, failed = $5, failed_record = $6, reason = $7,"
      " error = $8, owner = 0, claimed = 0, fetched = CASE WHEN fetched > $9"
      " AND fetched <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint THEN fetched ELSE $9 END WHERE domain = "
      "$1",
      row.domain.text(), row.due, row.checked, failures.count, failures.last, text_of(failures.id), reason_of(row),
      error_of(row), held ? std::optional(held->fetched) : std::optional<Time>());
}

void add_removal(postgres::Batch& batch, const dns::Name& domain) {
  batch.push_back(put_refused(domain, ""));
  batch.push_back(statement("DELETE FROM sts_policy WHERE domain = $1", domain.text()));
}

postgres::Job relaxed_job(postgres::Batch statements) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  job.statements = std::move(statements);
  return job;
}

// Free, ours, or claimed more than a minute ago. $1: this incarnation.
#define HOPLOCK_CLAIMABLE                                                                             \
  "(owner IN (0, $1) OR claimed < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 60000 OR " \
  "claimed > (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 60000)"

constexpr std::string_view find_due_policies =
    "SELECT domain, owner FROM ("
    "(SELECT domain, owner, due, 0 AS part FROM sts_policy WHERE due <= $2 AND " HOPLOCK_CLAIMABLE
    " ORDER BY due LIMIT $4) UNION ALL "
    "(SELECT domain, owner, due, 1 FROM sts_policy WHERE due > $3 AND " HOPLOCK_CLAIMABLE
    " ORDER BY due LIMIT $4)) d ORDER BY part, due LIMIT $4";
constexpr std::string_view find_next_due = "SELECT min(due) FROM sts_policy WHERE " HOPLOCK_CLAIMABLE;
constexpr std::string_view claim_due =
    "UPDATE sts_policy SET owner = $1, claimed = (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    " WHERE domain IN (SELECT domain FROM sts_policy WHERE domain = ANY($2) AND " HOPLOCK_CLAIMABLE
    " FOR UPDATE SKIP LOCKED)";
constexpr std::string_view find_claimed = "SELECT domain FROM sts_policy WHERE domain = ANY($2) AND owner = $1";

#undef HOPLOCK_CLAIMABLE

}  // namespace

asio::awaitable<Result<>> PostgresPolicyStore::write(postgres::Job job) {
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  co_return Result<>();
}

asio::awaitable<Result<KeptPolicy>> PostgresPolicyStore::find(dns::Name domain) {
  postgres::Batch batch;
  batch.push_back(statement(select_policies("WHERE domain = $1"), domain.text()));
  batch.push_back(statement("SELECT policy FROM sts_refused WHERE domain = $1", domain.text()));
  auto answer = co_await database_.run(std::move(batch));
  if (!answer) co_return answer.error();
  KeptPolicy kept;
  if (!answer->at(0).empty()) kept.row = policy_of(answer->at(0)[0]);
  if (kept.row && !answer->at(1).empty()) kept.refused = answer->at(1)[0].bytea(0);
  co_return kept;
}

asio::awaitable<Result<>> PostgresPolicyStore::put(PolicyRow row) {
  postgres::Job job;
  const auto& held = row.freshness.held;
  if (held && held->max_age.count() > 0) {
    job.statements.push_back(put_policy(row));
    job.statements.push_back(put_refused(row.domain, ""));
  } else {
    add_removal(job.statements, row.domain);
  }
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<>> PostgresPolicyStore::put_failure(PolicyRow row, std::string refused) {
  postgres::Batch batch;
  batch.push_back(row.freshness.held ? update_policy(row) : put_failed(row));
  batch.push_back(put_refused(row.domain, refused));
  postgres::Job job = relaxed_job(std::move(batch));
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<>> PostgresPolicyStore::update(PolicyRow row) {
  postgres::Batch batch;
  batch.push_back(update_policy(row));
  postgres::Job job = relaxed_job(std::move(batch));
  co_return co_await write(std::move(job));
}

void PostgresPolicyStore::update_later(PolicyRow row) {
  postgres::Batch batch;
  batch.push_back(update_policy(row));
  database_.post(StreamKind::rest, relaxed_job(std::move(batch)));
}

asio::awaitable<Result<>> PostgresPolicyStore::remove(dns::Name domain) {
  postgres::Batch batch;
  add_removal(batch, domain);
  postgres::Job job = relaxed_job(std::move(batch));
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<DuePolicies>> PostgresPolicyStore::due(DueBy by) {
  const auto me = database_.lease().incarnation;
  postgres::Batch batch;
  batch.push_back(statement(std::string(find_due_policies), me, by.now, by.horizon, by.limit));
  batch.push_back(statement(std::string(find_next_due), me));
  auto answer = co_await database_.run(std::move(batch));
  if (!answer) co_return answer.error();
  DuePolicies found;
  if (const auto next = answer->at(1)[0].maybe_integer(0)) found.next = from_millis(*next);
  std::vector<std::string> domains, claimed;
  for (const postgres::Row row : answer->at(0)) domains.emplace_back(row.text(0));
  if (domains.empty()) co_return found;
  postgres::Batch claiming;
  claiming.push_back(statement(std::string(claim_due), Parameter::incarnation(), domains));
  claiming.push_back(statement(std::string(find_claimed), Parameter::incarnation(), domains));
  postgres::Job job = relaxed_job(std::move(claiming));
  job.read_back.assign(2, job.statements.at(1));
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  for (const postgres::Row row : written->rows.at(1)) claimed.emplace_back(row.text(0));
  std::sort(claimed.begin(), claimed.end());
  for (const std::string& domain : domains) {
    if (!std::binary_search(claimed.begin(), claimed.end(), domain)) continue;
    if (auto name = dns::Name::parse(domain)) found.domains.push_back(std::move(*name));
  }
  co_return found;
}

}  // namespace hoplock::store_postgres
