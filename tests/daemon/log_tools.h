// SPDX-License-Identifier: Apache-2.0
// For the tests of the log: a pump whose patience a test can wait for, and a wait for what its thread does.
#pragma once
#include <chrono>
#include <functional>
#include <thread>

#include "daemon/log_pump.h"

namespace hoplock::daemon::test {

inline LogPump::Limits quick_limits(std::chrono::milliseconds grace) {
  using namespace std::chrono_literals;
  LogPump::Limits limits;
  limits.waiting = 256 * 1024;
  limits.grace = grace;
  limits.most = 2000ms;
  limits.retry = 20ms;
  limits.quiet = 100ms;
  return limits;
}

// Within five seconds.
inline bool comes(const std::function<bool()>& what) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!what()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace hoplock::daemon::test
