// SPDX-License-Identifier: Apache-2.0
// Which messages an operator's selection means, found page by page so that no read is long. On the disk thread, inside jobs.
#pragma once
#include "disk/job.h"
#include "store/admin.h"

namespace hoplock::store_sqlite {

using namespace store;

// By domain: in the order of the index, a message may come again on a later page. By sender and all: by id. Not for ids.
SelectionPage select_page(disk::Tx& tx, const Selection& selection, const SelectionCursor& from, std::size_t rows);

}  // namespace hoplock::store_sqlite
