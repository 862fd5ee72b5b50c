// SPDX-License-Identifier: Apache-2.0
// Whether files of the operator are still the same: by device, inode, size and time of change.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hoplock::net {

struct FileMark {
  std::string path;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;  // 0: there is no such file
  std::int64_t size = 0;
  std::int64_t changed = 0;  // nanoseconds; also of owner and mode: what could not be read may be readable now
  bool operator==(const FileMark&) const = default;
};
using FileMarks = std::vector<FileMark>;

FileMark mark_of(const std::string& path);
// The paths that differ, for people.
std::string difference(const FileMarks& before, const FileMarks& after);

}  // namespace hoplock::net
