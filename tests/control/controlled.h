// SPDX-License-Identifier: Apache-2.0
// A queue with its control socket, as the daemon has them, for tests of either end.
#pragma once
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <string>
#include <utility>

#include "control/client.h"
#include "control/server.h"
#include "tests/queue/world.h"
#include "tests/support/memory_log.h"

namespace hoplock::control::test {

// A plain socket there, and what is said over it.
class Socket {
 public:
  explicit Socket(const std::string& path) : descriptor_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    connected_ = connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(descriptor_); }

  bool is_connected() const { return connected_; }
  int descriptor() const { return descriptor_; }
  void send(std::string_view octets) const {
    for (ssize_t n = 1; n > 0 && !octets.empty(); octets.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0))
      n = ::send(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL);
  }
  // Until something has come, which is left where it is, or the end.
  bool is_answered() const {
    pollfd ready{descriptor_, POLLIN, 0};
    return poll(&ready, 1, 5000) == 1;
  }
  // Up to the server's end.
  std::string rest() const {
    std::string all;
    std::array<char, 4096> room{};
    for (ssize_t n = 1; n > 0;) {
      n = recv(descriptor_, room.data(), room.size(), 0);
      if (n > 0) all.append(room.data(), static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  int descriptor_;
  bool connected_ = false;
};

inline std::string request(const std::string& path, const std::string& body) {
  return "POST " + path +
         " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

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
    to.compact = [this]() -> boost::asio::awaitable<Result<std::uint64_t>> {
      boost::asio::steady_timer pause(world.loop.executor(), std::chrono::milliseconds(600));
      co_await pause.async_wait(boost::asio::use_awaitable);
      co_return free_pages -= 10;
    };
    to.store_octets = [] { return std::uint64_t{4096}; };
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
  // What is answered to this, up to the end.
  std::string said(const std::string& octets) {
    return apart([&] {
      const Socket socket(path);
      socket.send(octets);
      return socket.rest();
    });
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
  std::uint64_t free_pages = 40;
  int reloads = 0;
  std::optional<std::string> complaint;
  control::Server server;
};

}  // namespace hoplock::control::test
