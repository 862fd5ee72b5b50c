// SPDX-License-Identifier: Apache-2.0
// What the loader and the sink of the bench share: a clock, a checksum, the number a test message carries, and the
// counters a program shows in a small mapped file so that the bench can watch it without asking. Not part of the
// product.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace bench {

inline constexpr std::string_view number_field = "X-Bench-Number: ";

// Nanoseconds of CLOCK_MONOTONIC, which all processes of one machine share.
inline std::uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

inline constexpr std::uint64_t fnv_start = 14695981039346656037u;
// FNV-1a, 64 bits; `state` chains pieces.
inline std::uint64_t fnv(std::string_view bytes, std::uint64_t state = fnv_start) {
  for (const char c : bytes) {
    state = (state ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  return state;
}

[[noreturn]] inline void die(const std::string& what) {
  std::perror(what.c_str());
  std::exit(2);
}

// Counters, at fixed places in the mapped file: the bench reads them as eight-octet words in this order.
struct Counters {
  std::uint64_t messages, first_ns, last_ns, bytes, connections, handshakes, resumed, recipients, open, most_open,
      failed;
};

// Maps `path` (made anew); an empty path gives counters that nobody sees.
inline Counters* map_counters(const std::string& path) {
  int fd = -1;
  int flags = MAP_SHARED | MAP_ANONYMOUS;
  if (!path.empty()) {
    fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || ftruncate(fd, sizeof(Counters)) != 0) die(path);
    flags = MAP_SHARED;
  }
  void* at = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) die("mmap");
  if (fd >= 0) close(fd);
  return static_cast<Counters*>(at);
}

inline void allow_many_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// "--name value" and "--flag" arguments.
class Arguments {
 public:
  Arguments(int argc, char** argv) : argc_(argc), argv_(argv) {}
  bool flag(std::string_view name) const { return find(name) > 0; }
  std::string text(std::string_view name, std::string fallback) const {
    const int at = find(name);
    return at > 0 && at + 1 < argc_ ? argv_[at + 1] : std::move(fallback);
  }
  std::uint64_t number(std::string_view name, std::uint64_t fallback) const {
    const std::string value = text(name, "");
    return value.empty() ? fallback : std::strtoull(value.c_str(), nullptr, 10);
  }

 private:
  int find(std::string_view name) const {
    for (int i = 1; i < argc_; ++i) {
      if (argv_[i] == name) return i;
    }
    return 0;
  }
  int argc_;
  char** argv_;
};

}  // namespace bench
