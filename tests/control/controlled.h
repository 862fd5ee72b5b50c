// SPDX-License-Identifier: Apache-2.0
// A queue with its control socket, as the daemon has them, for tests of either end.
#pragma once
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <future>
#include <map>
#include <string>
#include <utility>

#include "control/client.h"
#include "control/server.h"
#include "tests/queue/world.h"
#include "tests/support/memory_log.h"

namespace hoplock::control::test {

struct Controlled {
  Controlled() : world(dir.path()), server(world.loop.executor(), *world.queue, log, calls()) {
    server.open(path).value();
  }
  ~Controlled() { stop(); }
  void stop() { world.loop.run(server.stop(std::chrono::steady_clock::now() + std::chrono::seconds(2))); }
  control::Calls calls() {
    control::Calls to;
    to.kick = [this] { ++kicks; };
    to.waiting = [this] {
      ++waiting_asked;
      return waiting;
    };
    to.status = []() -> boost::asio::awaitable<control::Status> {
      control::Status status;
      status.counts = {{"connections", 3}};
      status.problems = {{"dnssec", "nothing validates"}};
      co_return status;
    };
    to.reload = [this] {
      ++reloads;
      return complaint;
    };
    to.refresh_policy = [this](dns::Name domain) -> boost::asio::awaitable<route::PolicyEvent> {
      boost::asio::steady_timer pause(world.loop.executor(), fetch_takes);
      co_await pause.async_wait(boost::asio::use_awaitable);
      route::PolicyEvent news;
      news.action = route::PolicyEvent::Action::refreshed;
      news.domain = std::move(domain);
      news.id = "7";
      news.mode = mtasts::Mode::testing;
      news.max_age = Seconds(86400);
      news.expires = queue::test::t0;
      co_return news;
    };
    // Two of three reports of any day, but nothing of a domain.
    to.send_reports =
        [](store::ReportSelection which) -> boost::asio::awaitable<Result<reports::Sender::SendNowResult>> {
      reports::Sender::SendNowResult result;
      if (!which.domain) result = {3, 2};
      co_return result;
    };
    return to;
  }
  // Runs `function`, which blocks, on a thread of its own while the loop runs here.
  template <class F>
  auto apart(F function) {
    auto result = std::async(std::launch::async, std::move(function));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      REQUIRE(std::chrono::steady_clock::now() < end);
      world.loop.io().restart();
      world.loop.io().run_for(std::chrono::milliseconds(5));
    }
    return result.get();
  }
  store::Affected act(store::Action action, store::Selection selection) {
    return apart([&, selection] { return Client::connect(path).value().act(action, selection).value(); });
  }
  std::string lines(std::string_view event) const {
    std::string text;
    for (const auto& one : log.events(event))
      text += std::string(one.get("id")) + " " + std::string(one.get("by")) + ";";
    return text;
  }

  std::vector<queue::InLine> waiting;
  int waiting_asked = 0;
  support::TempDirectory dir;
  std::string path = dir.file("control.sock");
  queue::test::World world;
  support::MemoryLog log;
  int kicks = 0;
  std::chrono::milliseconds fetch_takes{0};
  int reloads = 0;
  std::optional<std::string> complaint;
  control::Server server;
};

}  // namespace hoplock::control::test
