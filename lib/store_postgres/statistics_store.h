// SPDX-License-Identifier: Apache-2.0
// Figures over time in PostgreSQL. A node makes rows of the batches of its own slot, and of those that dead nodes left.
#pragma once
#include "postgres/database.h"
#include "store/statistics_store.h"
#include "store_postgres/statistics_fold.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresStatisticsStore final : public StatisticsStore {
 public:
  // REQUIRES: database, with statistics_migrations() applied, outlives it.
  explicit PostgresStatisticsStore(postgres::Database& database, StatisticsLimits limits = {})
      : database_(database), limits_(limits) {}

  asio::awaitable<Result<>> write(MinutesPtr minutes) override;
  void write_later(MinutesPtr minutes) override;
  asio::awaitable<Result<>> tend() override;

 private:
  enum class Folded : bool { all, some };
  asio::awaitable<Result<Folded>> fold_some();
  asio::awaitable<Result<>> forget_some();

  postgres::Database& database_;
  StatisticsLimits limits_;
};

}  // namespace hoplock::store_postgres
