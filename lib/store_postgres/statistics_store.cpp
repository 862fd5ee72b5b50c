// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/statistics_store.h"

#include <memory>
#include <utility>

#include "store_postgres/ledger_rows.h"
#include "store_postgres/statistics_series.h"

namespace hoplock::store_postgres {

using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;

namespace {

constexpr std::size_t folded_at_once = 1'000;    // batches
constexpr int folds_at_most = 100;               // of one call
constexpr std::int64_t forgotten_at_once = 200;  // rows

using Numbers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

std::int64_t second_of(Time time, statistics::Day day) { return std::chrono::floor<Seconds>(time - day).count(); }

// What is stored already of that which was gathered, in three answers.
postgres::Batch select_known(const StatisticsFold& fold, std::int64_t slot) {
  std::set<std::pair<statistics::Day, std::string>> places;
  for (const auto& [row, sum] : fold.gathered()) {
    places.insert({row.day, row.domain});
    places.insert({row.day, ""});
  }
  Numbers days;
  Texts domains;
  for (const auto& [day, domain] : places) {
    days.push_back(number_of(day));
    domains.push_back(domain);
  }
  postgres::Batch batch;
  batch.push_back(
      statement("SELECT s.day, s.domain, s.kind, s.what FROM unnest($1, $2) AS p(day, domain)"
                " JOIN statistics s ON s.day = p.day AND s.domain = p.domain WHERE s.slot = $3",
                days, domains, slot));
  batch.push_back(statement(
      "SELECT day, domains, strangers, rows FROM statistics_day WHERE day = ANY($1) AND slot = $2", days, slot));
  batch.push_back(statement("SELECT domain FROM statistics_domain WHERE domain = ANY($1)", domains));
  return batch;
}

void know(StatisticsFold& fold, const postgres::Answer& known) {
  for (const postgres::Row row : known.at(0))
    fold.know_row({day_of_number(row.integer(0)), std::string(row.text(1)),
                   static_cast<statistics::Kind>(row.integer(2)), std::string(row.text(3))});
  for (const postgres::Row row : known.at(1)) {
    StatisticsFold::Totals totals;
    totals.domains = static_cast<std::uint64_t>(row.integer(1));
    totals.strangers = static_cast<std::uint64_t>(row.integer(2));
    totals.rows = static_cast<std::uint64_t>(row.integer(3));
    fold.know_day(day_of_number(row.integer(0)), totals);
  }
  for (const postgres::Row row : known.at(2)) fold.know_domain(std::string(row.text(0)));
}

void add_rows(postgres::Batch& batch, const StatisticsFold& fold) {
  Numbers days, kinds, counts, messages, octets, first, last;
  Texts domains, whats;
  for (const auto& [row, sum] : fold.placed()) {
    days.push_back(number_of(row.day));
    domains.push_back(row.domain);
    kinds.push_back(static_cast<std::int64_t>(row.kind));
    whats.push_back(row.what);
    counts.push_back(static_cast<std::int64_t>(sum.count));
    messages.push_back(static_cast<std::int64_t>(sum.messages));
    octets.push_back(static_cast<std::int64_t>(sum.octets));
    first.push_back(second_of(sum.first, row.day));
    last.push_back(second_of(sum.last, row.day));
  }
  batch.push_back(
      statement("INSERT INTO statistics AS s (day, domain, kind, what, slot, count, messages, octets, first, last)"
                " SELECT r.day, r.domain, r.kind, r.what, $1, r.count, r.messages, r.octets, r.first, r.last"
                " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)"
                " AS r(day, domain, kind, what, count, messages, octets, first, last)"
                " ON CONFLICT (day, domain, kind, what, slot) DO UPDATE SET count = s.count + excluded.count,"
                " messages = s.messages + excluded.messages, octets = s.octets + excluded.octets,"
                " first = least(s.first, excluded.first), last = greatest(s.last, excluded.last)",
                Parameter::slot(), days, domains, kinds, whats, counts, messages, octets, first, last));
  batch.push_back(
      statement("INSERT INTO statistics_domain AS d (domain, day) SELECT r.domain, max(r.day) FROM unnest($1, $2) AS "
                "r(domain, day)"
                " WHERE r.domain <> '' GROUP BY r.domain ORDER BY r.domain COLLATE \"C\""
                " ON CONFLICT (domain) DO UPDATE SET day = excluded.day WHERE d.day < excluded.day",
                domains, days));
}

void add_totals(postgres::Batch& batch, const StatisticsFold& fold) {
  Numbers days, domains, strangers, rows;
  for (const auto& [day, totals] : fold.totals()) {
    if (!totals.changed) continue;
    days.push_back(number_of(day));
    domains.push_back(static_cast<std::int64_t>(totals.domains));
    strangers.push_back(static_cast<std::int64_t>(totals.strangers));
    rows.push_back(static_cast<std::int64_t>(totals.rows));
  }
  batch.push_back(
      statement("INSERT INTO statistics_day (day, slot, domains, strangers, rows)"
                " SELECT t.day, $1, t.domains, t.strangers, t.rows FROM unnest($2, $3, $4, $5) AS t(day, domains, "
                "strangers, rows)"
                " ON CONFLICT (day, slot) DO UPDATE SET domains = excluded.domains, strangers = excluded.strangers,"
                " rows = excluded.rows",
                Parameter::slot(), days, domains, strangers, rows));
}

postgres::Job series_job(const statistics::Tally::Minutes& minutes) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  add_series(job.statements, minutes);
  return job;
}

}  // namespace

asio::awaitable<Result<>> PostgresStatisticsStore::write(MinutesPtr minutes) {
  postgres::Job job = series_job(*minutes);
  if (job.statements.empty()) co_return Result<>();
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  co_return Result<>();
}

void PostgresStatisticsStore::write_later(MinutesPtr minutes) {
  if (!minutes->empty()) database_.post(StreamKind::rest, series_job(*minutes));
}

asio::awaitable<Result<>> PostgresStatisticsStore::tend() {
  for (int folds = 0; folds < folds_at_most; ++folds) {
    const auto folded = co_await fold_some();
    if (!folded) co_return folded.error();
    if (*folded == Folded::all) break;
  }
  co_return co_await forget_some();
}

// Nobody else makes rows of our slot; what a dead node left may be somebody else's meanwhile, and then all of this is done another time.
asio::awaitable<Result<PostgresStatisticsStore::Folded>> PostgresStatisticsStore::fold_some() {
  const std::int64_t slot = database_.lease().slot;
  postgres::Statement some = statement(
      "SELECT id, day, data FROM statistics_batch WHERE slot = $1 OR slot NOT IN (SELECT slot FROM node WHERE state = "
      "0)"
      " ORDER BY id LIMIT $2",
      slot, folded_at_once);
  auto batches = co_await database_.run(std::move(some));
  if (!batches) co_return batches.error();
  if (batches->empty()) co_return Folded::all;
  Numbers ids;
  const auto fold = std::make_shared<StatisticsFold>(limits_);
  for (const postgres::Row row : *batches) {
    ids.push_back(row.integer(0));
    fold->gather(day_of_number(row.integer(1)), row.bytea(2));
  }
  postgres::Batch asked = select_known(*fold, slot);
  auto known = co_await database_.run(std::move(asked));
  if (!known) co_return known.error();
  know(*fold, *known);
  fold->place();
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  job.statements.push_back(
      statement("WITH gone AS (DELETE FROM statistics_batch WHERE id = ANY($1) RETURNING 1)"
                " SELECT 1 / (CASE WHEN count(*) = $2 THEN 1 ELSE 0 END) FROM gone",
                ids, ids.size()));
  // were we fenced meanwhile, the slot may be another one
  job.statements.push_back(statement("SELECT 1 / (CASE WHEN $1 = $2 THEN 1 ELSE 0 END)", Parameter::slot(), slot));
  add_rows(job.statements, *fold);
  add_totals(job.statements, *fold);
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written && written.error().code == errc::bad_message) co_return Folded::all;  // of a dead node, by another one
  if (!written) co_return written.error();
  co_return batches->size() < folded_at_once ? Folded::all : Folded::some;
}

asio::awaitable<Result<>> PostgresStatisticsStore::forget_some() {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  const std::string before =
      "(SELECT day FROM (SELECT DISTINCT day FROM statistics_day) d ORDER BY day DESC LIMIT 1 OFFSET $1)";
  job.statements.push_back(
      statement("DELETE FROM statistics WHERE (day, domain, kind, what, slot) IN (SELECT day, domain, kind, what, slot"
                " FROM statistics WHERE day <= " +
                    before + " LIMIT $2)",
                limits_.days, forgotten_at_once));
  job.statements.push_back(statement(
      "DELETE FROM statistics_domain WHERE domain IN (SELECT domain FROM statistics_domain WHERE day <= " + before +
          " LIMIT $2 FOR UPDATE SKIP LOCKED)",
      limits_.days, forgotten_at_once));
  job.statements.push_back(statement("DELETE FROM statistics_day t WHERE day <= " + before +
                                         " AND NOT EXISTS (SELECT FROM statistics s WHERE s.day = t.day)",
                                     limits_.days));
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  co_return Result<>();
}

}  // namespace hoplock::store_postgres
