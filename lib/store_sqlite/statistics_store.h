// SPDX-License-Identifier: Apache-2.0
// Figures over time in SQLite: each operation is a job on the disk thread.
#pragma once
#include "disk/disk.h"
#include "store/statistics_store.h"

namespace hoplock::store_sqlite {

using namespace store;

class SqliteStatisticsStore final : public StatisticsStore {
 public:
  // REQUIRES: disk, with statistics_migration() applied, outlives it.
  explicit SqliteStatisticsStore(disk::Disk& disk) : disk_(disk) {}

  asio::awaitable<Result<>> write(MinutesPtr minutes) override;
  void write_later(MinutesPtr minutes) override;
  asio::awaitable<Result<>> tend() override;

 private:
  disk::Disk& disk_;
};

}  // namespace hoplock::store_sqlite
