// SPDX-License-Identifier: Apache-2.0
// The statistics as the operator's tool reads them: straight from the database file, with or without a running daemon, a day at a time, so
// that no read keeps the daemon from writing. Changes nothing.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "disk/db.h"
#include "disk/job.h"
#include "statistics/found.h"
#include "store/readers.h"

namespace hoplock::store_sqlite {

class SqliteStatisticsReader final : public store::StatisticsReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<SqliteStatisticsReader> open(const std::filesystem::path& database);
  Result<statistics::Found> read(const statistics::Range& range) override;
  Result<statistics::Series> series(statistics::Span span, Time now) override;

 private:
  explicit SqliteStatisticsReader(disk::Database db) : db_(std::move(db)) {}
  struct Days {
    std::vector<statistics::Day> days;  // of the range, of which anything is known
    std::optional<statistics::Day> since;
  };
  enum class Batches : bool { none, there };  // an older version's database has no table of them
  static Days days(disk::Tx& tx, const statistics::Range& range, Batches batches);
  static statistics::Partners read_day(disk::Tx& tx, statistics::Day day, const std::string& domain);
  static void add_batches(disk::Tx& tx, statistics::Day day, const std::string& domain, statistics::Partners& to);
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
