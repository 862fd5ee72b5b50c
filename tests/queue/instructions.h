// SPDX-License-Identifier: Apache-2.0
// What SQLite's machine does: the steps of every statement that ends while one of these counts, in the connections opened meanwhile.
#pragma once
#include <sqlite3.h>

#include <atomic>
#include <cstdint>

namespace hoplock::queue::test {

class Instructions {
 public:
  Instructions() {
    steps_ = 0;
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(on_connection));
  }
  ~Instructions() { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(on_connection)); }
  Instructions(const Instructions&) = delete;
  Instructions& operator=(const Instructions&) = delete;

  void reset() { steps_ = 0; }
  std::int64_t count() const { return steps_; }

 private:
  static int on_statement(unsigned, void*, void* statement, void*) {
    steps_ += sqlite3_stmt_status(static_cast<sqlite3_stmt*>(statement), SQLITE_STMTSTATUS_VM_STEP, 1);
    return 0;
  }
  static int on_connection(sqlite3* db, const char**, const sqlite3_api_routines*) {
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, on_statement, nullptr);
  }

  static inline std::atomic<std::int64_t> steps_{0};
};

}  // namespace hoplock::queue::test
