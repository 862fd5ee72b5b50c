// SPDX-License-Identifier: Apache-2.0
// TLS-14: whatever a server, or somebody on the way, can do so that a session has no TLS.
#include <doctest/doctest.h>

#include "tests/delivery/attempt_world.h"

namespace delivery_downgrade_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

Script greeting() {
  Script script;
  script.send("220 mx\r\n");
  return script;
}
Script answers_ehlo(const std::string& reply) { return greeting().expect_line("EHLO").send(reply); }
Script answers_starttls(const std::string& reply) { return answers_ehlo(with_tls).expect("STARTTLS\r\n").send(reply); }
Script by_helo() { return greeting().expect_line("HELO").send("250 mx\r\n"); }

// How TLS does not come about: over one connection, and over the one in clear that follows it; null: the same goes on.
struct Way {
  const char* what;
  Script without_tls;
  std::optional<Script> in_clear;
  const char* reason;
};

Way refuses_ehlo(const char* reply) {
  return {reply, answers_ehlo(reply).expect_line("HELO").send("250 mx\r\n"), std::nullopt, "starttls-not-supported"};
}

std::vector<Way> ways() {
  const Script plain = Courses::clear(with_tls);
  return {refuses_ehlo("500 5.5.1 what?\r\n"),
          refuses_ehlo("502 5.5.1 EHLO not implemented\r\n"),
          refuses_ehlo("504-not\r\n504 now\r\n"),
          refuses_ehlo("550 no\r\n"),
          {"closes at EHLO", answers_ehlo("").close(), by_helo(), "connection-lost"},
          {"half a reply", answers_ehlo("250-mx\r\n").close(), by_helo(), "connection-lost"},
          {"a damaged line", answers_ehlo("250-mx\r\n250oops\r\n"), by_helo(), "smtp-reply"},
          {"codes that differ", answers_ehlo("250-mx\r\n550 STARTTLS\r\n"), by_helo(), "smtp-reply"},
          {"another answer", answers_ehlo("250 mx\r\n250 STARTTLS\r\n"), by_helo(), "smtp-reply"},
          {"454", answers_starttls("454 4.7.0 not now\r\n"), plain, "starttls-not-supported"},
          {"502", answers_starttls("502 5.5.1 what?\r\n"), plain, "starttls-not-supported"},
          {"no TLS", answers_starttls("220 go\r\n").receive().send("250 ok\r\n").close(), plain, "validation-failure"}};
}

// A connection that carries two messages, or nothing.
Script carries(Script script) {
  for (int i = 0; i < 2; ++i) Courses::takes(script);
  return script;
}
Script waits(Script script) { return script.receive(); }

}  // namespace

// "502" to EHLO and "250" to HELO: mail went in clear at once, without a line, and the next message rode on that session.
TEST_CASE("TLS-14: no way of a server round TLS is quick or silent") {
  for (const Way& way : ways()) {
    CAPTURE(way.what);
    Courses world;
    const Script idle = way.in_clear ? way.without_tls : waits(way.without_tls);
    std::vector<Script> scripts{idle};
    if (way.in_clear) scripts.push_back(way.without_tls);
    scripts.push_back(carries(way.in_clear.value_or(way.without_tls)));
    scripts.push_back(idle);
    ScriptedPeer& peer = world.peer(scripts);
    CHECK(line(world.send(), {"tls", "reason"}) == std::string("deferred none ") + way.reason);
    world.waited = 5min;
    for (int message = 0; message < 2; ++message) {  // the second one over the session that was kept
      const Attempt attempt = world.send();
      CHECK(line(attempt, {"tls", "auth"}) == "delivered none none");
      CHECK(actions(attempt) == Problems{std::string("mx1.example.org 127.0.0.2 ") + way.reason + " plaintext"});
    }
    world.waited = 0min;  // a fresh one does not ride on it
    CHECK(line(world.send(), {"tls", "reason"}) == std::string("deferred none ") + way.reason);
    peer.finish();
    CHECK(peer.connections() == scripts.size());
  }
}

TEST_CASE("TLS-14: with a login mail never goes in clear, however long it has waited") {
  for (const Way& way : ways()) {
    CAPTURE(way.what);
    Courses world;
    ScriptedPeer& peer = world.peer({waits(way.without_tls)});
    route::Route route;
    route.match = {dns::parse_pattern("example.org").value()};
    route.hosts.push_back({Ip::parse("127.0.0.2").value(), world.routing.port});
    route.username = "relay";
    route.password_file = world.dir.write("password", "secret\n");
    world.routing.routes = {route};
    world.waited = 48h;
    const Attempt attempt = world.send();
    CHECK(line(attempt, {"tls"}) == "deferred none");
    CHECK_FALSE(attempt.reached);
    peer.finish();
    CHECK(peer.connections() == 1);
    CHECK(peer.received().find("MAIL") == std::string::npos);
    CHECK(peer.received().find("AUTH") == std::string::npos);
  }
}

TEST_CASE("a server that answers EHLO and offers no STARTTLS takes mail in clear at once, as ever") {
  Courses world;
  ScriptedPeer& peer = world.peer({carries(Courses::clear())});
  for (int message = 0; message < 2; ++message) {
    const Attempt attempt = world.send();
    CHECK(line(attempt, {"tls"}) == "delivered none");
    CHECK(actions(attempt) == Problems{});
  }
  peer.finish();
  CHECK(peer.connections() == 1);
}

}  // namespace delivery_downgrade_test
