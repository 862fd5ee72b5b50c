// SPDX-License-Identifier: Apache-2.0
// Peers that keep TLS busy without saying anything, against sessions of ours in both roles.
#include <doctest/doctest.h>

#include <boost/asio.hpp>

#include "net/acceptor.h"
#include "net/connect.h"
#include "net/tls_server.h"
#include "tests/http/https.h"
#include "tests/support/longest_step.h"
#include "tests/support/tls_flood.h"

namespace net_flood_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace hoplock::support;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
constexpr LongestStep::Time longest_allowed = 50ms;

const Ip loopback = Ip::parse("127.0.0.1").value();

// Reads until there is no more, as a listener's session does that waits for a command.
asio::awaitable<Error> read_to_end(net::Stream& stream) {
  std::string buffer(4096, '\0');
  for (;;) {
    const auto got = co_await stream.read_some(buffer);
    if (!got) co_return got.error();
  }
}

asio::awaitable<Error> serve(net::Acceptor& acceptor, std::shared_ptr<const net::ServerTls> tls) {
  auto stream = co_await acceptor.accept();
  stream->expires_after(20s);
  const auto done = co_await net::accept_tls(*stream, std::move(tls));
  if (!done) co_return fail(errc::host_unreachable, "no handshake: " + done.error().detail);
  Error end = co_await read_to_end(*stream);
  stream->close();
  co_return end;
}

asio::awaitable<Error> visit(std::uint16_t port, std::shared_ptr<const net::ClientTls> tls) {
  auto stream = co_await net::connect({loopback, port}, std::chrono::steady_clock::now() + 20s);
  const auto made = co_await tls->handshake(*stream, opportunistic());
  if (made.failure) co_return fail(errc::host_unreachable, "no handshake: " + made.failure->text);
  Error end = co_await read_to_end(*stream);
  stream->close();
  co_return end;
}

void check_end(const Error& end, const LongestStep& steps) {
  CAPTURE(end.detail);
  CHECK(end.code == errc::protocol_error);
  CHECK(steps.longest().count() < longest_allowed.count());
}
}  // namespace

TEST_CASE(
    "TLS-15, BND-01: a client that floods TLS with records of no data keeps the loop no longer than 50 ms, and is cut "
    "off") {
  const Authority authority;
  const auto tls = net::ServerTls::load(write_chain(authority.dir, "relay", authority.leaf)).value();
  for (const Flood flood :
       {Flood::key_updates, Flood::asked_key_updates, Flood::key_updates_among_data, Flood::empty_records,
        Flood::warnings, Flood::client_hellos, Flood::warnings_among_data, Flood::client_hellos_among_data}) {
    CAPTURE(std::string(to_text(flood)));
    Loop loop;
    auto acceptor = net::Acceptor::listen(loop.executor(), {loopback, 0}).value();
    TlsFlooder peer(acceptor.local().port, flood);
    LongestStep steps;
    const Error end = loop.run(steps.beside(serve(acceptor, tls)));
    check_end(end, steps);
    CHECK(peer.finish() == "");
  }
}

TEST_CASE(
    "TLS-15, BND-01: an MX host that floods TLS with records of no data keeps the loop no longer than 50 ms, and is "
    "cut off") {
  const Authority authority;
  const auto files = write_chain(authority.dir, "mx", authority.leaf);
  const auto tls = net::ClientTls::load({.ca_file = authority.ca_file}).value();
  for (const Flood flood :
       {Flood::tickets, Flood::key_updates, Flood::asked_key_updates, Flood::tickets_among_data, Flood::empty_records,
        Flood::warnings, Flood::hello_requests, Flood::warnings_among_data, Flood::hello_requests_among_data}) {
    CAPTURE(std::string(to_text(flood)));
    Loop loop;
    TlsFlooder peer(files, flood);
    LongestStep steps;
    const Error end = loop.run(steps.beside(visit(peer.port(), tls)));
    check_end(end, steps);
    CHECK(peer.finish() == "");
  }
}

TEST_CASE("TLS-15, BND-01: a policy host that floods TLS instead of answering is cut off") {
  HttpsWorld world;
  const auto files = write_chain(world.authority.dir, "https", world.good, {&world.authority.intermediate});
  for (const Flood flood : {Flood::tickets, Flood::key_updates, Flood::hello_requests}) {
    CAPTURE(std::string(to_text(flood)));
    TlsFlooder peer(files, flood);
    http::HttpsRequest request = get_from(HttpsWorld::host);
    request.port = peer.port();
    LongestStep steps;
    const auto answer = world.loop.run(steps.beside(http::fetch(std::move(request), world.tls())));
    REQUIRE(std::holds_alternative<http::HttpsFailure>(answer));
    CHECK(std::get<http::HttpsFailure>(answer).kind == Kind::lost);
    CHECK(steps.longest().count() < longest_allowed.count());
    CHECK(peer.finish() == "");
  }
}

}  // namespace net_flood_test
