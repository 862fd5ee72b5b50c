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
#include "statistics/rows.h"

namespace hoplock::statistics {

// Of one domain, over all the days that were asked for.
using Partner = std::map<std::pair<Kind, std::string>, Sum>;  // by kind and what
using Partners = std::map<std::string, Partner>;  // by domain; "": what came beyond the domains that a day has rows for

struct Range {
  Day from{};
  Day to{};              // it included
  std::string domain{};  // "": all
};

struct Found {
  Partners partners;
  std::optional<Day> since;  // the first day of which anything is known, whatever the range
};

class Reader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<Reader> open(const std::filesystem::path& database);
  // A database that an older version made, and that its daemon has not seen since, has no statistics: nothing is found.
  Result<Found> read(const Range& range);

 private:
  explicit Reader(disk::Database db) : db_(std::move(db)) {}
  enum class Batches : bool { none, there };  // an older version's database has no table of them
  struct Days {
    std::vector<Day> days;  // of the range, of which anything is known
    std::optional<Day> since;
  };
  static Days days(disk::Tx& tx, const Range& range, Batches batches);
  static Partners read_day(disk::Tx& tx, Day day, const std::string& domain);
  static void add_batches(disk::Tx& tx, Day day, const std::string& domain, Partners& to);
  disk::Database db_;
};

}  // namespace hoplock::statistics
