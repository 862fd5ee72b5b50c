// SPDX-License-Identifier: Apache-2.0
// Ends a wait from elsewhere on the same loop: what waits long for nothing shall not keep others from their turn.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "net/condition.h"

namespace hoplock::net {

// Once, for good.
class Cut {
 public:
  void now() {
    is_ = true;
    condition_.notify_all();
  }
  bool is_made() const { return is_; }
  boost::asio::awaitable<bool> wait() {
    while (!is_) co_await condition_.wait();
    co_return true;
  }
  // For whoever waits for something else as well: until it is made, or wake().
  boost::asio::awaitable<void> wait_once() { return condition_.wait(); }
  void wake() { condition_.notify_all(); }

 private:
  bool is_ = false;
  Condition condition_;
};

// What comes of it, or nothing: it was cut, and cancelled. REQUIRES: `cut` outlives it.
template <class T>
boost::asio::awaitable<std::optional<T>> unless_cut(boost::asio::awaitable<T> wait, Cut& cut) {
  using namespace boost::asio::experimental;
  if (cut.is_made()) co_return std::nullopt;
  const auto executor = co_await boost::asio::this_coro::executor;
  auto mine = boost::asio::co_spawn(executor, std::move(wait), boost::asio::deferred);
  auto its = boost::asio::co_spawn(executor, cut.wait(), boost::asio::deferred);
  auto group = make_parallel_group(std::move(mine), std::move(its));
  auto [order, failed, value, other_failed, made] = co_await group.async_wait(wait_for_one(), boost::asio::deferred);
  if (order[0] == 1 && cut.is_made()) co_return std::nullopt;
  if (failed) std::rethrow_exception(failed);
  if (other_failed && order[0] == 1) std::rethrow_exception(other_failed);
  co_return std::optional<T>(std::move(value));
}

}  // namespace hoplock::net
