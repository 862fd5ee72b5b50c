// SPDX-License-Identifier: Apache-2.0
// Which sessions are counted for TLS reports: RFC 8460 sections 3, 4.
#include <doctest/doctest.h>

#include "delivery/attempt_runner.h"
#include "tests/delivery/attempt_world.h"
#include "tests/delivery/counted.h"
#include "tests/dkim/verify.h"

namespace delivery_attempt_count_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

using Lines = std::vector<std::string>;

struct World : Courses {
  World() {
    counting.enabled = true;
    dns.add(record);
  }
  PeerTls tls() { return tls_of(leaf, "mx1"); }
  Script two(const PeerTls& with) const {
    Script script = good(with);
    return takes(script);
  }
  void adopt(const std::string& id, const std::string& text) {
    dns.remove("_mta-sts.example.org TXT");
    dns.add("_mta-sts.example.org TXT v=STSv1; id=" + id + ";");
    policy_hosts.answers["example.org"] = text;
  }
  Attempt send_report() {
    auto report = std::make_shared<store::Job>(*job());
    report->envelope.kind = store::Kind::report;
    report->body = "From: tlsrpt@example.net\r\n" + report->body;
    report->size = report->body.size();
    runner().sign_with(ring);
    return loop.run(runner().attempt(std::move(report), session));
  }
  static std::shared_ptr<const dkim::Keyring> keyring() {
    dkim::Identity identity;
    identity.domain = name("example.net");
    identity.selector = "s1";
    identity.key = std::make_shared<const dkim::Key>(dkim::Key::parse(hoplock::testing::ed25519_pem()).value());
    return std::make_shared<const dkim::Keyring>(dkim::Keyring::make({identity}).value());
  }
  std::shared_ptr<const dkim::Keyring> ring = keyring();
  static constexpr auto question = "_smtp._tls.example.org TXT";
  static constexpr auto record = "_smtp._tls.example.org TXT v=TLSRPTv1; rua=mailto:r@example.org";
};

std::string delivered(const Attempt& attempt) { return line(attempt, {"policy", "auth", "reason"}); }

}  // namespace

TEST_CASE("RPT-07: a session counts once however many messages it carries, and a new one counts again") {
  World world;
  world.peer({world.two(world.tls()), world.good(world.tls())});
  world.publish(world.leaf);
  CHECK(sessions_in(world.send().counts) == Lines{"example.org: tlsa 1/0"});
  CHECK(world.send().counts.empty());  // over the same session
  world.leave();
  CHECK(sessions_in(world.send().counts) == Lines{"example.org: tlsa 1/0"});
  CHECK(world.dns.count(World::question) == 1);
}

TEST_CASE("RPT-07: the second try in clear adds nothing to the session whose TLS failed") {
  World world;
  Script broken = Courses::clear(with_tls).expect("STARTTLS\r\n").send("220 go\r\n").close();
  Script clear = Courses::clear();
  world.peer({broken, Courses::takes(clear)});
  world.waited = 5min;
  const Attempt attempt = world.send();
  CHECK(delivered(attempt) == "delivered opportunistic none ");
  REQUIRE(attempt.hops.size() == 2);
  const Lines lines = sessions_in(attempt.counts);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("example.org: no-policy-found 0/1 validation-failure*1"));
}

TEST_CASE(
    "TLS-14: a session that ends inside TLS before EHLO is answered is one failure, in the log as in the report") {
  for (const bool bound : {false, true}) {
    for (const bool demands : {false, true}) {
      CAPTURE(bound);
      CAPTURE(demands);
      World world;
      PeerTls tls = world.tls();
      if (demands) tls.client_ca = world.dir.write("clients.pem", world.ca.pem());
      world.peer({world.secured(tls).receive()});
      if (bound) world.publish(world.leaf);
      const Attempt attempt = world.send();
      CHECK(line(attempt, {"reason", "dsn"}) == "deferred validation-failure 4.7.5");
      const Lines lines = sessions_in(attempt.counts);
      REQUIRE(lines.size() == 1);
      const std::string element = bound ? "tlsa" : "no-policy-found";
      CHECK(lines[0].starts_with("example.org: " + element + " 0/1 validation-failure*1("));
    }
  }
}

TEST_CASE(
    "RPT-10: nothing counts that ended before its TLS step; a host that a policy refused counts once an attempt") {
  World world;
  SUBCASE("no connection") {
    world.peer({}, "127.0.0.9");
    CHECK(world.send().counts.empty());
  }
  SUBCASE("refused by MTA-STS") {
    world.dns.secure = {};
    world.adopt("1", policy("enforce", "other.example.org"));
    CHECK(sessions_in(world.send().counts) == Lines{"example.org: sts 0/1 validation-failure*1(sts-mx-mismatch)"});
    CHECK(sessions_in(world.send().counts) == Lines{"example.org: sts 0/1 validation-failure*1(sts-mx-mismatch)"});
  }
  SUBCASE("refused by a failed TLSA look-up") {
    world.dns.fail["_25._tcp.mx1.example.org TLSA"] = "SERVFAIL";
    const Lines lines = sessions_in(world.send().counts);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].starts_with("example.org: tlsa 0/1 dnssec-invalid*1"));
  }
}

TEST_CASE("a refusal by a policy that was replaced in the course of the attempt is not reported of the new one") {
  World world;
  world.dns.ttl = std::chrono::seconds{0};
  world.dns.secure = {};
  world.adopt("1", policy("enforce", "other.example.org"));
  world.peer({world.good(world.tls())});
  world.policy_hosts.fetched = [&world] { world.adopt("2", policy("enforce", "mx1.example.org")); };
  CHECK(sessions_in(world.send().counts) == Lines{"example.org: sts 1/0"});
}

TEST_CASE("RPT-06: sessions are counted only while a valid record is published") {
  struct Row {
    const char* record;
    bool is_counted;
    const char* why;
  };
  const Row rows[] = {
      {"", false, "nothing is published"},
      {World::record, true, "the grammar is kept"},
      {"_smtp._tls.example.org TXT v=TLSRPTv1; ruf=mailto:r@example.org", false, "no rua"},
      {"_smtp._tls.example.org TXT v=TLSRPTv1; rua=mailto:a@a.example\n_smtp._tls.example.org TXT v=TLSRPTv1; "
       "rua=mailto:b@b.example",
       false, "two of them are none"},
      {"_smtp._tls.example.org TXT v=TLSRPTv1; rua=ftp://example.org/", true, "valid, though nobody can be told today"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    World world;
    world.dns.remove(World::question);
    world.dns.add(row.record);
    world.peer({world.good(world.tls())});
    CHECK(!world.send().counts.empty() == row.is_counted);
  }
}

TEST_CASE("RPT-06: a record that comes or goes counts from then on, and one that cannot be looked up is none") {
  World world;
  world.dns.remove(World::question);
  std::vector<Script> scripts(5, world.good(world.tls()));
  world.peer(scripts);
  const auto again = [&world] {
    world.leave();
    if (world.router) world.forget();
    return !world.send().counts.empty();
  };
  CHECK_FALSE(again());
  world.dns.add(World::record);
  CHECK(again());
  world.dns.fail[World::question] = "SERVFAIL";
  CHECK_FALSE(again());
  world.dns.fail.clear();
  world.dns.bogus[World::question] = "signature expired";
  CHECK_FALSE(again());
  world.dns.bogus.clear();
  CHECK(again());
}

TEST_CASE(
    "the record is looked up beside the delivery: nobody waits for it but the end of the attempt, and only a moment") {
  World world;
  world.peer({world.two(world.tls())});
  SUBCASE("a little later than the mail") {
    world.dns.slow[World::question] = 300ms;
    CHECK(sessions_in(world.send().counts) == Lines{"example.org: no-policy-found 1/0"});
  }
  SUBCASE("too late") {
    world.dns.slow[World::question] = 20s;
    const auto began = std::chrono::steady_clock::now();
    CHECK(world.send().counts.empty());
    CHECK(std::chrono::steady_clock::now() - began < 8s);
    CHECK(world.send().counts.empty());  // no new session, nothing to wait for
    CHECK(std::chrono::steady_clock::now() - began < 8s);
  }
}

TEST_CASE("RPT-05, MX-17: on a route with hosts the record is the host's, and an address has none") {
  World world;
  ScriptedPeer& peer = world.peer({world.good(world.tls())});
  world.routing.routes.resize(1);
  world.routing.routes[0].match = {dns::parse_pattern("example.org").value()};
  SUBCASE("name") {
    world.dns.add("_smtp._tls.mx1.example.org TXT v=TLSRPTv1; rua=mailto:r@example.org");
    world.routing.routes[0].hosts = {{support::name("mx1.example.org"), peer.port()}};
    CHECK(sessions_in(world.send().counts) == Lines{"mx1.example.org: no-policy-found 1/0"});
    CHECK(world.dns.count(World::question) == 0);
  }
  SUBCASE("address") {
    world.routing.routes[0].hosts = {{Ip::parse("127.0.0.2").value(), peer.port()}};
    CHECK(delivered(world.send()).starts_with("delivered"));
    CHECK_FALSE(world.dns.asked_of("TXT"));
  }
}

TEST_CASE(
    "RPT-18: our address is told where it is public or the operator says what it is, never one of an inner network") {
  World world;
  Script nothing = Courses::clear();
  world.peer({nothing});
  world.publish(world.leaf);
  const auto sending = [&world] {
    Counted ledger(world.send().counts);
    const auto elements = ledger.elements(ledger.accounts().at(0).key);
    REQUIRE(elements.at(0).details.size() == 1);
    CHECK(elements[0].details[0].type == tlsrpt::ResultType::starttls_not_supported);
    CHECK(elements[0].details[0].receiving_ip == Ip::parse("127.0.0.2").value());
    return elements[0].details[0].sending_ip;
  };
  SUBCASE("loopback") { CHECK_FALSE(sending()); }
  SUBCASE("configured") {
    world.counting.public_ipv4 = Ip::parse("192.0.2.7").value();
    CHECK(sending() == Ip::parse("192.0.2.7").value());
  }
}

TEST_CASE("nothing is counted, and nobody asked, where reports are off") {
  World world;
  world.counting.enabled = false;
  world.peer({world.good(world.tls())});
  CHECK(world.send().counts.empty());
  CHECK(world.dns.count(World::question) == 0);
}

TEST_CASE("RPT-45: the operator may except domains; nobody asks what they publish") {
  for (const bool excepted : {true, false}) {
    World world;
    world.counting.except = {dns::parse_pattern(excepted ? "example.org" : "*.example.org").value()};
    world.peer({world.good(world.tls())});
    CHECK(world.send().counts.empty() == excepted);
    CHECK(world.dns.count(World::question) == (excepted ? 0 : 1));
  }
}

TEST_CASE("RPT-39: the sessions of reports are not counted, and carry nothing that is") {
  World world;
  world.peer({world.good(world.tls()), world.good(world.tls())});
  CHECK(world.send_report().counts.empty());
  REQUIRE(world.session);
  CHECK_FALSE(world.send().counts.empty());  // a new session, although the plan is the same
}

TEST_CASE("RPT-38: a report goes where DANE or MTA-STS refuse mail, in clear too; bogus data is never used") {
  World world;
  const Certificate stranger({.dns = {"mx1.example.org"}});
  SUBCASE("no TLSA record matches") {
    world.peer({world.good(world.tls())});
    world.publish(stranger);
    CHECK(delivered(world.send_report()) == "delivered opportunistic none ");
  }
  SUBCASE("the TLSA look-up fails") {
    world.peer({world.good(world.tls())});
    world.dns.fail["_" + std::to_string(world.routing.port) + "._tcp.mx1.example.org TLSA"] = "SERVFAIL";
    CHECK(delivered(world.send_report()) == "delivered opportunistic none ");
  }
  SUBCASE("MTA-STS names another host") {
    world.dns.secure = {};
    world.adopt("1", policy("enforce", "other.example.org"));
    world.peer({world.good(world.tls())});
    CHECK(delivered(world.send_report()) == "delivered opportunistic none ");
  }
  SUBCASE("no STARTTLS under DANE") {
    Script clear = Courses::clear();
    world.peer({Courses::takes(clear)});
    world.publish(world.leaf);
    CHECK(delivered(world.send_report()) == "delivered opportunistic none ");
  }
  SUBCASE("RPT-37: without a key it goes nowhere") {
    world.ring.reset();
    world.peer({});
    CHECK(line(world.send_report(), {"reason"}).starts_with("deferred"));
  }
  SUBCASE("bogus addresses") {
    world.peer({world.good(world.tls())});
    world.dns.bogus["mx1.example.org A"] = "signature expired";
    CHECK(line(world.send_report(), {"reason"}) == "deferred dnssec-invalid");
  }
  SUBCASE("bogus MX records") {
    world.peer({world.good(world.tls())});
    world.dns.bogus["example.org MX"] = "signature expired";
    CHECK(line(world.send_report(), {"reason"}) == "deferred dnssec-invalid");
  }
}

TEST_CASE("an attempt that is cut off tells of its sessions all the same") {
  World world;
  Script silent = world.secured(world.tls()).expect_line("EHLO").send("250 mx\r\n").expect_line("MAIL").stall();
  world.peer({silent});
  world.runner();
  {
    net::TaskGroup tasks(world.loop.executor(), world.log);
    tasks.spawn("attempt", [](AttemptRunner& runner, std::shared_ptr<const store::Job> job) -> asio::awaitable<void> {
      std::optional<OpenSession> session;
      co_await runner.attempt(std::move(job), session);
    }(world.runner(), Courses::job()));
    world.loop.io().restart();
    world.loop.io().run_for(1s);
    tasks.stop();
    world.loop.io().restart();
    world.loop.io().run_for(100ms);
  }
  CHECK(sessions_in(world.runner().take_cut_off()) == Lines{"example.org: no-policy-found 1/0"});
  CHECK(world.runner().take_cut_off().empty());
}

TEST_CASE("an attempt that is cut off while a record is looked up still tells what became of its mail") {
  World world;
  world.dns.slow[World::question] = 20s;
  world.peer({world.good(world.tls())});
  auto told = std::make_shared<std::optional<Attempt>>();
  net::TaskGroup tasks(world.loop.executor(), world.log);
  tasks.spawn("attempt",
              [](AttemptRunner& runner, std::shared_ptr<const store::Job> job,
                 std::shared_ptr<std::optional<Attempt>> into) -> asio::awaitable<void> {
                std::optional<OpenSession> session;
                *into = co_await runner.attempt(std::move(job), session);
              }(world.runner(), Courses::job(), told));
  world.loop.io().restart();
  world.loop.io().run_for(1s);
  CHECK_FALSE(told->has_value());
  tasks.stop();
  world.loop.io().restart();
  world.loop.io().run_for(100ms);
  REQUIRE(told->has_value());
  CHECK(delivered(**told).starts_with("delivered"));
  CHECK((*told)->counts.empty());
}

}  // namespace delivery_attempt_count_test
