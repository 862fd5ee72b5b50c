// SPDX-License-Identifier: Apache-2.0
// Which messages an operator's selection means, found page by page so that no read is long. On the disk thread, inside jobs.
#pragma once
#include <optional>
#include <vector>

#include "disk/job.h"
#include "store/actions.h"

namespace hoplock::queue {

using namespace store;

// Where the next page begins; nothing: that was the last one.
struct Cursor {
  std::int64_t state = 0;
  std::int64_t due = 0;
  std::int64_t key = 0;
};
struct Page {
  std::vector<Id> ids;
  std::optional<Cursor> next;
};

// By domain: in the order of the index, a message may come again on a later page. By sender and all: by id. Not for ids.
Page select_page(disk::Tx& tx, const Selection& selection, const Cursor& from, std::size_t rows);

}  // namespace hoplock::queue
