// Whether the rows that find mail are sound: what quick_check would say, in slices. On the disk thread, inside jobs.
#pragma once
#include <cstdint>

#include "disk/job.h"

namespace hoplock::queue {

struct Inspected {
  enum class Table : std::uint8_t { message, recipient, place, domain, destination } table = Table::message;
  std::int64_t domain = INT64_MIN, state = 0, due = 0;  // of the index
  std::int64_t id = INT64_MIN;
};

// Reads on from there; where it came to. Throws disk::Failure bad_message where SQLite finds damage.
Inspected inspect(disk::Tx& tx, Inspected from);

}  // namespace hoplock::queue
