// SPDX-License-Identifier: Apache-2.0
// One state of the database for all that is read while it lives, whatever the daemon writes meanwhile. For this module's readers.
#pragma once
#include "disk/db.h"

namespace hoplock::store_sqlite {

class Snapshot {
 public:
  // REQUIRES: the connection outlives it, and is in no transaction.
  explicit Snapshot(disk::Database& db) : db_(db) { db_.execute("BEGIN"); }
  ~Snapshot() {
    try {
      if (db_.in_transaction()) db_.execute("ROLLBACK");
    } catch (const disk::Failure&) {  // what it was for has failed before
    }
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  disk::Database& db_;
};

}  // namespace hoplock::store_sqlite
