// SPDX-License-Identifier: Apache-2.0
#include "net/connect.h"

#include <doctest/doctest.h>

#include <boost/asio.hpp>

#include "net/acceptor.h"
#include "tests/support/loop.h"
#include "tests/support/scripted_peer.h"

namespace net_connect_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace hoplock::support;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {
Ip ip(std::string_view text) { return Ip::parse(text).value(); }
auto soon() { return steady_clock::now() + 5s; }
}  // namespace

TEST_CASE("connect: from the given source address") {
  Loop loop;
  ScriptedPeer peer(Script().expect_end());
  auto stream = loop.run(net::connect({ip("127.0.0.1"), peer.port()}, soon(), ip("127.0.0.9")));
  REQUIRE(stream.has_value());
  CHECK(stream->local().ip == ip("127.0.0.9"));
  CHECK(stream->peer().text() == "127.0.0.1:" + std::to_string(peer.port()));
}

TEST_CASE("connect: refused, no source address, and timed out are told apart") {
  Loop loop;
  std::uint16_t closed_port = 0;
  {
    auto gone = net::Acceptor::listen(loop.executor(), {ip("127.0.0.1"), 0}).value();
    closed_port = gone.local().port;
  }
  const auto refused = loop.run(net::connect({ip("127.0.0.1"), closed_port}, soon()));
  CHECK(refused.error().code == errc::connection_refused);
  const auto foreign = loop.run(net::connect({ip("127.0.0.1"), closed_port}, soon(), ip("192.0.2.77")));
  CHECK(foreign.error().code == errc::address_not_available);
  CHECK(foreign.error().detail.find("192.0.2.77") != std::string::npos);
  const auto late = loop.run(net::connect({ip("127.0.0.1"), closed_port}, steady_clock::now() - 1s));
  CHECK(late.error().code == errc::timed_out);
}

TEST_CASE("connect: a host whose backlog is full times out") {
  Loop loop;
  asio::ip::tcp::acceptor full(loop.io());
  full.open(asio::ip::tcp::v4());
  full.bind({asio::ip::make_address("127.0.0.1"), 0});
  full.listen(1);
  const net::Endpoint to{ip("127.0.0.1"), full.local_endpoint().port()};
  std::vector<net::Stream> waiting;
  Result<net::Stream> last = fail(errc::invalid_argument, "");
  for (int i = 0; i < 10; ++i) {
    last = loop.run(net::connect(to, steady_clock::now() + 100ms));
    if (!last) break;
    waiting.push_back(std::move(*last));
  }
  REQUIRE_FALSE(last.has_value());
  CHECK(last.error().code == errc::timed_out);
}

TEST_CASE("Acceptor: an address in use is an error that names it") {
  Loop loop;
  auto first = net::Acceptor::listen(loop.executor(), {ip("127.0.0.1"), 0}).value();
  const auto second = net::Acceptor::listen(loop.executor(), first.local());
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == errc::address_in_use);
  CHECK(second.error().detail.find(first.local().text()) != std::string::npos);
}

TEST_CASE("Acceptor: closed, it ends its accept") {
  Loop loop;
  auto acceptor = net::Acceptor::listen(loop.executor(), {ip("127.0.0.1"), 0}).value();
  asio::steady_timer timer(loop.io(), 20ms);
  timer.async_wait([&](error_code) { acceptor.close(); });
  const auto accepted = loop.run(acceptor.accept());
  REQUIRE_FALSE(accepted.has_value());
  CHECK(accepted.error().code == errc::operation_canceled);
}

TEST_CASE("Endpoint: IPv6 stands in brackets") {
  CHECK(net::Endpoint{ip("2001:db8::1"), 25}.text() == "[2001:db8::1]:25");
}

}  // namespace net_connect_test
