// SPDX-License-Identifier: Apache-2.0
// One daemon per data_dir: a lock (flock) on the directory itself, which nobody can remove, and one on a file in it that names its holder.
// Both are held for as long as that process lives.
#pragma once
#include <filesystem>
#include <utility>

#include "base/result.h"

namespace hoplock::disk {

class Lock {
 public:
  // REQUIRES: the directory is there. Error device_or_resource_busy: another process holds it; the text names the file `lock` and the
  // process.
  static Result<Lock> take(const std::filesystem::path& directory);
  Lock(Lock&& other) noexcept
      : directory_(std::exchange(other.directory_, -1)), file_(std::exchange(other.file_, -1)) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock();

  // Where the directory is now, whatever it was renamed to; empty when it was removed.
  std::filesystem::path directory() const;

 private:
  Lock(int directory, int file) : directory_(directory), file_(file) {}
  int directory_;
  int file_;
};

}  // namespace hoplock::disk
