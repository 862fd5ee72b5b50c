// SPDX-License-Identifier: Apache-2.0
#include "net/condition.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hoplock::net {

namespace asio = boost::asio;

void Condition::notify_one() {
  if (waiters_.empty()) return;
  Waiter& waiter = waiters_.front();
  waiters_.pop_front();
  waiter.woken = Woken::notified;
  waiter.timer.cancel();
}

void Condition::notify_all() {
  while (!waiters_.empty()) notify_one();
}

asio::awaitable<Woken> Condition::wait_until(SteadyTime deadline) {
  Waiter waiter(co_await asio::this_coro::executor, deadline);
  waiters_.push_back(waiter);
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return waiter.woken;  // *this may be gone by now
}

asio::awaitable<void> Condition::wait() { co_await wait_until(SteadyTime::max()); }

}  // namespace hoplock::net
