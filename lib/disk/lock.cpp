#include "disk/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/ascii.h"

namespace hoplock::disk {

Result<Lock> Lock::take(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) {
    const int error = errno;
    return fail(error_code(error, boost::system::generic_category()), path.string() + ": " + strerror(error));
  }
  Lock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> holder{};
    const auto length = ::pread(fd, holder.data(), holder.size() - 1, 0);
    const std::string pid(trim(std::string_view(holder.data(), length > 0 ? static_cast<std::size_t>(length) : 0)));
    return fail(errc::device_or_resource_busy, path.string() + " is held by process " +
                                                   (pid.empty() ? "(unknown)" : pid) + ": one daemon per data_dir");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    const int error = errno;
    return fail(error_code(error, boost::system::generic_category()), path.string() + ": " + strerror(error));
  }
  return lock;
}

Lock::~Lock() {
  if (fd_ >= 0) ::close(fd_);  // the file stays: removing it would let two take "the" lock
}

}  // namespace hoplock::disk
