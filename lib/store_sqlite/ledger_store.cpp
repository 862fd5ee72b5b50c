// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/ledger_store.h"

#include <algorithm>
#include <utility>

#include "store_sqlite/ledger.h"
#include "store_sqlite/quota.h"
#include "store_sqlite/report_mails.h"

namespace hoplock::store_sqlite {

using disk::Durability;

namespace {

constexpr std::size_t pruned_at_once = 50;  // accounts, each of which may have many rows

void put_destinations(disk::Tx& tx, const ReportRound& round) {
  for (const ReportDestination& one : round.destinations) put_report_destination(tx, round.key, one);
}

}  // namespace

asio::awaitable<Result<DueReports>> SqliteLedgerStore::due(Time now, std::size_t limit) {
  auto job = [now, limit](disk::Tx& tx) -> Result<DueReports> { return due_reports(tx, now, limit); };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<LoadedReport>> SqliteLedgerStore::load(ReportKey key) {
  auto job = [key = std::move(key)](disk::Tx& tx) -> Result<LoadedReport> {
    LoadedReport loaded;
    loaded.account = find_account(tx, key);
    loaded.destinations = report_destinations(tx, key);
    return loaded;
  };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<std::optional<BuiltReport>>> SqliteLedgerStore::build(
    ReportKey key, tlsrpt::Submitter submitter, std::vector<ReportDestination> destinations) {
  auto job = [key = std::move(key), submitter = std::move(submitter),
              destinations = std::move(destinations)](disk::Tx& tx) -> Result<std::optional<BuiltReport>> {
    auto built = build_report(tx, key, submitter);
    for (const ReportDestination& one : destinations) put_report_destination(tx, key, one);
    return built;
  };
  return disk_.run(Durability::durable, std::move(job));
}

asio::awaitable<Result<>> SqliteLedgerStore::put_destination(ReportKey key, ReportDestination destination) {
  auto job = [key = std::move(key), destination = std::move(destination)](disk::Tx& tx) -> Result<> {
    put_report_destination(tx, key, destination);
    return {};
  };
  return disk_.run(Durability::durable, std::move(job));
}

asio::awaitable<Result<>> SqliteLedgerStore::postpone(ReportRound round, ReportPause pause) {
  auto job = [round = std::move(round), pause](disk::Tx& tx) -> Result<> {
    put_destinations(tx, round);
    postpone_report(tx, round.key, pause, round.error);
    return {};
  };
  return disk_.run(Durability::durable, std::move(job));
}

asio::awaitable<Result<>> SqliteLedgerStore::finish(ReportRound round, ReportState end) {
  auto job = [round = std::move(round), end](disk::Tx& tx) -> Result<> {
    put_destinations(tx, round);
    finish_report(tx, round.key, end, round.error);
    mark_if_returned(tx, round.key);
    return {};
  };
  return disk_.run(Durability::durable, std::move(job));
}

asio::awaitable<Result<std::string>> SqliteLedgerStore::take_quota(ReportLoad load, ReportQuota quota) {
  auto job = [load = std::move(load), quota](disk::Tx& tx) -> Result<std::string> {
    return store_sqlite::take_quota(tx, load, quota);
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<std::size_t>> SqliteLedgerStore::plan(ReportPlan plan) {
  auto job = [plan = std::move(plan)](disk::Tx& tx) -> Result<std::size_t> {
    rebase_reports(tx, plan.now, plan.latest);
    const auto keys = unplanned_reports(tx, tlsrpt::day_of(plan.now), plan.delays.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Time begin = tlsrpt::begin_of(keys[i].day + std::chrono::days{1});
      plan_report(tx, keys[i], std::max(plan.now, begin + plan.send_at + plan.delays[i]));
    }
    return keys.size();
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<More>> SqliteLedgerStore::prune(tlsrpt::Day before, PruneReports which, tlsrpt::Day today) {
  auto job = [before, which, today](disk::Tx& tx) -> Result<More> {
    forget_quota(tx, today);
    return prune_reports(tx, before, which, pruned_at_once) ? More::yes : More::no;
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<ReportsSentNow>> SqliteLedgerStore::send_now(ReportSelection which, Time now) {
  auto job = [which = std::move(which), now](disk::Tx& tx) -> Result<ReportsSentNow> {
    ReportsSentNow done;
    for (const ReportAccount& account : list_accounts(tx, which)) {
      ++done.found;
      if (send_report_now(tx, account.key, now)) ++done.sending;
      done.last = account.key;
    }
    return done;
  };
  return disk_.run(Durability::durable, std::move(job));
}

asio::awaitable<Result<std::optional<ReturnedReport>>> SqliteLedgerStore::take_bounce(Id mail, tlsrpt::Bounce bounce) {
  auto job = [mail, bounce = std::move(bounce)](disk::Tx& tx) -> Result<std::optional<ReturnedReport>> {
    return take_report_bounce(tx, mail, bounce);
  };
  return disk_.run(Durability::durable, std::move(job));
}

}  // namespace hoplock::store_sqlite
