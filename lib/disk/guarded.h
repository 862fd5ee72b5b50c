// SPDX-License-Identifier: Apache-2.0
// What the readers of the operator's tool share: they read beside the daemon, and a database that cannot be read is an answer to them.
#pragma once
#include <string_view>

#include "disk/db.h"
#include "disk/job.h"

namespace hoplock::disk {

// What `read` returns, a Result, or the Failure that it threw as its Error.
template <class F>
auto guarded(F read) -> decltype(read()) {
  try {
    return read();
  } catch (const Failure& failure) {
    return failure.error();
  }
}

// A database that an older version made, and that its daemon has not seen since, lacks newer tables.
inline bool has_table(Tx& tx, std::string_view name) {
  return tx.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").bind(name).step();
}

}  // namespace hoplock::disk
