// SPDX-License-Identifier: Apache-2.0
// The ledger of TLS reports in SQLite: each operation is a job on the disk thread.
#pragma once
#include <string>
#include <vector>

#include "disk/disk.h"
#include "store/ledger_store.h"

namespace hoplock::store_sqlite {

using namespace store;

class SqliteLedgerStore final : public LedgerStore {
 public:
  // REQUIRES: disk, with ledger_migrations(), quota_migrations() and report_mail_migration() applied, outlives it.
  explicit SqliteLedgerStore(disk::Disk& disk) : disk_(disk) {}

  asio::awaitable<Result<DueReports>> due(Time now, std::size_t limit) override;
  asio::awaitable<Result<LoadedReport>> load(ReportKey key) override;
  asio::awaitable<Result<std::optional<BuiltReport>>> build(ReportKey key, tlsrpt::Submitter submitter,
                                                            std::vector<ReportDestination> destinations) override;
  asio::awaitable<Result<>> put_destination(ReportKey key, ReportDestination destination) override;
  asio::awaitable<Result<>> postpone(ReportRound round, ReportPause pause) override;
  asio::awaitable<Result<>> finish(ReportRound round, ReportState end) override;
  asio::awaitable<Result<std::string>> take_quota(ReportLoad load, ReportQuota quota) override;
  asio::awaitable<Result<std::size_t>> plan(ReportPlan plan) override;
  asio::awaitable<Result<More>> prune(tlsrpt::Day before, PruneReports which, tlsrpt::Day today) override;
  asio::awaitable<Result<ReportsSentNow>> send_now(ReportSelection which, Time now) override;
  asio::awaitable<Result<std::optional<ReturnedReport>>> take_bounce(Id mail, tlsrpt::Bounce bounce) override;

 private:
  disk::Disk& disk_;
};

}  // namespace hoplock::store_sqlite
