// SPDX-License-Identifier: Apache-2.0
// Two waits side by side, whatever ends first and however.
#include "net/when_all.h"

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <stdexcept>
#include <string>

#include "net/condition.h"
#include "net/task_group.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"

namespace net_when_all_test {

using namespace hoplock;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

// Ends when the signal comes; with an exception, where it has a text.
struct Wait {
  net::Condition signal;
  std::string fault;
  int ends = 0;
};

asio::awaitable<int> number(Wait& wait, int value) {
  const struct End {
    int& count;
    ~End() { ++count; }
  } end{wait.ends};
  co_await wait.signal.wait();
  co_await asio::this_coro::executor;
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none)
    throw boost::system::system_error(asio::error::operation_aborted);
  if (!wait.fault.empty()) throw std::runtime_error(wait.fault);
  co_return value;
}

asio::awaitable<void> nothing(Wait& wait) { co_await number(wait, 0); }

struct Pair {
  Wait one, two;
  int sum = 0;
  std::string thrown;
};

asio::awaitable<void> add(Pair& pair) {
  try {
    const auto [a, b] = co_await net::when_all(number(pair.one, 1), number(pair.two, 2));
    pair.sum = a + b;
  } catch (const std::runtime_error& error) {
    const auto* system = dynamic_cast<const boost::system::system_error*>(&error);
    pair.thrown = system != nullptr ? system->code().message() : error.what();
    throw;
  }
}

asio::awaitable<void> add_one(Pair& pair) { pair.sum = co_await net::when_all(number(pair.one, 1), nothing(pair.two)); }

struct World {
  void start(asio::awaitable<void> task) {
    tasks.spawn("task", std::move(task));
    poll();
  }
  void poll() {
    loop.io().restart();
    loop.io().poll();
  }
  support::Loop loop;
  support::MemoryLog log;
  net::TaskGroup tasks{loop.executor(), log};
};

}  // namespace

TEST_CASE("when_all: both results, whichever comes first") {
  for (const bool first : {true, false}) {
    World world;
    Pair pair;
    world.start(add(pair));
    (first ? pair.one : pair.two).signal.notify_all();
    world.poll();
    CHECK(pair.sum == 0);
    (first ? pair.two : pair.one).signal.notify_all();
    world.poll();
    CHECK(pair.sum == 3);
    CHECK(world.tasks.size() == 0);
  }
}

TEST_CASE("when_all: what fails first is told, whichever it is, and the other ends") {
  for (const bool first : {true, false}) {
    World world;
    Pair pair;
    Wait& broken = first ? pair.one : pair.two;
    broken.fault = "it broke";
    world.start(add(pair));
    broken.signal.notify_all();
    world.poll();
    CHECK(pair.thrown == "it broke");
    CHECK(pair.one.ends == 1);
    CHECK(pair.two.ends == 1);
    CHECK(world.log.events("internal-error").size() == 1);
  }
}

TEST_CASE("when_all: being stopped while both wait is no fault") {
  World world;
  Pair pair;
  Pair other;
  world.start(add(pair));
  world.start(add_one(other));
  world.tasks.stop();
  world.poll();
  CHECK(world.tasks.size() == 0);
  CHECK(pair.thrown == boost::system::error_code(asio::error::operation_aborted).message());
  CHECK(pair.one.ends + pair.two.ends == 2);
  CHECK(other.one.ends + other.two.ends == 2);
  CHECK(world.log.events("internal-error").empty());
}

TEST_CASE("when_all: one that brings nothing is waited for as well") {
  World world;
  Pair pair;
  world.start(add_one(pair));
  pair.one.signal.notify_all();
  world.poll();
  CHECK(pair.sum == 0);
  pair.two.signal.notify_all();
  world.poll();
  CHECK(pair.sum == 1);
}

}  // namespace net_when_all_test
