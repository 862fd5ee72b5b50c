// SPDX-License-Identifier: Apache-2.0
#include "disk/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "disk/vfs.h"

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

Result<std::size_t> read_at(int fd, char* to, std::size_t length, std::uint64_t from) {
  std::size_t got = 0;
  while (got < length) {
    const auto n = ::pread(fd, to + got, length - got, static_cast<off_t>(from + got));
    note_call_done();
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read");
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

Result<std::string> first_octets(const std::filesystem::path& path, std::size_t length) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return errno_error("open " + path.string());
  std::string octets(length, '\0');
  const auto got = read_at(file.fd, octets.data(), length, 0);
  if (!got) return fail(got.error().code, path.string() + ": " + got.error().detail);
  return octets;
}

std::int64_t changed_ns(const struct stat& status) {
  return status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
}

}  // namespace hoplock::disk
