// SPDX-License-Identifier: Apache-2.0
// What other modules write in the queue's own transaction, on SQLite.
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "base/result.h"
#include "disk/job.h"
#include "store/along.h"

namespace hoplock::queue {

// Called on the disk thread, after the queue's own writes and perhaps more than once (disk.h): it owns what it writes and does not
// consume it. An Error, or a disk::Failure, undoes the queue's writes with it.
class Along final : public store::Along {
 public:
  using Write = std::function<Result<>(disk::Tx& tx)>;
  static store::AlongPtr of(Write write) { return std::make_shared<const Along>(std::move(write)); }
  explicit Along(Write write) : write_(std::move(write)) {}
  Result<> write(disk::Tx& tx) const { return write_(tx); }

 private:
  Write write_;
};

}  // namespace hoplock::queue
