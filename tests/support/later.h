// SPDX-License-Identifier: Apache-2.0
// The steady clock of this process, ahead by as much as a test says, for deadlines of minutes that nobody wants to wait for. It stands
// before the system's own clock_gettime, as a preloaded library would; while none of these lives, it changes nothing.
#pragma once
#include <boost/asio/io_context.hpp>
#include <chrono>

namespace hoplock::support {

class Later {
 public:
  explicit Later(boost::asio::io_context& loop) : loop_(loop) {}
  ~Later();
  Later(const Later&) = delete;
  Later& operator=(const Later&) = delete;
  // It is later by that, and the loop's timers whose time has come by then have run.
  void pass(std::chrono::milliseconds time);

 private:
  boost::asio::io_context& loop_;
};

}  // namespace hoplock::support
