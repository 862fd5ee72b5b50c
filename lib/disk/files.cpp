// SPDX-License-Identifier: Apache-2.0
#include "disk/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hoplock::disk {

Error errno_error(const std::string& what) {
  const int number = errno;
  return fail(error_code(number, boost::system::generic_category()), what + ": " + strerror(number));
}

Result<> sync_directory(const std::filesystem::path& path) {
  const int fd = ::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno_error(path);
  Result<> result;
  if (::fsync(fd) != 0) result = errno_error(path);
  ::close(fd);
  return result;
}

}  // namespace hoplock::disk
