// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics_store.h"

#include <utility>

#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_series.h"

namespace hoplock::store_sqlite {

using disk::Durability;

namespace {
constexpr std::size_t octets_of_minutes = 1024;      // about
constexpr std::size_t octets_of_tending = 64 << 10;  // likewise
}  // namespace

asio::awaitable<Result<>> SqliteStatisticsStore::write(MinutesPtr minutes) {
  auto job = [minutes = std::move(minutes)](disk::Tx& tx) -> Result<> {
    write_series(tx, *minutes);
    return {};
  };
  return disk_.run(Durability::relaxed, octets_of_minutes, std::move(job));
}

void SqliteStatisticsStore::write_later(MinutesPtr minutes) {
  disk_.post(Durability::relaxed, [minutes = std::move(minutes)](disk::Tx& tx) -> Result<> {
    write_series(tx, *minutes);
    return {};
  });
}

asio::awaitable<Result<>> SqliteStatisticsStore::tend() {
  auto job = [](disk::Tx& tx) -> Result<> {
    fold_statistics(tx);
    forget_statistics(tx);  // a slice
    return {};
  };
  return disk_.run(Durability::relaxed, octets_of_tending, std::move(job));
}

}  // namespace hoplock::store_sqlite
