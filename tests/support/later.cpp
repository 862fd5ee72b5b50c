// SPDX-License-Identifier: Apache-2.0
#include "tests/support/later.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>

namespace {

std::atomic<std::int64_t> ahead_ns{0};

}  // namespace

extern "C" int clock_gettime(clockid_t which, timespec* at) noexcept {
  const auto failed = static_cast<int>(::syscall(SYS_clock_gettime, which, at));
  if (failed != 0 || which != CLOCK_MONOTONIC) return failed;
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t all = at->tv_nsec + ahead_ns.load(std::memory_order_relaxed);
  at->tv_sec += static_cast<time_t>(all / second);
  at->tv_nsec = static_cast<long>(all % second);
  return 0;
}

namespace hoplock::support {

Later::~Later() { ahead_ns = 0; }

void Later::pass(std::chrono::milliseconds time) {
  ahead_ns += std::chrono::nanoseconds(time).count();
  // the kernel's timer of the loop knows nothing of it: one whose time is over has the loop look at all of them
  bool looked = false;
  boost::asio::steady_timer first(loop_, std::chrono::steady_clock::time_point::min());
  first.async_wait([&looked](boost::system::error_code) { looked = true; });
  loop_.restart();
  while (!looked) loop_.run_one();
  loop_.poll();
}

}  // namespace hoplock::support
