// SPDX-License-Identifier: Apache-2.0
#include "net/task_group.h"

#include <doctest/doctest.h>

#include <boost/asio.hpp>
#include <stdexcept>

#include "tests/support/loop.h"
#include "tests/support/memory_log.h"

namespace net_task_group_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {
asio::awaitable<void> count(int& counter) {
  ++counter;
  co_return;
}

asio::awaitable<void> sleep_for(std::chrono::milliseconds time, int& ended) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
  ++ended;
}

asio::awaitable<void> throw_it(std::string what) {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  throw std::logic_error(what);
}

asio::awaitable<void> stop_from_inside(net::TaskGroup& tasks, int& ended) {
  tasks.stop();
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  ++ended;
}

auto in(std::chrono::milliseconds time) { return steady_clock::now() + time; }
}  // namespace

TEST_CASE("TaskGroup: spawned tasks run from the loop and join waits for them") {
  support::Loop loop;
  support::MemoryLog log;
  net::TaskGroup tasks(loop.executor(), log);
  int counter = 0;
  for (int i = 0; i < 10; ++i) tasks.spawn("count", count(counter));
  CHECK(counter == 0);
  CHECK(tasks.size() == 10);
  CHECK(loop.run(tasks.join(in(5s))) == 0);
  CHECK(counter == 10);
  CHECK(log.events().empty());
}

TEST_CASE("TaskGroup: an exception ends its own task only and is told as internal-error") {
  support::Loop loop;
  support::MemoryLog log;
  net::TaskGroup tasks(loop.executor(), log);
  int ended = 0;
  tasks.spawn("broken", throw_it("it broke"));
  tasks.spawn("good", sleep_for(10ms, ended));
  CHECK(loop.run(tasks.join(in(5s))) == 0);
  CHECK(ended == 1);
  const auto events = log.events("internal-error");
  REQUIRE(events.size() == 1);
  CHECK(events[0].get("task") == "broken");
  CHECK(events[0].get("error") == "it broke");
}

TEST_CASE("TaskGroup: join gives up at its deadline, stop ends what is left, and no error is told") {
  support::Loop loop;
  support::MemoryLog log;
  net::TaskGroup tasks(loop.executor(), log);
  int ended = 0;
  tasks.spawn("long", sleep_for(60s, ended));
  tasks.spawn("long", sleep_for(60s, ended));
  CHECK(loop.run(tasks.join(in(20ms))) == 2);
  const auto start = steady_clock::now();
  tasks.stop();
  CHECK(loop.run(tasks.join(in(5s))) == 0);
  CHECK(steady_clock::now() - start < 4s);
  CHECK(ended == 0);
  CHECK(log.events().empty());
}

TEST_CASE("TaskGroup: after stop nothing starts, and what was not yet started ends at its first wait") {
  support::Loop loop;
  support::MemoryLog log;
  net::TaskGroup tasks(loop.executor(), log);
  int ended = 0;
  int counter = 0;
  tasks.spawn("long", sleep_for(60s, ended));
  tasks.stop();
  tasks.spawn("late", count(counter));
  CHECK(loop.run(tasks.join(in(5s))) == 0);
  CHECK(ended == 0);
  CHECK(counter == 0);
}

TEST_CASE("TaskGroup: a task may stop its own group") {
  support::Loop loop;
  support::MemoryLog log;
  net::TaskGroup tasks(loop.executor(), log);
  int ended = 0;
  tasks.spawn("stopper", stop_from_inside(tasks, ended));
  tasks.spawn("long", sleep_for(60s, ended));
  CHECK(loop.run(tasks.join(in(5s))) == 0);
  CHECK(ended == 0);
}

TEST_CASE("TaskGroup: destroyed before its tasks, they end at the loop's next turn") {
  support::Loop loop;
  support::MemoryLog log;
  int ended = 0;
  auto tasks = std::make_unique<net::TaskGroup>(loop.executor(), log);
  tasks->spawn("long", sleep_for(60s, ended));
  int other = 0;
  loop.run(sleep_for(5ms, other));
  tasks.reset();
  loop.run(sleep_for(5ms, other));
  CHECK(ended == 0);
  CHECK(log.events().empty());
}

}  // namespace net_task_group_test
