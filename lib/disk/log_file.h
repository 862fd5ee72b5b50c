// SPDX-License-Identifier: Apache-2.0
// The write-ahead log's file as SQLite writes it (its file format, section 4), where SQLite says less than we must know: it takes a
// log with a damaged header for an empty one, and cuts a log at the first frame that does not fit, whatever comes behind.
//
// Behind a power cut a frame that does not fit is ordinary: what was not synced may be torn, in any order. Damage is one among those
// that a sync had covered. How far that was is kept beside the database, in queue.db-synced: written after each durable commit, and
// synced before the first answer out of each log and once a second, so after a power cut it says too little, never too much, and
// never nothing of a log that something was acknowledged from. Before a log goes whose frames are all in the database it says so.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "disk/db.h"

namespace hoplock::disk {

inline constexpr std::size_t log_header_octets = 32;
inline constexpr std::size_t frame_header_octets = 24;

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
  // All frames are in the database: good, when that is on stable storage, and the log may go.
  Result<> clear();

  static std::optional<Synced> read(const std::filesystem::path& database);
  // Nothing where an older version wrote it, whose marks were never synced.
  static std::optional<Witness> read_witness(const std::filesystem::path& database);

 private:
  Result<> write(const Synced& synced, const std::optional<Witness>& seen);
  Result<> keep(const Synced& synced);
  void make_again();
  std::string database_;
  int fd_;
  std::optional<Synced> said_;  // last
  std::optional<Synced> kept_;  // on stable storage
  std::chrono::steady_clock::time_point kept_at_{};
};

// REQUIRES: no connection of this process has the database open. Errors: bad_message names what is damaged, and a copy of the log was
// kept; others: it could not be read.
Result<> check_log(const std::filesystem::path& database);

// The beginning of a file; what cannot be read is an Error that names it.
Result<std::string> first_octets(const std::filesystem::path& path, std::size_t length);

// Writes the log anew in place, as far as no sync is known to have covered it, and syncs it: what the last process could not sync lies in
// the page cache as if it were stored. Nobody else writes meanwhile. REQUIRES: the connection is in no transaction.
Result<> renew_log(Database& db);

// How many frames the log has for everybody who has it open, by its shared index.
int frames_of(Database& db);

// Of which log how many frames are in the database, and up to where somebody began to copy them, by the same index.
struct Copying {
  std::uint64_t salts = 0;
  std::uint32_t copied = 0;
  std::uint32_t begun = 0;
  friend bool operator==(const Copying&, const Copying&) = default;
};
std::optional<Copying> copying_of(Database& db);

// The salts of the log that the connection has open. Errors: bad_message: its header is none; io_error.
Result<Synced> log_of(Database& db);

}  // namespace hoplock::disk
