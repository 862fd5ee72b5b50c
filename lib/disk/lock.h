// One daemon per data_dir: a file that names its holder and is locked for as long as that process lives (flock).
#pragma once
#include <filesystem>
#include <utility>

#include "base/result.h"

namespace hoplock::disk {

class Lock {
 public:
  // Error device_or_resource_busy: another process holds it; the text names the file and the process.
  static Result<Lock> take(const std::filesystem::path& path);
  Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock();

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace hoplock::disk
