// SPDX-License-Identifier: Apache-2.0
// What other modules write in the transaction that stores mail, on SQLite.
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "base/result.h"
#include "disk/job.h"
#include "store/along.h"

namespace hoplock::store_sqlite {

using namespace store;

// Called on the disk thread, after the mail's own writes and perhaps more than once (disk.h): it owns what it writes and does not
// consume it. An Error, or a disk::Failure, undoes these with it.
class SqliteAlong final : public Along {
 public:
  using Write = std::function<Result<>(disk::Tx& tx)>;
  static AlongPtr of(Write write) { return std::make_shared<const SqliteAlong>(std::move(write)); }
  explicit SqliteAlong(Write write) : write_(std::move(write)) {}
  Result<> write(disk::Tx& tx) const { return write_(tx); }

 private:
  Write write_;
};

}  // namespace hoplock::store_sqlite
