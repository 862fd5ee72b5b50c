// SPDX-License-Identifier: Apache-2.0
#include "probe/sts.h"

#include <doctest/doctest.h>

#include "tests/probe/world.h"

namespace probe_sts_test {

using namespace hoplock;
using hop::Reason;
using probe::Connecting;
using probe::Finding;
using probe::Sts;
using probe::test::now;
using probe::test::result;
using probe::test::World;
using support::ScriptedPeer;
using State = hop::StsFact::State;

namespace {

constexpr std::uint16_t nowhere = 9;

bool says(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string verdict(const Finding& finding, Connecting connecting = Connecting::no) {
  return std::string(to_text(judge(finding, connecting)));
}

std::string observed(const Finding& finding) {
  const auto& seen = finding.hosts.at(0).probes.at(0).observed;
  if (!seen) return "nothing";
  return std::string(to_text(seen->policy)) + " " + (seen->defect ? std::string(to_text(seen->defect->reason)) : "ok");
}

Sts published(World& world) {
  world.dns.secure.clear();
  return world.check(nowhere, Connecting::no).sts.value();
}

}  // namespace

TEST_CASE(
    "check: under an enforced policy a host is judged by its certificate, and by its name before anybody connects") {
  World good;
  good.dns.secure.clear();
  good.publish_policy("enforce");
  ScriptedPeer peer(good.good());
  auto finding = good.check(peer.port());
  CHECK(result(finding) == "sts TLSv1.3 pkix ok");
  CHECK(finding.hosts[0].in_policy == true);
  CHECK(finding.sts.value().id == "1");
  CHECK(finding.sts->error.empty());
  CHECK(good.fetch.asked == std::vector<std::string>{"example.org"});

  World wrong;
  wrong.dns.secure.clear();
  wrong.publish_policy("enforce");
  wrong.files = support::write_chain(wrong.dir, "other", wrong.stranger);
  ScriptedPeer stranger(wrong.until_tls().stall());
  CHECK(result(wrong.check(stranger.port())) == "fail TLSv1.3 none certificate-not-trusted");

  World outside;
  outside.dns.secure.clear();
  outside.publish_policy("enforce", "other.example.org");
  finding = outside.check(nowhere);
  CHECK(result(finding) == "fail none none mx-not-in-policy");
  CHECK(finding.hosts[0].in_policy == false);
}

TEST_CASE("check: what testing and DANE do not let fail is told all the same") {
  World testing;
  testing.dns.secure.clear();
  testing.publish_policy("testing");
  testing.files = support::write_chain(testing.dir, "other", testing.stranger);
  ScriptedPeer broken(testing.good());
  auto finding = testing.check(broken.port());
  CHECK(result(finding) == "sts-testing TLSv1.3 none ok");
  CHECK(observed(finding) == "sts-testing certificate-not-trusted");

  World dane;
  ScriptedPeer peer(dane.good());
  dane.publish(peer.port(), dane.leaf.tlsa(3, 1, 1));
  dane.publish_policy("enforce", "other.example.org");
  finding = dane.check(peer.port());
  CHECK(result(finding) == "dane TLSv1.3 dane-ee ok");
  CHECK(observed(finding) == "sts mx-not-in-policy");
}

TEST_CASE("check: security.mta_sts audit and off change nothing, for it is about what is published") {
  for (const auto mode : {hop::Mode::audit, hop::Mode::off}) {
    World world;
    world.dns.secure.clear();
    world.mta_sts = mode;
    world.publish_policy("enforce", "other.example.org");
    CHECK(verdict(world.check(nowhere, Connecting::no)) == "fail");
    world.publish_policy("enforce");
    CHECK(verdict(world.check(nowhere, Connecting::no)) == "sts");
  }
}

TEST_CASE("check: what is wrong with what is published, and that nothing binds then") {
  World world;
  CHECK_MESSAGE(published(world).error.empty(), "no record, nothing wrong");
  CHECK_MESSAGE(world.fetch.asked.empty(), "nothing is fetched without a record");
  world.publish_policy("enforce");
  world.fetch.answers["example.org"] = "version: STSv1\nmode: enforce\nmx: mx.example.org\n";
  auto sts = published(world);
  CHECK(sts.reason == Reason::sts_policy_invalid);
  CHECK(says(sts.error, "sts-policy-invalid: "));
  CHECK(says(sts.error, "max_age"));
  CHECK_FALSE(sts.policy.has_value());
  CHECK(sts.id == "1");
  CHECK(verdict(world.check(nowhere, Connecting::no)) == "opportunistic");
  world.fetch.answers["example.org"] = "version: STSv1\nmode: none\nmax_age: 0\n";
  CHECK(says(published(world).error, "max_age is 0"));
  world.dns.add("_mta-sts.example.org TXT v=STSv1; id=2;");
  sts = published(world);
  CHECK(!sts.error.empty());
  CHECK(sts.texts.size() == 2);
  world.dns.fail["_mta-sts.example.org TXT"] = "SERVFAIL";
  sts = published(world);
  CHECK(sts.fact.state == State::unknown);
  CHECK_MESSAGE(verdict(world.check(nowhere, Connecting::no)) == "fail", "STS-06: mail waits");
}

TEST_CASE("STS-28, STS-30, STS-31: check: a kept policy stays in force whatever became of what is published") {
  World world;
  world.dns.secure.clear();
  world.keep_policy("enforce", "other.example.org");
  auto sts = published(world);
  CHECK(sts.fact.state == State::live);
  CHECK(says(sts.error, "is gone; the policy of "));
  CHECK(says(sts.error, " stays in force until "));
  CHECK(verdict(world.check(nowhere, Connecting::no)) == "fail");
  world.dns.add("_mta-sts.example.org TXT v=STSv1; id=2;");
  sts = published(world);
  CHECK(sts.id == "1");
  CHECK(sts.policy.has_value());
  CHECK(says(sts.error, "sts-policy-fetch-error: "));
  world.dns.fail["_mta-sts.example.org TXT"] = "SERVFAIL";
  CHECK(published(world).fact.state == State::live);
  world.keep_policy("enforce", "other.example.org", Seconds(3599));
  CHECK_MESSAGE(published(world).fact.state == State::unknown, "it expired a second ago");
}

TEST_CASE("check: beside a good published policy a kept one matters only where senders cannot notice the change") {
  World world;
  world.publish_policy("enforce");
  world.keep_policy("enforce");
  CHECK(published(world).error.empty());
  world.keep_policy("testing");
  auto sts = published(world);
  CHECK(says(sts.error, "without a new id"));
  CHECK(sts.policy.value().mode == mtasts::Mode::enforce);
  world.kept->freshness.held->id = "0";
  CHECK_MESSAGE(published(world).error.empty(), "the next delivery fetches it");
}

TEST_CASE("STS-02: check: a configured host has no policy, and nobody asks for one") {
  World world;
  world.publish_policy("enforce");
  route::Route route;
  route.match = {dns::Pattern{}};
  route.hosts = {{support::name("mx.example.org"), nowhere}};
  world.routes = {route};
  const auto finding = world.check(nowhere, Connecting::no);
  CHECK_FALSE(finding.sts.has_value());
  CHECK(verdict(finding) == "opportunistic");
  CHECK(world.fetch.asked.empty());
  CHECK(world.dns.count("_mta-sts.example.org TXT") == 0);
}

}  // namespace probe_sts_test
