// SPDX-License-Identifier: Apache-2.0
// `sources:`: which address and name mail leaves under, and that sessions keep to it.
#include "delivery/source.h"

#include "tests/delivery/attempt_world.h"

namespace delivery_source_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

Ip ip(const char* text) { return Ip::parse(text).value(); }
dns::Pattern pattern(const char* text) { return dns::parse_pattern(text).value(); }

}  // namespace

TEST_CASE("source_for: the first rule that takes sender and recipient decides; what it leaves out is as without it") {
  Source otherwise;
  otherwise.ipv6 = ip("2001:db8::1");
  otherwise.hostname = name("relay.example.net");
  std::vector<SourceRule> rules(3);
  rules[0].senders = {pattern("contoso.com"), pattern("*.contoso.com")};
  rules[0].match = {pattern("partner.example")};
  rules[0].ipv4 = ip("192.0.2.7");
  rules[0].hostname = name("out7.contoso.com");
  rules[1].senders = {pattern("contoso.com")};
  rules[1].ipv4 = ip("192.0.2.8");
  rules[2].match = {pattern("slow.example")};
  rules[2].ipv6 = ip("2001:db8::9");
  const struct {
    const char* sender;
    const char* to;
    const char* ipv4;
    const char* ipv6;
    const char* hostname;
  } rows[] = {{"a@contoso.com", "partner.example", "192.0.2.7", "", "out7.contoso.com"},
              {"a@eu.contoso.com", "partner.example", "192.0.2.7", "", "out7.contoso.com"},
              {"a@CONTOSO.com", "other.example", "192.0.2.8", "", "relay.example.net"},
              {"a@eu.contoso.com", "other.example", "", "2001:db8::1", "relay.example.net"},
              {"", "partner.example", "", "2001:db8::1", "relay.example.net"},  // notices have no sender's domain
              {"", "slow.example", "", "2001:db8::9", "relay.example.net"}};    // but a rule for any sender takes them
  for (const auto& row : rows) {
    CAPTURE(std::string(row.sender) + " " + row.to);
    const Source source = source_for(row.sender, name(row.to), rules, otherwise);
    CHECK((source.ipv4 ? source.ipv4->text() : "") == row.ipv4);
    CHECK((source.ipv6 ? source.ipv6->text() : "") == row.ipv6);
    // over the family that a rule leaves out nothing leaves; without a rule the system chooses
    CHECK(source.may_reach(ip("192.0.2.1")) == (source.ipv4 || !source.ipv6 || source == otherwise));
    CHECK(source.may_reach(ip("2001:db8::25")) == source.ipv6.has_value());
    CHECK(source.hostname.text() == row.hostname);
  }
}

TEST_CASE(
    "mail leaves from its source, under its name; the line says from where, and no other source's mail rides along") {
  Courses world;
  world.dns.secure = {};
  SourceRule rule;
  rule.senders = {pattern("example.com")};
  rule.ipv4 = ip("127.0.0.77");
  rule.hostname = name("out77.example.com");
  world.sources = {rule};
  const auto said = [](const std::string& hostname) {
    Script script;
    script.send("220 mx\r\n").expect("EHLO " + hostname + "\r\n").send("250 mx\r\n");
    return Courses::takes(script);
  };
  ScriptedPeer& peer = world.peer({said("out77.example.com"), said("relay.example.net")});
  auto mine = std::make_shared<store::Job>(*world.job());
  mine->envelope.sender = "ann@example.com";
  const Attempt first = world.loop.run(world.runner().attempt(mine, world.session));
  CHECK(line(first, {"src", "mx"}) == "delivered 127.0.0.77 mx1.example.org");
  REQUIRE(world.session);
  const Attempt second = world.send();  // alice@example.net: a session of its own
  CHECK(line(second, {"mx"}) == "delivered mx1.example.org");
  CHECK(second.hops.back().src != ip("127.0.0.77"));
  CHECK(peer.finish() == Problems{});
}

}  // namespace delivery_source_test
