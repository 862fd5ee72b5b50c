// SPDX-License-Identifier: Apache-2.0
// What another module writes in the queue's own transaction, so that both are stored or neither is: the ledger's counts with the
// delivery that they tell of, the mark of a report with the mail that carries it.
#pragma once
#include <functional>

#include "base/result.h"
#include "disk/job.h"

namespace hoplock::queue {

// Called on the disk thread, after the queue's own writes and perhaps more than once (disk.h): it owns what it writes and does not
// consume it. An Error, or a disk::Failure, undoes the queue's writes with it.
using Along = std::function<Result<>(disk::Tx& tx)>;

}  // namespace hoplock::queue
