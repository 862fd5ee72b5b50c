// SPDX-License-Identifier: Apache-2.0
#include "disk/ballast.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hoplock::disk {
namespace {

constexpr std::uint64_t share = 16;  // of the file system
constexpr std::uint64_t least = 64U << 10U;
constexpr std::uint64_t for_start = 8;  // part of it
constexpr std::uint64_t spare_names = 16;

std::uint64_t size_on(const std::filesystem::path& directory) {
  struct statvfs system {};
  if (::statvfs(directory.c_str(), &system) != 0) return 0;
  return static_cast<std::uint64_t>(system.f_blocks) * system.f_frsize;
}

std::uint64_t taken_by(const std::filesystem::path& file) {
  struct stat found {};
  if (::stat(file.c_str(), &found) != 0) return 0;
  return static_cast<std::uint64_t>(found.st_blocks) * 512;
}

}  // namespace

Result<std::uint64_t> free_in(const std::filesystem::path& directory) {
  struct statvfs system {};
  if (::statvfs(directory.c_str(), &system) == 0) return static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
  const int number = errno;
  return fail(errc::io_error, "statvfs " + directory.string() + ": " + strerror(number));
}

bool has_names_left(const std::filesystem::path& directory, std::uint64_t count) {
  struct statvfs system {};
  return ::statvfs(directory.c_str(), &system) != 0 || system.f_files == 0 || system.f_favail >= count;
}

Ballast::Ballast(const std::filesystem::path& directory, std::uint64_t most)
    : file_(directory / "ballast"), octets_(std::min(most, size_on(directory) / share)) {
  if (octets_ < least) octets_ = 0;
  here_ = std::min(taken_by(file_), octets_);
}

Ballast::Ballast(Ballast&& other) noexcept
    : file_(std::move(other.file_)), octets_(std::exchange(other.octets_, 0)), here_(std::exchange(other.here_, 0)) {}

Ballast::~Ballast() {
  for (std::uint64_t wanted = octets_; wanted > here_ && wanted >= octets_ / for_start; wanted /= 2)
    if (resize(wanted)) return;
}

bool Ballast::give(Part part) {
  const std::uint64_t rest = part == Part::most ? octets_ / for_start : 0;
  return here_ > rest && resize(rest);
}

void Ballast::give_name() {
  if (::unlink(file_.c_str()) == 0) here_ = 0;
}

// Its name stays for others for as long as there are hardly any: a start needs one for the control socket, after this file's.
bool Ballast::take(std::uint64_t free) {
  if (missing() == 0 || free < 2 * missing()) return false;
  return (::access(file_.c_str(), F_OK) == 0 || has_names_left(file_.parent_path(), spare_names)) && resize(octets_);
}

// The freed blocks are there for others when the file system has noted it.
bool Ballast::resize(std::uint64_t octets) {
  const int fd = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return false;
  const auto size = static_cast<off_t>(octets);
  const bool grows = octets > here_;
  const int rc = grows ? ::fallocate(fd, 0, 0, size) : ::ftruncate(fd, size);
  const int number = rc == 0 ? 0 : errno;
  if (grows && rc != 0) [[maybe_unused]]
    const int back = ::ftruncate(fd, static_cast<off_t>(here_));
  if (rc == 0) ::fsync(fd);
  ::close(fd);
  if (rc == 0) here_ = octets;
  if (grows && number != 0 && number != ENOSPC && number != EDQUOT && number != EINTR)
    octets_ = here_ = 0;  // not to be had
  return rc == 0;
}

}  // namespace hoplock::disk
