// SPDX-License-Identifier: Apache-2.0
#include "probe/check.h"

#include <doctest/doctest.h>

#include "base/ascii.h"
#include "probe/live.h"
#include "tests/probe/world.h"

namespace probe_check_test {

using namespace hoplock;
using probe::test::result;
using probe::test::World;
using support::Script;
using support::ScriptedPeer;

TEST_CASE("check: a host that matches its TLSA record is spoken to up to the second EHLO, and no further") {
  World world;
  ScriptedPeer peer(world.good());
  world.publish(peer.port(), world.leaf.tlsa(3, 1, 1));
  const auto finding = world.check(peer.port());
  CHECK(result(finding) == "dane TLSv1.3 dane-ee ok");
  CHECK(finding.hosts[0].dnssec == probe::Dnssec::secure);
  CHECK(finding.hosts[0].tlsa_base.text() == "mx.example.org");
  CHECK(finding.hosts[0].tlsa.size() == 1);
  CHECK(finding.hosts[0].preference == 10);
  CHECK(finding.hosts[0].probes[0].key == world.leaf.key_digest());
  CHECK(peer.finish() == std::vector<std::string>{});
  CHECK(peer.received().find("MAIL") == std::string::npos);
  CHECK(world.log.events().empty());
}

TEST_CASE("check: a host that does not match, one without STARTTLS, and one whose handshake breaks") {
  World mismatch;
  ScriptedPeer other(mismatch.until_tls().stall());
  mismatch.publish(other.port(), mismatch.stranger.tlsa(3, 1, 1));
  CHECK(result(mismatch.check(other.port())) == "fail TLSv1.3 none tlsa-invalid");

  Script clear;
  clear.send("220 mx ESMTP\r\n")
      .expect_line("EHLO ")
      .send("250 mx\r\n")
      .expect_line("QUIT")
      .send("221 bye\r\n")
      .close();
  World plain;
  ScriptedPeer without(clear);
  CHECK(result(plain.check(without.port())) == "plaintext none none ok");

  World bound;
  ScriptedPeer stripped(Script().send("220 mx ESMTP\r\n").expect_line("EHLO ").send("250 mx\r\n").stall());
  bound.publish(stripped.port(), bound.leaf.tlsa(3, 1, 1));
  CHECK(result(bound.check(stripped.port())) == "fail none none starttls-not-supported");

  Script broken;
  broken.send("220 mx ESMTP\r\n").expect_line("EHLO ").send("250-mx\r\n250 STARTTLS\r\n").expect_line("STARTTLS");
  broken.send("220 go\r\n").expect("\x16").send("this is no TLS\r\n").close();
  World retried;
  ScriptedPeer twice(std::vector<Script>{broken, clear});
  const auto finding = retried.check(twice.port());
  INFO(finding.hosts[0].probes[0].detail);
  CHECK_MESSAGE(result(finding) == "plaintext none none ok", "as delivery does: a second connection in clear");
  CHECK(finding.hosts[0].probes[0].detail.find("in clear") != std::string::npos);
}

TEST_CASE("check: what no connection is made for") {
  World bogus;
  bogus.dns.bogus["example.org MX"] = "a broken signature";
  auto finding = bogus.check(9);
  CHECK(finding.hosts.empty());
  CHECK(finding.dnssec == probe::Dnssec::bogus);
  CHECK(finding.reason == hop::Reason::dnssec_invalid);
  CHECK(judge(finding, probe::Connecting::yes) == probe::Verdict::fail);

  World tlsa;
  tlsa.dns.bogus["_9._tcp.mx.example.org TLSA"] = "a broken signature";
  finding = tlsa.check(9);
  CHECK(result(finding) == "fail none none dnssec-invalid");
  CHECK(finding.hosts[0].dnssec == probe::Dnssec::bogus);

  World failed;
  failed.dns.fail["_9._tcp.mx.example.org TLSA"] = "SERVFAIL";
  CHECK(failed.check(9).hosts[0].dnssec == probe::Dnssec::failed);

  World asked;
  asked.publish(9, asked.leaf.tlsa(3, 1, 1));
  finding = asked.check(9, probe::Connecting::no);
  CHECK(finding.hosts[0].probes.empty());
  CHECK(judge(finding, probe::Connecting::no) == probe::Verdict::dane);

  World unsigned_domain;
  unsigned_domain.dns.secure.clear();
  CHECK(unsigned_domain.check(9, probe::Connecting::no).hosts[0].dnssec == probe::Dnssec::insecure);
}

TEST_CASE("check: a server that goes away at any step is a result, not an accident") {
  World world;
  support::cut_at_every_step(world.good(), [&](const Script& script, const std::string& where) {
    CAPTURE(where);
    World fresh;
    ScriptedPeer peer(std::vector<Script>{script, script});
    const auto finding = fresh.check(peer.port());
    REQUIRE(finding.hosts.size() == 1);
    CHECK(finding.hosts[0].probes.size() == 1);
    CHECK(fresh.log.events().empty());
  });
}

TEST_CASE("look_live: the chain that a host presents, and whether a record in DNS matches") {
  World world;
  support::PeerTls tls;
  tls.files = world.files;
  ScriptedPeer peer(std::vector<Script>{Script().start_tls(tls).expect_end(), Script().start_tls(tls).expect_end()});
  probe::LiveTarget target;
  target.host = support::name("mx.example.org");
  target.port = peer.port();  // not 25 and not 587: TLS from the first octet
  auto live = world.loop.run(probe::look_live(world.tools(25), target));
  REQUIRE(live.has_value());
  CHECK(live->chain.at(0) == world.leaf.der());
  CHECK(live->published.state == hop::TlsaFact::State::absent);
  CHECK_FALSE(live->matched.has_value());
  world.publish(peer.port(), world.leaf.tlsa(3, 0, 2));
  live = world.loop.run(probe::look_live(world.tools(25), target));
  REQUIRE(live.has_value());
  REQUIRE(live->matched.has_value());
  CHECK(live->matched->params() == "3 0 2");
}

TEST_CASE("check: judged by the configured rules, nothing is looked up which they leave aside") {
  World world;
  world.publish(25, world.stranger.tlsa(3, 1, 1));
  world.publish_policy("enforce");
  route::Route partner;
  partner.match = {dns::parse_pattern("example.org").value()};
  partner.tls = hop::RouteTls::none;
  world.routes = {partner};
  probe::Question question;
  question.domain = support::name("example.org");
  question.connecting = probe::Connecting::no;
  question.now = probe::test::now();
  question.judging = probe::Judging::configured;
  const auto bound = world.loop.run(probe::check(world.tools(25), question));
  CHECK(std::get<hop::Connect>(bound.hosts.at(0).plan).tls == hop::Tls::never);
  CHECK(bound.hosts[0].tlsa.empty());
  CHECK_FALSE(bound.sts.has_value());
  CHECK_FALSE(bound.reporting.has_value());
  world.routes = {};
  world.mta_sts = hop::Mode::audit;
  const auto free = world.loop.run(probe::check(world.tools(25), question));
  const auto& plan = std::get<hop::Connect>(free.hosts.at(0).plan);
  CHECK(plan.dane.has_value());
  REQUIRE(plan.observed.has_value());
  CHECK_MESSAGE(plan.observed->policy == hop::Policy::sts, "audit stays audit here");
  CHECK(free.sts.has_value());
}

TEST_CASE("look_live: a host that is not there is an error that says where and why") {
  World world;
  probe::LiveTarget target;
  target.host = support::name("nowhere.example.org");
  CHECK_FALSE(world.loop.run(probe::look_live(world.tools(25), target)).has_value());
  target.host = Ip::parse("127.0.0.1").value();
  target.port = ScriptedPeer(Script().close()).port();  // gone again
  const auto none = world.loop.run(probe::look_live(world.tools(25), target));
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().detail.find("127.0.0.1:") == 0);
}

}  // namespace probe_check_test
