// SPDX-License-Identifier: Apache-2.0
// What those who write and read files here need of the system. For this module's own sources.
#pragma once
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace hoplock::disk {

// errno as it is now, with the file's name, or what was done to it.
Error errno_error(const std::string& what);

// What was created, renamed or removed in it is on stable storage. "": the working directory.
Result<> sync_directory(const std::filesystem::path& path);

struct Descriptor {
  explicit Descriptor(int of) : fd(of) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  int fd;
};

// Less than asked for at the end of the file.
Result<std::size_t> read_at(int fd, char* to, std::size_t length, std::uint64_t from);

// The beginning of a file; what cannot be read is an Error that names it.
Result<std::string> first_octets(const std::filesystem::path& path, std::size_t length);

// When it was modified.
std::int64_t changed_ns(const struct stat& status);

// Numbers as files hold them.
inline std::uint32_t word_at(const char* octets, std::endian order) {
  std::uint32_t value = 0;
  std::memcpy(&value, octets, sizeof value);
  return order == std::endian::native ? value : __builtin_bswap32(value);
}
inline std::uint32_t big(const char* octets) { return word_at(octets, std::endian::big); }

}  // namespace hoplock::disk
