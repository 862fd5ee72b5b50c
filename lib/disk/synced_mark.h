// SPDX-License-Identifier: Apache-2.0
// How far a sync covered the write-ahead log. It is kept beside the database, in queue.db-synced: written after each durable commit, and
// synced before the first answer out of each log and once a second, so after a power cut it says too little, never too much, and
// never nothing of a log that something was acknowledged from. Before a log goes whose frames are all in the database it says so.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "disk/db.h"

namespace hoplock::disk {

// Which log, by its salts, and how many of its frames are on stable storage.
struct Synced {
  std::uint32_t salt_1 = 0;
  std::uint32_t salt_2 = 0;
  std::uint64_t frames = 0;
  bool shares_log_with(const Synced& other) const { return salt_1 == other.salt_1 && salt_2 == other.salt_2; }
  friend bool operator==(const Synced&, const Synced&) = default;
};

// The database's file when the mark was written: whoever copied the log into it since then has changed it.
struct Witness {
  std::uint64_t inode = 0;
  std::int64_t changed_ns = 0;  // its time of modification
  std::uint32_t counter = 0;    // of its header
};

// Which file a log belongs to: the database's first sector, which a disk never tears, when that log began. Every page 1 that was copied
// there since then is in the log.
inline constexpr std::size_t sector_octets = 512;
std::uint32_t sum_of_sector(const char* octets);

// Of the database's file as it is now. REQUIRES: no connection of this process has it open.
Result<Witness> witness_of(const std::filesystem::path& database);

// queue.db-synced, kept open.
class SyncedMark {
 public:
  explicit SyncedMark(const std::filesystem::path& database);
  ~SyncedMark();
  SyncedMark(const SyncedMark&) = delete;
  SyncedMark& operator=(const SyncedMark&) = delete;
  // `db` is the database's connection.
  void set(const Synced& synced, Database& db);
  // The database's file has changed by what was copied out of the log.
  void renew(Database& db);
  // All frames are in the database, on stable storage: the log may be gone one day, as another program may have it. While it is there
  // it must be whole, for what it holds goes before the database.
  void release();
  // The same, and the log goes now: good, when that is on stable storage, and the log may go.
  Result<> clear();
  // Something else was written over the database's file: no start may take it for the store. The mark says nothing else from now on.
  void tell_overwritten();

  static std::optional<Synced> read(const std::filesystem::path& database);
  static bool says_overwritten(const std::filesystem::path& database);
  // Nothing where an older version wrote it, whose marks were never synced.
  static std::optional<Witness> read_witness(const std::filesystem::path& database);
  // Nothing where an older version wrote it, or it could not be read when the log began.
  static std::optional<std::uint32_t> read_sector(const std::filesystem::path& database);

 private:
  Result<> write(const Synced& synced, const std::optional<Witness>& seen);
  Result<> keep(const Synced& synced);
  void make_again();
  std::string database_;
  int fd_;
  std::optional<Synced> said_;  // last
  std::optional<Synced> kept_;  // on stable storage
  struct Began {
    Synced log;
    std::optional<std::uint32_t> sector;
  };
  std::optional<Began> began_;  // the log that was marked last
  std::chrono::steady_clock::time_point kept_at_{};
};

}  // namespace hoplock::disk
