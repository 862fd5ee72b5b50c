// SPDX-License-Identifier: Apache-2.0
// Does the database's file hold what SQLite wrote there? Another file that is copied over it keeps its name and its inode. SQLite
// writes there only when it copies the log, and says so in the log's index; so does every other program that uses SQLite. What came
// there must be in the log, therefore, and all else must be as it was.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "disk/db.h"
#include "disk/log_file.h"

namespace hoplock::disk {

class Contents {
 public:
  // REQUIRES: `db` is its connection and has read it.
  Contents(const std::filesystem::path& database, Database& db);
  // False: something else was written there since the last call. A call of stat(2), unless it was written to or the log began anew.
  // Nothing is known after a recovery until the log is copied: Disk copies it once at the start. What was copied out of a log that is
  // gone, as only another program has it since the last call, cannot be told from what was written over it.
  bool are_ours(Database& db);

 private:
  struct State {
    std::int64_t changed_ns = 0;
    std::uint64_t octets = 0;
    std::vector<std::size_t> pages;  // the first ones, a hash of each
    Copying copying;
  };
  // Nothing: it cannot be told now, for somebody is copying.
  std::optional<State> look(Database& db) const;
  std::optional<std::vector<std::size_t>> hashes(Database& db, std::uint64_t octets) const;
  enum class Found : std::uint8_t { ours, foreign, unclear };
  Found compare(Database& db, const State& now) const;
  std::string path_;
  std::size_t page_octets_;
  std::optional<State> known_;
};

}  // namespace hoplock::disk
