// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics_store.h"

#include <utility>

#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_series.h"

namespace hoplock::store_sqlite {

using disk::Durability;

namespace {
constexpr std::size_t octets_of_minutes = 1024;  // about
}  // namespace

asio::awaitable<Result<>> SqliteStatisticsStore::write(MinutesPtr minutes) {
  auto job = [minutes = std::move(minutes)](disk::Tx& tx) -> Result<> {
    write_series(tx, *minutes);
    forget_statistics(tx);  // a slice of what is older than the statistics go
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

}  // namespace hoplock::store_sqlite
