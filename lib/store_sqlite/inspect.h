// SPDX-License-Identifier: Apache-2.0
// Whether the rows that find mail are sound, and the history beside them: what quick_check would say, in slices. On the disk thread,
// inside jobs.
#pragma once
#include <cstdint>

#include "disk/job.h"

namespace hoplock::store_sqlite {

struct Inspected {
  enum class Table : std::uint8_t { message, recipient, place, domain, destination, history, party };
  Table table = Table::message;
  std::int64_t first = INT64_MIN, second = 0, third = 0;  // what comes before the id in the table's order
  std::int64_t id = INT64_MIN;
  bool at_start() const { return table == Table::message && id == INT64_MIN; }
};

// Reads on from there; where it came to. Throws disk::Failure bad_message where SQLite finds damage.
Inspected inspect(disk::Tx& tx, Inspected from);
// The start of the table behind that one.
Inspected next_table(Inspected::Table table);

}  // namespace hoplock::store_sqlite
