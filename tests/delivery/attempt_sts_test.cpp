// SPDX-License-Identifier: Apache-2.0
// MTA-STS from the first look-up to the log line: RFC 8461 sections 4, 5.
#include <doctest/doctest.h>

#include "delivery/attempt_runner.h"
#include "tests/delivery/attempt_world.h"

namespace delivery_attempt_sts_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

constexpr auto keys = {"mx", "policy", "auth", "reason", "dsn", "observed"};

struct Policies : Courses {
  Policies() {
    dns.ttl = std::chrono::seconds{0};
    dns.secure = {};
  }
  void adopt(const std::string& id, const std::string& text) {
    dns.remove("_mta-sts.example.org TXT");
    dns.add("_mta-sts.example.org TXT v=STSv1; id=" + id + ";");
    policy_hosts.answers["example.org"] = text;
  }
  Attempt send_old(std::chrono::seconds age) {
    auto old = std::make_shared<store::Job>(*job());
    old->received -= age;
    return loop.run(runner().attempt(std::move(old), session));
  }
  PeerTls tls() { return tls_of(leaf, "mx1"); }
  PeerTls bad_tls() { return tls_of(stranger, "stranger"); }

  Certificate stranger{{.dns = {"mx1.example.org"}}};  // signed by itself
};

}  // namespace

TEST_CASE("STS-23, STS-36: enforce and a host that keeps to it: delivered, policy=sts, auth=pkix") {
  Policies world;
  world.adopt("1", policy("enforce", "mx1.example.org"));
  ScriptedPeer& peer = world.peer({world.good(world.tls())});
  CHECK(line(world.send(), keys) == "delivered mx1.example.org sts pkix  2.0.0 ");
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("STS-23, STS-24: a host outside the policy is passed over in its turn, and its line says so") {
  Policies world;
  world.dns.add("example.org MX 20 mx2.example.org");
  world.adopt("1", policy("enforce", "mx2.example.org"));
  const Certificate second({.dns = {"mx2.example.org"}}, world.ca);
  ScriptedPeer& peer = world.peer({world.good(world.tls_of(second, "mx2"))}, "127.0.0.3");
  const Attempt attempt = world.send();
  CHECK(line(attempt, keys) == "delivered mx2.example.org sts pkix  2.0.0 ");
  CHECK(actions(attempt) == Problems{"mx1.example.org  mx-not-in-policy next-host"});
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("STS-23: when no host keeps to the policy the mail waits, with the reason of the last") {
  Policies world;
  world.adopt("1", policy("enforce", "other.example.org"));
  CHECK(line(world.send(), {"mx", "policy", "reason", "dsn", "reply"}) ==
        "deferred mx1.example.org sts mx-not-in-policy 4.4.8 450 4.4.8 mx-not-in-policy: mx1.example.org: the domain's "
        "MTA-STS policy names only other.example.org");
}

TEST_CASE(
    "MX-29: of a host that the policy rules out nothing is asked; mail that does without the policy goes there all the "
    "same") {
  Policies world;
  ScriptedPeer& peer = world.peer({world.good(world.tls())});
  world.adopt("1", policy("enforce", "other.example.org"));
  CHECK(line(world.send(), {"reason"}) == "deferred mx-not-in-policy");
  auto relaxed = std::make_shared<store::Job>(*Courses::job());
  relaxed->envelope.tls_required_no = true;
  const Attempt attempt = world.loop.run(world.runner().attempt(relaxed, world.session));
  CHECK(line(attempt, {"mx", "dsn"}) == "delivered mx1.example.org 2.0.0");
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("STS-26: testing delivers over a certificate that it would refuse, and the line tells both") {
  Policies world;
  world.adopt("1", policy("testing", "mx1.example.org"));
  world.peer({world.good(world.bad_tls())});
  CHECK(line(world.send(), keys) ==
        "delivered mx1.example.org sts-testing none  2.0.0 sts-testing:certificate-not-trusted");
}

TEST_CASE("STS-35: a TLSA match delivers though MTA-STS would not, and the line tells both") {
  Policies world;
  world.dns.secure = {"example.org"};
  world.adopt("1", policy("enforce", "other.example.org"));
  world.peer({world.good(world.tls())});
  world.publish(world.leaf);
  CHECK(line(world.send(), keys) == "delivered mx1.example.org dane dane-ee  2.0.0 sts:mx-not-in-policy");
}

TEST_CASE(
    "STS-06: a TXT look-up that fails keeps a message back for its first 15 minutes, a bogus one for as long as it "
    "lasts") {
  Policies world;
  world.dns.fail["_mta-sts.example.org TXT"] = "SERVFAIL";
  Script script = Courses::clear();
  world.peer({Courses::takes(script)});
  CHECK(line(world.send_old(std::chrono::seconds{890}), {"policy", "reason", "dsn"}) ==
        "deferred sts dns-failure 4.4.3");
  const Attempt late = world.send_old(std::chrono::seconds{910});
  CHECK(line(late, {"policy", "tls"}) == "delivered opportunistic none");
  const auto told = hop_events(late);
  REQUIRE(told.size() == 1);
  CHECK(told[0].level() == Level::warn);
  CHECK(told[0].name() == "sts-policy");
  CHECK(std::string(told[0].get("error")).find("as if there were no policy") != std::string::npos);
  world.dns.fail.clear();
  world.dns.bogus["_mta-sts.example.org TXT"] = "signature expired";
  world.policies->reload({});
  CHECK(line(world.send_old(std::chrono::hours{24}), {"policy", "reason", "dsn"}) ==
        "deferred sts dnssec-invalid 4.7.324");
}

TEST_CASE(
    "STS-25: before a refusal is the last word the id is looked at once more, and a new policy is tried at once") {
  Policies world;
  world.adopt("1", policy("enforce", "other.example.org"));
  world.peer({world.good(world.tls())});
  // the domain mends its policy while we are at the old one
  world.policy_hosts.fetched = [&world] { world.adopt("2", policy("enforce", "mx1.example.org")); };
  const Attempt attempt = world.send();
  CHECK(line(attempt, keys) == "delivered mx1.example.org sts pkix  2.0.0 ");
  CHECK(actions(attempt) == Problems{"mx1.example.org  mx-not-in-policy next-host"});
  CHECK(world.policy_hosts.asked.size() == 2);
}

TEST_CASE("STS-25: what the old policy refused is not the reason of what fails under the new one") {
  Policies world;
  world.adopt("1", policy("enforce", "other.example.org"));
  world.peer({}, "127.0.0.9");  // for a port on which nobody listens at mx1
  world.policy_hosts.fetched = [&world] { world.adopt("2", policy("enforce", "mx1.example.org")); };
  CHECK(line(world.send(), {"mx", "policy", "reason", "dsn"}) == "deferred mx1.example.org sts connect-refused 4.4.1");
}

TEST_CASE("STS-25: the same policy again is no second attempt") {
  Policies world;
  world.adopt("1", policy("enforce", "other.example.org"));
  CHECK(world.send().hops.size() == 1);
  CHECK(world.dns.count("_mta-sts.example.org TXT") == 2);
  CHECK(world.policy_hosts.asked.size() == 1);
}

TEST_CASE("STS-02: nobody asks for a policy that no rule could use") {
  struct Row {
    std::function<void(Policies&)> set;
    const char* why;
  };
  const auto routed = [](Policies& world) -> route::Route& {
    world.routing.routes.resize(1);
    world.routing.routes[0].match = {dns::parse_pattern("example.org").value()};
    return world.routing.routes[0];
  };
  const Row rows[] = {
      {[&](Policies& world) {
         routed(world).hosts = {{name("mx1.example.org"), world.routing.port}};
       },
       "hosts"},
      {[&](Policies& world) { routed(world).tls = hop::RouteTls::opportunistic; }, "tls of a route"},
      {[&](Policies& world) { routed(world).mta_sts = hop::Mode::off; }, "mta_sts of a route"},
      {[](Policies& world) { world.routing.security.mta_sts = hop::Mode::off; }, "security.mta_sts"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.why));
    Policies world;
    world.adopt("1", policy("enforce", "other.example.org"));
    Script script = Courses::clear();
    world.peer({Courses::takes(script)});
    row.set(world);
    CHECK(line(world.send(), {"mx"}) == "delivered mx1.example.org");
    CHECK_FALSE(world.dns.asked_of("TXT"));
    CHECK(world.policy_hosts.asked.empty());
  }
}

TEST_CASE("STS-28: a live policy and a TXT record within its time cost no question at all") {
  Policies world;
  world.dns.ttl = std::chrono::seconds{60};
  world.adopt("1", policy("enforce", "mx1.example.org"));
  Script both = world.good(world.tls());
  Courses::takes(both);
  world.peer({both});
  CHECK(line(world.send(), {"policy"}) == "delivered sts");
  const std::size_t asked = world.dns.asked.size();
  CHECK(line(world.send(), {"policy"}) == "delivered sts");
  CHECK(world.dns.asked.size() == asked);
  CHECK(world.policy_hosts.asked.size() == 1);
}

}  // namespace delivery_attempt_sts_test
