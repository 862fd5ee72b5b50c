// SPDX-License-Identifier: Apache-2.0
#include "disk/presence.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <utility>

namespace hoplock::disk {
namespace {

constexpr std::array<const char*, 3> endings{"", "-wal", "-shm"};
constexpr long write_lock = 120;  // octets of queue.db-shm that SQLite locks (its WAL file format, section 2.3)
constexpr long first_read_lock = 123, last_read_lock = 127;

std::string name_of(long process) {
  std::string name;
  std::ifstream file("/proc/" + std::to_string(process) + "/comm");
  std::getline(file, name);
  return "process " + std::to_string(process) + (name.empty() ? "" : " (" + name + ")");
}

}  // namespace

Presence::Presence(std::filesystem::path database) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    struct stat status {};
    files_[i].path = database.string() + endings[i];
    if (::stat(files_[i].path.c_str(), &status) != 0) continue;  // lost() will say so
    files_[i].device = status.st_dev;
    files_[i].inode = status.st_ino;
  }
}

std::optional<Presence::Loss> Presence::lost(std::uint64_t log_octets, std::uint64_t database_octets) const {
  const std::array<std::uint64_t, 3> least{database_octets, log_octets, 1};
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const Known& file = files_[i];
    struct stat status {};
    if (::stat(file.path.c_str(), &status) != 0) {
      const int number = errno;
      const bool gone = number == ENOENT || number == ENOTDIR;
      return Loss{Loss::How::away,
                  file.path + (gone ? " was deleted or renamed" : std::string(": ") + strerror(number))};
    }
    if (status.st_dev != file.device || status.st_ino != file.inode)
      return Loss{Loss::How::away, file.path + " was replaced by another file"};
    if (static_cast<std::uint64_t>(status.st_size) < least[i])
      return Loss{Loss::How::cut, file.path + " was cut to " + std::to_string(status.st_size) + " octets"};
  }
  return std::nullopt;
}

bool Presence::are_in(const std::filesystem::path& directory) const {
  for (const Known& file : files_) {
    struct stat status {};
    const auto path = directory / std::filesystem::path(file.path).filename();
    if (::stat(path.c_str(), &status) != 0 || status.st_dev != file.device || status.st_ino != file.inode) return false;
  }
  return true;
}

std::string holders(const std::filesystem::path& database, Holds what) {
  struct stat status {};
  std::set<long> found;
  if (::stat((database.string() + "-shm").c_str(), &status) == 0) {
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
      long process = 0;
      unsigned major_id = 0;
      unsigned minor_id = 0;
      unsigned long inode = 0;
      long first = 0;
      const auto at = line.find("POSIX");
      if (at == std::string::npos || std::sscanf(line.c_str() + at, "POSIX %*s %*s %ld %x:%x:%lu %ld", &process,
                                                 &major_id, &minor_id, &inode, &first) != 5)
        continue;
      if (inode != status.st_ino || makedev(major_id, minor_id) != status.st_dev) continue;
      const bool fits =
          what == Holds::writing ? first == write_lock : first >= first_read_lock && first <= last_read_lock;
      if (fits && process > 0) found.insert(process);
    }
  }
  if (found.size() > 1) found.erase(::getpid());
  std::string text;
  for (const long process : found) text += (text.empty() ? "" : ", ") + name_of(process);
  return text.empty() ? "another process" : text;
}

}  // namespace hoplock::disk
