// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <boost/asio/post.hpp>
#include <functional>

#include "base/ascii.h"
#include "delivery/attempt_runner.h"
#include "tests/delivery/attempt_world.h"

namespace delivery_attempt_routes_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

// A route for example.org over these hosts, on the port of the world's peers.
route::Route route_to(const Courses& world, std::initializer_list<const char*> hosts) {
  route::Route route;
  route.match = {dns::parse_pattern("example.org").value()};
  for (const char* host : hosts) {
    route::NextHop next;
    if (const auto ip = Ip::parse(host)) {
      next.host = *ip;
    } else {
      next.host = name(host);
    }
    next.port = world.routing.port;
    route.hosts.push_back(std::move(next));
  }
  return route;
}

struct Doorman : Access {
  bool admit(const route::Hosts&) override { return true; }
  std::shared_ptr<void> enter(const Ip&) override { return std::make_shared<int>(0); }
  void answered(const Ip&) override {}
  void silent(const Ip&) override {}
  void ready() override {}
  void refused(const Ip&, const std::string& reply) override { told.push_back("refused " + reply); }
  void unreachable(const Ip&, const std::string& why) override { told.push_back("unreachable " + why); }
  std::vector<std::string> told;
};

}  // namespace

// Twenty sessions of everybody's mail were cut to one, for one sender's source address was not on this machine.
TEST_CASE("what this machine lacks says nothing about a host") {
  for (const bool here : {true, false}) {
    CAPTURE(here);
    Courses world;
    SourceRule rule;
    rule.ipv4 = Ip::parse(here ? "127.0.0.77" : "192.0.2.77").value();
    world.sources = {rule};
    world.peer({Courses::clear()});
    world.peers.clear();  // nobody there any more
    Doorman door;
    const Attempt attempt = world.send({"bob@example.org"}, &door);
    CHECK_FALSE(attempt.reached);
    CHECK(attempt.ours == !here);
    CHECK(door.told.size() == (here ? 1 : 0));
    CHECK(line(attempt, {"reason"}) == "deferred connect-refused");
  }
}

// A host that we left ourselves was "bad" on the whole node for ten minutes, and had its sessions cut.
TEST_CASE("MX-26: an attempt that gives way while it connects says nothing of the host") {
  struct Hasty : Doorman {
    std::shared_ptr<void> enter(const Ip& ip) override {
      gives_way.now();
      return Doorman::enter(ip);
    }
  };
  Courses world;
  world.peer({Courses::clear()});
  Hasty door;
  const Attempt attempt = world.send({"bob@example.org"}, &door);
  CHECK_FALSE(attempt.reached);
  CHECK_FALSE(attempt.cut_at_look_up);
  CHECK(door.told.empty());
  CHECK(line(attempt, {"reason"}) == "deferred connect-timeout");
  world.peers.clear();
}

// Each attempt began it anew, and was cut again.
TEST_CASE("MX-26: an attempt that gives way ends, and what it looked up goes on for the next one") {
  for (const char* question : {"example.org MX", "mx1.example.org A"}) {
    CAPTURE(question);
    Courses world;
    Script script = Courses::clear();
    world.peer({Courses::takes(script)});
    world.dns.slow[question] = std::chrono::milliseconds(200);
    Doorman door;
    std::function<void()> cut = [&] {
      if (world.dns.count(question) > 0) return door.gives_way.now();
      boost::asio::post(world.loop.executor(), cut);
    };
    boost::asio::post(world.loop.executor(), cut);
    const auto began = std::chrono::steady_clock::now();
    const Attempt attempt = world.send({"bob@example.org"}, &door);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::milliseconds(150));
    CHECK(attempt.cut_at_look_up);
    CHECK(line(attempt, {"reason"}) == "deferred dns-failure");
    Doorman next;
    CHECK(line(world.send({"bob@example.org"}, &next), {}) == "delivered");
    CHECK(world.dns.count(question) == 1);
    CHECK(door.told.empty());
  }
}

TEST_CASE("MX-16: a route's hosts are tried in their order, without MX, and carry the route's note") {
  Courses world;
  Script second = Courses::clear();
  ScriptedPeer& two = world.peer({Courses::takes(second)}, "127.0.0.3");
  route::Route route = route_to(world, {"mx1.example.org", "mx2.example.org"});
  route.note = "their relay";
  world.routing.routes = {route};
  world.dns.remove("example.org MX");
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"mx", "policy", "note"}) == "delivered mx2.example.org opportunistic their relay");
  CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 connect-refused next-host"});
  CHECK(two.finish() == Problems{});
  CHECK_FALSE(world.dns.asked_of("MX"));
}

TEST_CASE("a route to an address literal names it in brackets, once") {
  Courses world;
  Script script = Courses::clear();
  world.peer({Courses::takes(script)});
  world.routing.routes = {route_to(world, {"127.0.0.2"})};
  CHECK(line(world.send(), {"mx", "ip"}) == "delivered [127.0.0.2] 127.0.0.2");
  world.leave();
  world.peers.clear();
  CHECK(line(world.send(), {"reply"}).starts_with("deferred 450 4.4.1 connect-refused: [127.0.0.2]: "));
}

TEST_CASE("tls: verify takes the certificate for verify_names, and nothing else") {
  const struct {
    const char* verify_name;
    const char* outcome;
  } rows[] = {{"mx1.example.org", "delivered pkix "}, {"other.example.org", "deferred none 4.7.325"}};
  for (const auto& row : rows) {
    CAPTURE(row.verify_name);
    Courses world;
    world.peer({world.good(world.tls_of(world.leaf, "mx1"))});
    route::Route route = route_to(world, {"mx1.example.org"});
    route.tls = hop::RouteTls::verify;
    route.verify_names = {name(row.verify_name)};
    world.routing.routes = {route};
    const Attempt attempt = world.send();
    CHECK(line(attempt, {"auth", "dsn"}).starts_with(row.outcome));
    CHECK(line(attempt, {"policy"}).ends_with(" route"));
  }
}

TEST_CASE("TLS-13: a client certificate is shown where the route says so") {
  Courses world;
  PeerTls tls = world.tls_of(world.leaf, "mx1");
  tls.client_ca = world.dir.write("clients.pem", world.ca.pem());
  const Certificate client({.dns = {"relay.example.net"}}, world.ca);
  const net::CertificateFiles files = write_chain(world.dir, "client", client);
  ScriptedPeer& peer = world.peer({world.good(tls)});
  route::Route route = route_to(world, {"mx1.example.org"});
  route.tls = hop::RouteTls::encrypt;
  route.client_certificate = files.certificate;
  route.client_key = files.key;
  world.routing.routes = {route};
  CHECK(line(world.send(), {"tls"}) == "delivered TLSv1.3");
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("a client certificate that is half written over a renewal holds up no mail: the one before it serves") {
  Courses world;
  PeerTls tls = world.tls_of(world.leaf, "mx1");
  tls.client_ca = world.dir.write("clients.pem", world.ca.pem());
  const Certificate client({.dns = {"relay.example.net"}}, world.ca);
  const net::CertificateFiles files = write_chain(world.dir, "client", client);
  ScriptedPeer& peer = world.peer({world.good(tls), world.good(tls)});
  route::Route route = route_to(world, {"mx1.example.org"});
  route.tls = hop::RouteTls::encrypt;
  route.client_certificate = files.certificate;
  route.client_key = files.key;
  world.routing.routes = {route};
  CHECK(line(world.send(), {}) == "delivered");
  world.leave();
  world.dir.write("client.pem", client.pem().substr(0, 100));
  CHECK(line(world.send(), {}) == "delivered");
  world.leave();
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("TLS-13: an MX host that asks for a client certificate gets none") {
  Courses world;
  PeerTls tls = world.tls_of(world.leaf, "mx1");
  tls.client_ca = world.dir.write("clients.pem", world.ca.pem());
  ScriptedPeer& peer = world.peer({world.secured(tls), Courses::clear(with_tls)});
  CHECK(line(world.send(), {}) == "deferred");
  CHECK(peer.finish().front().find("peer did not return a certificate") != std::string::npos);
}

TEST_CASE(
    "a route's login is said inside TLS; the password file is read for each session, its last line break is not part "
    "of it") {
  Courses world;
  const auto plain = [](const std::string& password) {
    return "AUTH PLAIN " + to_base64(std::string("\0user\0", 6) + password) + "\r\n";
  };
  const PeerTls tls = world.tls_of(world.leaf, "mx1");
  Script first = world.secured(tls)
                     .expect_line("EHLO")
                     .send("250-mx\r\n250 AUTH PLAIN\r\n")
                     .expect(plain("secret"))
                     .send("235 ok\r\n");
  Script second = world.secured(tls)
                      .expect_line("EHLO")
                      .send("250-mx\r\n250 AUTH PLAIN\r\n")
                      .expect(plain("newer"))
                      .send("235 ok\r\n");
  ScriptedPeer& peer = world.peer({Courses::takes(first), Courses::takes(second)});
  route::Route route = route_to(world, {"mx1.example.org"});
  route.username = "user";
  route.password_file = world.dir.write("password", "secret\n");
  world.routing.routes = {route};
  CHECK(line(world.send(), {}) == "delivered");
  world.leave();
  world.dir.write("password", "newer");
  CHECK(line(world.send(), {}) == "delivered");
  world.leave();
  CHECK(peer.finish() == Problems{});
}

// A password service that was down cut the sessions of another route to the same smarthost, which logs in without trouble.
TEST_CASE("MX-27: a login that fails, in whatever words, says nothing of how many sessions the host takes") {
  for (const char* reply :
       {"454 4.7.0 Temporary authentication failure\r\n", "535 5.7.8 wrong\r\n", "421 4.7.0 later\r\n", ""}) {
    CAPTURE(reply);
    Courses world;
    Script script =
        world.secured(world.tls_of(world.leaf, "mx1")).expect_line("EHLO").send("250-mx\r\n250 AUTH PLAIN\r\n");
    script.expect_line("AUTH");
    if (*reply != 0) script.send(reply);
    world.peer({script});
    route::Route route = route_to(world, {"mx1.example.org"});
    route.username = "user";
    route.password_file = world.dir.write("password", "secret\n");
    world.routing.routes = {route};
    Doorman door;
    const Attempt attempt = world.send({"bob@example.org"}, &door);
    CHECK_FALSE(attempt.reached);
    CHECK(attempt.at_login);
    CHECK(door.told.empty());
    CHECK(line(attempt, {}) == "deferred");
  }
}

TEST_CASE("a route whose files cannot be read defers its mail and says which") {
  Courses world;
  world.peer({Courses::clear()});
  route::Route route = route_to(world, {"mx1.example.org"});
  route.username = "user";
  route.password_file = "/nonexistent/password";
  world.routing.routes = {route};
  CHECK(line(world.send(), {"reply"}).find("'/nonexistent/password'") != std::string::npos);
  route.username.clear();
  route.client_certificate = "/nonexistent/client.pem";
  route.client_key = "/nonexistent/client.key";
  world.routing.routes = {route};
  world.forget();
  CHECK(line(world.send(), {"reply"}).find("/nonexistent/client.pem") != std::string::npos);
}

TEST_CASE("after a reload a session that was opened for another route carries nothing more") {
  Courses world;
  Script first = Courses::clear(), second = Courses::clear();
  Courses::takes(first).expect_line("QUIT").send("221 bye\r\n");
  ScriptedPeer& peer = world.peer({first, Courses::takes(second)});
  world.routing.routes = {route_to(world, {"mx1.example.org"})};
  world.send();
  world.routing.routes[0].note = "changed";
  world.forget();
  CHECK(line(world.send(), {"note"}) == "delivered changed");
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 2);
}

}  // namespace delivery_attempt_routes_test
