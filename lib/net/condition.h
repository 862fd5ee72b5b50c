// SPDX-License-Identifier: Apache-2.0
// A notification between coroutines of one loop, as a condition variable is between threads: no busy loops, no sleeps.
// Not for use across threads. Nothing is remembered: look at the condition, then wait; on one loop nothing can happen
// in between.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstdint>

namespace hoplock::net {

using SteadyTime = std::chrono::steady_clock::time_point;

enum class Woken : std::uint8_t { notified, timed_out };

class Condition {
 public:
  Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  // Waiters that are left behind wait on until their deadline.
  ~Condition() = default;

  // Wakes the one that has waited longest; nothing happens without a waiter.
  void notify_one();
  void notify_all();
  // A cancelled task wakes as timed_out, and its next co_await throws.
  boost::asio::awaitable<Woken> wait_until(SteadyTime deadline);
  boost::asio::awaitable<void> wait();
  bool has_waiters() const { return !waiters_.empty(); }

 private:
  struct Waiter : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    Waiter(const boost::asio::any_io_executor& executor, SteadyTime deadline) : timer(executor, deadline) {}
    boost::asio::steady_timer timer;
    Woken woken = Woken::timed_out;
  };
  boost::intrusive::list<Waiter, boost::intrusive::constant_time_size<false>> waiters_;
};

}  // namespace hoplock::net
