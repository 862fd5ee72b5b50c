// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "base/ascii.h"

namespace hoplock::daemon {

bool names_stream(std::string_view journal_stream, std::uint64_t device, std::uint64_t inode) {
  const auto parts = split(journal_stream, ':');
  if (parts.size() != 2) return false;
  const auto its_device = parse_decimal(parts[0]), its_inode = parse_decimal(parts[1]);
  return its_device && its_inode && *its_device == device && *its_inode == inode;
}

bool is_journal(int descriptor) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat about {};
  return stream != nullptr && fstat(descriptor, &about) == 0 && names_stream(stream, about.st_dev, about.st_ino);
}

std::string_view priority(Level level) {
  switch (level) {
    case Level::trace:
    case Level::debug:
      return "<7>";
    case Level::info:
      return "<6>";
    case Level::warn:
      return "<4>";
    case Level::error:
      return "<3>";
  }
  return "<6>";
}

std::string_view stderr_priority(Level level) { return is_journal(STDERR_FILENO) ? priority(level) : ""; }

}  // namespace hoplock::daemon
