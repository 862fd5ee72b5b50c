// SPDX-License-Identifier: Apache-2.0
// The write-ahead log's file as SQLite writes it (its file format, section 4), where SQLite says less than we must know: it takes a
// log with a damaged header for an empty one, and cuts a log at the first frame that does not fit, whatever comes behind.
//
// Behind a power cut a frame that does not fit is ordinary: what was not synced may be torn, in any order. Damage is one among those
// that a sync had covered. How far that was is kept beside the database, in queue.db-synced: written without a sync of its own
// after each durable commit, so after a power cut it says too little, never too much.
#pragma once
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
  friend bool operator==(const Synced&, const Synced&) = default;
};

// queue.db-synced, kept open.
class SyncedMark {
 public:
  explicit SyncedMark(const std::filesystem::path& database);
  ~SyncedMark();
  SyncedMark(const SyncedMark&) = delete;
  SyncedMark& operator=(const SyncedMark&) = delete;
  void set(const Synced& synced);

  static std::optional<Synced> read(const std::filesystem::path& database);

 private:
  int fd_;
};

// REQUIRES: no connection of this process has the database open. Errors: bad_message names what is damaged, and a copy of the log was
// kept; others: it could not be read.
Result<> check_log(const std::filesystem::path& database);

// The beginning of a file; what cannot be read is an Error that names it.
Result<std::string> first_octets(const std::filesystem::path& path, std::size_t length);

// Writes the log anew in place and syncs it: what the last process could not sync lies in the page cache as if it were stored. Nobody
// else writes meanwhile. REQUIRES: the connection is in no transaction.
Result<> renew_log(Database& db);

// How many frames the log has for everybody who has it open, by its shared index.
int frames_of(Database& db);

// The salts of the log that the connection has open.
std::optional<Synced> log_of(Database& db);

}  // namespace hoplock::disk
