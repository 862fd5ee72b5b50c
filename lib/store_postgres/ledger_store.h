// SPDX-License-Identifier: Apache-2.0
// The ledger of TLS reports in PostgreSQL. Several nodes send reports, one sends each: due() claims what it gives for this node's
// incarnation, a claim ends with the round (postpone, finish) or when its node is dead (free_claims). What a report says is fixed in two
// steps: the account takes no more counts, waiting for who is just adding some; then it is read and stored, once for all.
#pragma once
#include <string>
#include <vector>

#include "postgres/database.h"
#include "store/ledger_store.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresLedgerStore final : public LedgerStore {
 public:
  // REQUIRES: database, with ledger_migrations() applied, outlives it.
  explicit PostgresLedgerStore(postgres::Database& database) : database_(database) {}

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
  asio::awaitable<Result<>> write(postgres::Job job);

  postgres::Database& database_;
};

}  // namespace hoplock::store_postgres
