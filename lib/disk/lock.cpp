// SPDX-License-Identifier: Apache-2.0
#include "disk/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/ascii.h"
#include "disk/files.h"

namespace hoplock::disk {
namespace {

Error held(int fd, const std::filesystem::path& path) {
  std::array<char, 32> holder{};
  const auto length = ::pread(fd, holder.data(), holder.size() - 1, 0);
  const std::string pid(trim(std::string_view(holder.data(), length > 0 ? static_cast<std::size_t>(length) : 0)));
  return fail(errc::device_or_resource_busy,
              path.string() + " is held by process " + (pid.empty() ? "(unknown)" : pid) + ": one daemon per data_dir");
}

}  // namespace

Result<Lock> Lock::take(const std::filesystem::path& directory) {
  const auto path = directory / "lock";
  Lock lock(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), -1);
  if (lock.directory_ < 0) return errno_error(directory);
  lock.file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock.file_ < 0) return errno_error(path);
  for (const int fd : {lock.directory_, lock.file_}) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) continue;
    if (errno == EWOULDBLOCK) return held(lock.file_, path);
    return errno_error(fd == lock.file_ ? path : directory);
  }
  // Over what is there, so that it needs no room; where there is none, the lock is held all the same.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::pwrite(lock.file_, pid.data(), pid.size(), 0) < 0) {
    if (errno != ENOSPC && errno != EDQUOT) return errno_error(path);
  } else if (::ftruncate(lock.file_, static_cast<off_t>(pid.size())) != 0) {
    return errno_error(path);
  }
  return lock;
}

std::filesystem::path Lock::directory() const {
  std::error_code ec;
  const auto now = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(directory_), ec);
  return !ec && std::filesystem::is_directory(now, ec) ? now : std::filesystem::path();
}

Lock::~Lock() {
  if (file_ >= 0) ::close(file_);  // the file stays: removing it would let two take "the" lock
  if (directory_ >= 0) ::close(directory_);
}

}  // namespace hoplock::disk
