// SPDX-License-Identifier: Apache-2.0
#include "net/file_mark.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace hoplock::net {

FileMark mark_of(const std::string& path) {
  FileMark mark;
  mark.path = path;
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return mark;
  mark.device = about.st_dev;
  mark.inode = about.st_ino;
  mark.size = about.st_size;
  mark.changed = std::int64_t{about.st_ctim.tv_sec} * 1'000'000'000 + about.st_ctim.tv_nsec;
  return mark;
}

std::string difference(const FileMarks& before, const FileMarks& after) {
  std::string paths;
  for (const auto& [some, others] : {std::pair(&after, &before), std::pair(&before, &after)}) {
    for (const FileMark& one : *some) {
      const bool same = std::find(others->begin(), others->end(), one) != others->end();
      if (!same && paths.find(one.path) == std::string::npos) paths += (paths.empty() ? "" : ", ") + one.path;
    }
  }
  return paths;
}

}  // namespace hoplock::net
