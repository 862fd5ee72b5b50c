// SPDX-License-Identifier: Apache-2.0
#include "net/single_flight.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/asio.hpp>
#include <string>
#include <vector>

#include "net/task_group.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"

namespace net_single_flight_test {

namespace asio = boost::asio;
using namespace hoplock;
using Flights = net::SingleFlight<std::string, int>;

namespace {
asio::awaitable<void> turns(int count) {
  for (int i = 0; i < count; ++i) co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

struct Asked {
  Flights flights;
  net::Condition answer;
  int questions = 0;
  std::vector<int> found;
};

enum class Ends : std::uint8_t { well, badly };

asio::awaitable<void> ask(Asked& asked, std::string key, Ends first) {
  while (const auto flight = asked.flights.find(key)) {
    co_await flight->wait();
    if (!flight->found()) continue;
    asked.found.push_back(*flight->found());
    co_return;
  }
  Flights::Work work(asked.flights, key);
  const int number = ++asked.questions;
  co_await asked.answer.wait();
  if (number == 1 && first == Ends::badly) co_return;
  work.done(number);
  asked.found.push_back(number);
}
}  // namespace

TEST_CASE("SingleFlight: who asks meanwhile waits for the first one's answer; another key is another question") {
  support::Loop loop;
  support::MemoryLog log;
  Asked asked;
  net::TaskGroup tasks(loop.executor(), log);
  for (int i = 0; i < 3; ++i) tasks.spawn("asker", ask(asked, "a", Ends::well));
  tasks.spawn("asker", ask(asked, "b", Ends::well));
  loop.run(turns(5));
  CHECK(asked.questions == 2);
  asked.answer.notify_all();
  loop.run(turns(10));
  CHECK(asked.found.size() == 4);
  CHECK(std::count(asked.found.begin(), asked.found.end(), 1) == 3);
  CHECK(asked.flights.find("a") == nullptr);
  CHECK(tasks.size() == 0);
}

TEST_CASE("SingleFlight: when the first one brings nothing, one of those who waited asks for the others") {
  support::Loop loop;
  support::MemoryLog log;
  Asked asked;
  net::TaskGroup tasks(loop.executor(), log);
  for (int i = 0; i < 3; ++i) tasks.spawn("asker", ask(asked, "a", Ends::badly));
  loop.run(turns(5));
  CHECK(asked.questions == 1);
  asked.answer.notify_all();
  loop.run(turns(10));
  CHECK(asked.questions == 2);
  CHECK(asked.found.empty());
  asked.answer.notify_all();
  loop.run(turns(10));
  CHECK(asked.found == std::vector<int>{2, 2});
  CHECK(tasks.size() == 0);
}

}  // namespace net_single_flight_test
