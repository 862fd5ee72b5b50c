// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/ledger_store.h"

#include <utility>

#include "store_postgres/ledger_batch.h"
#include "store_postgres/ledger_rows.h"
#include "store_postgres/ledger_write.h"
#include "store_postgres/text.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"

namespace hoplock::store_postgres {

using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;

namespace {

constexpr std::int64_t forgotten_accounts = 50;  // accounts, each of which may have many rows

postgres::Statement select_mine(const Parameter& me, Time now, std::size_t limit) {
  return statement("SELECT day, domain FROM tlsrpt_account WHERE due <= $1 AND owner = $2 ORDER BY due LIMIT $3", now,
                   me, limit);
}

// As many as `limit` leaves beside those that are ours already.
postgres::Job claim_reports(Time now, std::size_t limit) {
  postgres::Job job;
  job.statements.push_back(
      statement("UPDATE tlsrpt_account SET owner = $2 WHERE id IN (SELECT id FROM tlsrpt_account WHERE due <= $1"
                " AND owner = 0 ORDER BY due"
                " LIMIT greatest(0, $3 - (SELECT count(*) FROM tlsrpt_account WHERE due <= $1 AND owner = $2))"
                " FOR NO KEY UPDATE SKIP LOCKED)",
                now, Parameter::incarnation(), limit));
  job.statements.push_back(select_mine(Parameter::incarnation(), now, limit));
  job.read_back.assign(2, job.statements.at(1));
  return job;
}

}  // namespace

asio::awaitable<Result<>> PostgresLedgerStore::write(postgres::Job job) {
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  co_return Result<>();
}

// Asked every few seconds, so nothing is written while nothing is free.
asio::awaitable<Result<DueReports>> PostgresLedgerStore::due(Time now, std::size_t limit) {
  const Parameter me(database_.lease().incarnation);
  postgres::Batch batch;
  batch.push_back(select_mine(me, now, limit));
  batch.push_back(
      statement("SELECT EXISTS (SELECT FROM tlsrpt_account WHERE due <= $1 AND owner = 0),"
                " (SELECT min(due) FROM tlsrpt_account WHERE due > $1)",
                now));
  auto answer = co_await database_.run(std::move(batch));
  if (!answer) co_return answer.error();
  DueReports found;
  const postgres::Row others = answer->at(1)[0];
  if (const auto next = others.maybe_integer(1)) found.next = from_millis(*next);
  postgres::Rows mine = answer->at(0);
  if (mine.size() < limit && others.boolean(0)) {
    postgres::Job job = claim_reports(now, limit);
    auto claimed = co_await database_.write(StreamKind::rest, std::move(job));
    if (!claimed) co_return claimed.error();
    mine = claimed->rows.at(1);
  }
  for (const postgres::Row row : mine)
    if (auto key = key_of(row)) found.keys.push_back(std::move(*key));
  co_return found;
}

asio::awaitable<Result<LoadedReport>> PostgresLedgerStore::load(ReportKey key) {
  postgres::Batch batch;
  batch.push_back(
      statement(select_accounts("", "WHERE a.day = $1 AND a.domain = $2"), number_of(key.day), key.domain.text()));
  batch.push_back(select_destinations(key));
  auto answer = co_await database_.run(std::move(batch));
  if (!answer) co_return answer.error();
  LoadedReport loaded;
  if (!answer->at(0).empty()) loaded.account = account_of(answer->at(0)[0]);
  for (const postgres::Row row : answer->at(1)) loaded.destinations.push_back(destination_of(row));
  co_return loaded;
}

asio::awaitable<Result<std::optional<BuiltReport>>> PostgresLedgerStore::build(
    ReportKey key, tlsrpt::Submitter submitter, std::vector<ReportDestination> destinations) {
  postgres::Batch known;
  known.push_back(select_tag(key));
  known.push_back(select_built(key));
  auto answer = co_await database_.run(std::move(known));
  if (!answer) co_return answer.error();
  if (answer->at(0).empty()) co_return std::optional<BuiltReport>();
  const std::string tag(answer->at(0)[0].text(0));
  postgres::Job store;
  add_destinations(store.statements, key, destinations);
  if (answer->at(1).empty()) {
    postgres::Job seal = seal_report(key);
    const auto sealed = co_await write(std::move(seal));
    if (!sealed) co_return sealed.error();
    postgres::Statement all = select_counted(key);
    auto counted = co_await database_.run(std::move(all));
    if (!counted) co_return counted.error();
    const tlsrpt::Report report = report_of(key, submitter, tag, *counted);
    BuiltReport made;
    made.report_id = report.id;
    made.file_name = tlsrpt::file_name(submitter, key.domain, key.day, tag);
    made.policies = static_cast<std::uint32_t>(report.policies.size());
    made.gzip = tlsrpt::gzip(tlsrpt::to_json(report));
    add_report(store.statements, key, made);
  }
  if (!store.statements.empty()) {
    const auto stored = co_await write(std::move(store));
    if (!stored) co_return stored.error();
  }
  postgres::Statement stored_report = select_built(key);
  auto built = co_await database_.run(std::move(stored_report));  // another node's, where that was faster
  if (!built) co_return built.error();
  co_return built_of(*built);
}

asio::awaitable<Result<>> PostgresLedgerStore::put_destination(ReportKey key, ReportDestination destination) {
  postgres::Job job;
  std::vector<ReportDestination> one;
  one.push_back(std::move(destination));
  add_destinations(job.statements, key, one);
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<>> PostgresLedgerStore::postpone(ReportRound round, ReportPause pause) {
  postgres::Job job;
  add_destinations(job.statements, round.key, round.destinations);
  job.statements.push_back(
      statement("UPDATE tlsrpt_account SET due = $3, since = $4, attempts = attempts + 1, error = $5, owner = 0"
                " WHERE day = $1 AND domain = $2 AND state IN (1, 2) AND owner IN (0, $6)",
                number_of(round.key.day), round.key.domain.text(), pause.next, pause.since, text_of(round.error),
                Parameter::incarnation()));
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<>> PostgresLedgerStore::finish(ReportRound round, ReportState end) {
  postgres::Job job;
  add_destinations(job.statements, round.key, round.destinations);
  job.statements.push_back(
      statement("UPDATE tlsrpt_account SET state = $3, due = NULL, attempts = attempts + $4::int, error = $5, owner = 0"
                " WHERE day = $1 AND domain = $2 AND owner IN (0, $6)",
                number_of(round.key.day), round.key.domain.text(), end, end == ReportState::skipped ? 0 : 1,
                text_of(round.error), Parameter::incarnation()));
  job.statements.push_back(mark_if_returned(round.key));
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<std::string>> PostgresLedgerStore::take_quota(ReportLoad load, ReportQuota quota) {
  const auto limits = limits_for(load.to, quota);
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  add_quota(job.statements, load, limits);
  const postgres::Statement again = job.statements.at(1);
  job.read_back.assign(job.statements.size(), again);
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  if (written->replayed) co_return std::string();  // counted, or the next one is refused
  co_return over_quota(written->rows.at(1), load, limits);
}

asio::awaitable<Result<std::size_t>> PostgresLedgerStore::plan(ReportPlan plan) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  const std::size_t asked = plan.delays.size();
  add_plan(job.statements, plan);
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  if (written->rows.size() < 2) co_return asked;  // its answer was lost: there may be more
  co_return static_cast<std::size_t>(written->rows.at(1).changed());
}

asio::awaitable<Result<More>> PostgresLedgerStore::prune(tlsrpt::Day before, PruneReports which, tlsrpt::Day today) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  job.statements.push_back(forget_reports(before, which, forgotten_accounts));
  job.statements.push_back(statement("DELETE FROM tlsrpt_day WHERE day < $1", number_of(before)));
  job.statements.push_back(statement("DELETE FROM tlsrpt_quota WHERE day < $1", number_of(today)));
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  if (written->rows.empty()) co_return More::yes;
  co_return written->rows.at(0)[0].integer(0) == forgotten_accounts ? More::yes : More::no;
}

asio::awaitable<Result<ReportsSentNow>> PostgresLedgerStore::send_now(ReportSelection which, Time now) {
  postgres::Job job;
  job.statements.push_back(hasten_reports(which, now));
  job.read_back.push_back(select_page(which));
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  ReportsSentNow done;
  for (const postgres::Row row : written->rows.at(0)) {  // day, domain, state come first in both
    auto key = key_of(row);
    if (!key) continue;
    ++done.found;
    if (static_cast<ReportState>(row.integer(2)) != ReportState::sent) ++done.sending;
    done.last = std::move(key);
  }
  co_return done;
}

asio::awaitable<Result<std::optional<ReturnedReport>>> PostgresLedgerStore::take_bounce(Id mail,
                                                                                        tlsrpt::Bounce bounce) {
  postgres::Job job;
  const std::vector<GivenUpReport> reports{{mail, bounce.why}};
  add_bounce(job, mail, bounce);
  job.statements.push_back(read_given_up(reports));
  job.read_back.push_back(read_given_up(reports));
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  if (written->rows.at(0).changed() == 0) co_return std::optional<ReturnedReport>();
  co_return std::move(returned_reports(written->rows.at(2), 1).at(0));
}

}  // namespace hoplock::store_postgres
