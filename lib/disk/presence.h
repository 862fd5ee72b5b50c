// SPDX-License-Identifier: Apache-2.0
// Do the names in data_dir still stand for the files that SQLite has open? A store whose log was removed, replaced or cut by somebody
// goes on working in this process, and is gone with it. A few calls of stat(2), so it is asked before each durable answer.
#pragma once
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace hoplock::disk {

class Presence {
 public:
  // REQUIRES: the database and its log are open in this process, and their files are there.
  explicit Presence(std::filesystem::path database);

  // What happened to which file: "/data/queue.db-wal was deleted".
  struct Loss {
    enum class How : std::uint8_t { away, cut } how = How::away;  // away: this process still has it whole
    std::string text;
  };
  // Nothing: all is well. `log_octets`, `database_octets`: what they hold at least.
  std::optional<Loss> lost(std::uint64_t log_octets, std::uint64_t database_octets) const;
  // Whether these very files have their usual names in that directory.
  bool are_in(const std::filesystem::path& directory) const;

 private:
  struct Known {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
  };
  std::array<Known, 3> files_;  // database, log, its index
};

// Which processes hold a lock of this database's log index: "process 712 (sqlite3)", several joined; "another process" where the
// system does not say. `readers`: those that keep the log from starting anew; else the one that writes.
enum class Holds : std::uint8_t { reading, writing };
std::string holders(const std::filesystem::path& database, Holds what);

}  // namespace hoplock::disk
