// SPDX-License-Identifier: Apache-2.0
#include "net/condition.h"

#include <doctest/doctest.h>

#include <boost/asio.hpp>

#include "net/task_group.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"

namespace net_condition_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {
asio::awaitable<void> wait_and_note(net::Condition& signal, int name, std::vector<int>& woken) {
  const net::Woken how = co_await signal.wait_until(steady_clock::now() + 5s);
  woken.push_back(how == net::Woken::notified ? name : -name);
}

asio::awaitable<void> turn() { co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable); }

asio::awaitable<void> turns(int count) {
  for (int i = 0; i < count; ++i) co_await turn();
}
}  // namespace

TEST_CASE("Condition: notify_one wakes the one that waited longest, notify_all the rest") {
  support::Loop loop;
  support::MemoryLog log;
  net::Condition signal;
  std::vector<int> woken;
  net::TaskGroup tasks(loop.executor(), log);
  for (int i = 1; i <= 3; ++i) tasks.spawn("waiter", wait_and_note(signal, i, woken));
  loop.run(turns(5));
  CHECK(signal.has_waiters());
  signal.notify_one();
  loop.run(turns(5));
  CHECK(woken == std::vector<int>{1});
  signal.notify_all();
  loop.run(turns(5));
  CHECK(woken == std::vector<int>{1, 2, 3});
  CHECK_FALSE(signal.has_waiters());
  CHECK(tasks.size() == 0);
}

TEST_CASE("Condition: a notification without a waiter is not kept") {
  support::Loop loop;
  net::Condition signal;
  signal.notify_one();
  CHECK(loop.run(signal.wait_until(steady_clock::now() + 20ms)) == net::Woken::timed_out);
  CHECK_FALSE(signal.has_waiters());
}

TEST_CASE("Condition: it may go while somebody waits") {
  support::Loop loop;
  support::MemoryLog log;
  auto signal = std::make_unique<net::Condition>();
  std::vector<int> woken;
  net::TaskGroup tasks(loop.executor(), log);
  tasks.spawn("waiter", wait_and_note(*signal, 1, woken));
  loop.run(turns(3));
  signal.reset();
  tasks.stop();
  CHECK(loop.run(tasks.join(steady_clock::now() + 5s)) == 0);
}

TEST_CASE("Condition: a loop that ends takes the waiters with it") {
  net::Condition signal;
  std::vector<int> woken;
  {
    support::Loop loop;
    support::MemoryLog log;
    net::TaskGroup tasks(loop.executor(), log);
    tasks.spawn("waiter", wait_and_note(signal, 1, woken));
    loop.run(turns(3));
    CHECK(signal.has_waiters());
  }
  CHECK_FALSE(signal.has_waiters());
  CHECK(woken.empty());
}

}  // namespace net_condition_test
