// SPDX-License-Identifier: Apache-2.0
// What the service manager that started us is told, and when (sd_notify(3)); without one nothing happens. A long start goes on as long
// as it gets on: its deadline is moved while calls on the store's files come back, and only then. The watchdog (WATCHDOG_USEC) is fed by the loop: when
// the disk thread has answered it, and for up to 15 minutes also while it has not but calls on the store's files come back, for a slow
// disk is no reason to start again. When loop or disk hang it is not fed, and we are started again.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "net/task_group.h"

namespace hoplock::daemon {

class Supervision {
 public:
  Supervision();
  Supervision(const Supervision&) = delete;
  Supervision& operator=(const Supervision&) = delete;

  void ready();
  // A start that waits for a server may take that much longer, for some time: to be said again.
  void waits_for(const std::string& server) const;
  void reloading() const;
  void reloaded() const;
  // The end may take this long.
  void stopping(std::chrono::milliseconds most) const;
  // Comes back when what works for the store does.
  using Ask = std::function<boost::asio::awaitable<void>()>;
  // Until it is cancelled; at once where nobody watches. REQUIRES: what it asks outlives it and what it spawns.
  boost::asio::awaitable<void> feed(Ask answer, net::TaskGroup& tasks) const;

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::microseconds patience_{0};  // of the watchdog; 0: there is none
  std::jthread start_;                     // tells that the start gets on; until ready()
};

}  // namespace hoplock::daemon
