// SPDX-License-Identifier: Apache-2.0
// How long a loop is kept by any one step: a coroutine that is woken every millisecond looks at the processor time that the loop's
// thread has used since. Time of the processor, not of the clock on the wall: other programs on the machine do not count.
#pragma once
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <ctime>
#include <tuple>
#include <utility>

#include "net/when_all.h"

namespace hoplock::support {

class LongestStep {
 public:
  using Time = std::chrono::duration<double, std::milli>;

  // Runs beside `task` for as long as that takes; its value.
  template <class T>
  boost::asio::awaitable<T> beside(boost::asio::awaitable<T> task) {
    auto both = co_await net::when_all(end_with(std::move(task)), watch());
    co_return std::move(std::get<0>(both));
  }
  Time longest() const { return longest_; }

 private:
  static Time used() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  }
  void look() {
    const Time now = used();
    longest_ = std::max(longest_, now - last_);
    last_ = now;
  }
  template <class T>
  boost::asio::awaitable<T> end_with(boost::asio::awaitable<T> task) {
    T value = co_await std::move(task);
    look();
    over_ = true;
    co_return value;
  }
  boost::asio::awaitable<int> watch() {
    last_ = used();
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    while (!over_) {
      timer.expires_after(std::chrono::milliseconds(1));
      co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
      if (!over_) look();
    }
    co_return 0;
  }

  Time last_{};
  Time longest_{};
  bool over_ = false;
};

}  // namespace hoplock::support
