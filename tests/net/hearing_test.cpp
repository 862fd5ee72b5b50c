// SPDX-License-Identifier: Apache-2.0
#include "net/hearing.h"

#include <doctest/doctest.h>

#include <boost/asio.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iterator>
#include <utility>

#include "tests/support/loop.h"

namespace net_hearing_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace hoplock::support;
using namespace std::chrono_literals;
using asio::ip::udp;
using std::chrono::steady_clock;

namespace {

const Ip here = Ip::parse("127.0.0.1").value();
const auto any = [](std::string_view) { return true; };

udp::socket bound(Loop& loop) { return {loop.io(), udp::endpoint(asio::ip::address_v4::loopback(), 0)}; }
net::Endpoint at(const udp::socket& socket) { return {here, socket.local_endpoint().port()}; }

// A port that nobody has: the system says so.
net::Endpoint nobody(Loop& loop) {
  udp::socket gone = bound(loop);
  return at(gone);
}

net::Hearing hear(Loop& loop, std::vector<net::Endpoint> to, std::chrono::milliseconds time) {
  return loop.run(net::hear(std::move(to), "who is there?", any, steady_clock::now() + time));
}

}  // namespace

TEST_CASE("hear: one that answers is enough, whatever the others do") {
  Loop loop;
  udp::socket silent = bound(loop);
  udp::socket server = bound(loop);
  udp::endpoint client;
  std::string room(100, '\0');
  server.async_receive_from(asio::buffer(room), client, [&](boost::system::error_code, std::size_t octets) {
    CHECK(room.substr(0, octets) == "who is there?");
    server.send_to(asio::buffer("me", 2), client);
  });
  const auto heard = hear(loop, {at(silent), nobody(loop), at(server)}, 10s);
  CHECK(heard.answered);
  CHECK(heard.silence.empty());
}

TEST_CASE("hear: who drops everything is waited for until the deadline, and asked again meanwhile") {
  Loop loop;
  udp::socket silent = bound(loop);
  const auto start = steady_clock::now();
  const auto heard = hear(loop, {at(silent)}, 1500ms);
  CHECK_FALSE(heard.answered);
  CHECK(heard.silence == "no answer");
  CHECK(steady_clock::now() - start >= 1500ms);
  CHECK(silent.available() > 0);
  std::string room(100, '\0');
  silent.non_blocking(true);
  int questions = 0;
  boost::system::error_code code;
  while (silent.receive(asio::buffer(room), 0, code) > 0 && !code) ++questions;
  CHECK(questions == 2);
}

TEST_CASE("hear: where all refuse there is nothing to wait for") {
  Loop loop;
  const auto start = steady_clock::now();
  const auto heard = hear(loop, {nobody(loop), nobody(loop)}, 20s);
  CHECK_FALSE(heard.answered);
  CHECK(heard.silence == "Connection refused");
  CHECK(steady_clock::now() - start < 10s);
}

TEST_CASE("hear: a datagram that is no answer, and one of somebody else, count for nothing") {
  Loop loop;
  udp::socket server = bound(loop);
  udp::socket stranger = bound(loop);
  udp::endpoint client;
  std::string room(100, '\0');
  server.async_receive_from(asio::buffer(room), client, [&](boost::system::error_code, std::size_t) {
    for (int i = 0; i < 40; ++i) server.send_to(asio::buffer("noise", 5), client);
    stranger.send_to(asio::buffer("answer", 6), client);
  });
  const auto heard = loop.run(net::hear(
      {at(server)}, "?", [](std::string_view text) { return text == "answer"; }, steady_clock::now() + 500ms));
  CHECK_FALSE(heard.answered);
  CHECK(heard.silence == "no answer");
}

// What is cut off while nobody answers: a socket that listened on would keep its descriptor, and the loop, for ever.
TEST_CASE("hear: cancelled while all are silent it leaves no socket and no timer behind") {
  Loop loop;
  udp::socket one = bound(loop);
  udp::socket two = bound(loop);
  const auto descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = descriptors();
  for (int asked = 0; asked < 3; ++asked) {
    asio::cancellation_signal stop;
    bool ended = false;
    auto hearing = net::hear({at(one), at(two)}, "?", any, steady_clock::now() + 60s);
    asio::co_spawn(
        loop.io(), std::move(hearing),
        asio::bind_cancellation_slot(stop.slot(), [&ended](const std::exception_ptr& thrown, const net::Hearing&) {
          CHECK(thrown);
          ended = true;
        }));
    loop.io().restart();
    loop.io().poll();  // as far as it gets without an answer
    REQUIRE(one.available() > 0);
    CHECK_FALSE(ended);
    stop.emit(asio::cancellation_type::terminal);
    loop.io().run_for(10s);
    CHECK(ended);
    CHECK(loop.io().stopped());  // nothing is waited for
    CHECK(descriptors() == before);
  }
}

}  // namespace net_hearing_test
