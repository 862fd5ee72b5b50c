// SPDX-License-Identifier: Apache-2.0
// A file system for SQLite that fails on demand and counts: it stands before the system's own and is the default while it lives.
#pragma once
#include <atomic>
#include <string>

namespace hoplock::support {

class FaultyVfs {
 public:
  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;

  struct Plan {
    std::atomic<int> writes_until_failure{-1};  // -1: never; 0: each from now on fails
    std::atomic<int> syncs_until_failure{-1};
    std::atomic<bool> database_syncs_fail{false};  // of databases, not of their logs
    std::atomic<int> calls_until_kill{-1};         // writes, syncs and truncations; at 0 the process dies as by kill -9
    std::atomic<int> error{0};                     // SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, …
    std::atomic<int> syncs{0};                     // of write-ahead logs
    std::atomic<int> database_syncs{0};
    std::atomic<int> log_reads{0};   // of write-ahead logs
    std::atomic<int> log_writes{0};  // of write-ahead logs
    std::atomic<int> sync_delay_us{0};
    std::atomic<bool> hang{false};             // syncs do not return; see Hang
    std::atomic<int> reads_until_failure{-1};  // of the database
    std::atomic<int> reads{0};                 // of the database
    std::atomic<int> read_delay_us{0};         // of each of them: a slow disk and a cold cache
    std::atomic<int> hanging{0};
    std::atomic<bool> no_shared_memory{false};  // of files opened from now on, as on a network file system
  };
  Plan& plan();
  void heal();

  // From now on no sync returns until release() or its end.
  class Hang {
   public:
    explicit Hang(FaultyVfs& vfs);
    ~Hang() { release(); }
    Hang(const Hang&) = delete;
    void wait();  // until a sync hangs
    void release();

   private:
    Plan& plan_;
  };
};

}  // namespace hoplock::support
