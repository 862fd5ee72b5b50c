// SPDX-License-Identifier: Apache-2.0
// One host, several domains: which session of theirs may carry whose mail, over real TLS (TLS-08, RFC 7672 section 2.2, RFC 8461 section 4).
#include <doctest/doctest.h>

#include "tests/delivery/attempt_world.h"

namespace delivery_site_session_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

constexpr auto keys = {"policy", "tls", "auth"};

// example.org and example.com have the same MX host.
struct Neighbours : Courses {
  Neighbours() {
    dns.ttl = std::chrono::seconds{0};
    dns.secure = {};
    dns.add("example.com MX 10 mx1.example.org");
  }
  void adopt(const std::string& domain, const std::string& text) {
    dns.add("_mta-sts." + domain + " TXT v=STSv1; id=1;");
    policy_hosts.answers[domain] = text;
  }
  void sign() { dns.secure = {"example.org", "example.com"}; }
  Script one() { return good(tls_of(leaf, "mx1")).expect_line("QUIT").send("221 bye\r\n"); }
  Script two() {
    Script script = good(tls_of(leaf, "mx1"));
    takes(script);
    return script.expect_line("QUIT").send("221 bye\r\n");
  }
  Attempt to(const char* domain) { return send({"bob@" + std::string(domain)}); }
};

}  // namespace

TEST_CASE("TLS-08: two domains without a policy, and two that enforce one, each share a session to their host") {
  for (const bool enforced : {false, true}) {
    CAPTURE(enforced);
    Neighbours world;
    ScriptedPeer& peer = world.peer({world.two()});
    if (enforced) {
      world.adopt("example.org", policy("enforce", "mx1.example.org"));
      world.adopt("example.com", policy("enforce", "*.example.org"));
    }
    const std::string line_of_both = enforced ? "delivered sts TLSv1.3 pkix" : "delivered opportunistic TLSv1.3 none";
    CHECK(line(world.to("example.org"), keys) == line_of_both);
    CHECK(line(world.to("example.com"), keys) == line_of_both);
    world.leave();
    CHECK(peer.finish() == Problems{});
    CHECK(peer.connections() == 1);
  }
}

TEST_CASE("TLS-08: mail under an enforced policy never rides on a session that was opened without one") {
  Neighbours world;
  world.adopt("example.com", policy("enforce", "mx1.example.org"));
  ScriptedPeer& peer = world.peer({world.one(), world.one()});
  CHECK(line(world.to("example.org"), keys) == "delivered opportunistic TLSv1.3 none");
  CHECK(line(world.to("example.com"), keys) == "delivered sts TLSv1.3 pkix");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 2);
}

TEST_CASE("TLS-08: where the host fails the other domain's policy, its mail waits though a session is open") {
  Neighbours world;
  const Certificate stranger{{.dns = {"mx1.example.org"}}};
  const PeerTls bad = world.tls_of(stranger, "stranger");
  world.adopt("example.com", policy("enforce", "mx1.example.org"));
  ScriptedPeer& peer =
      world.peer({world.good(bad).expect_line("QUIT").send("221 bye\r\n"), world.secured(bad).receive().close()});
  CHECK(line(world.to("example.org"), keys) == "delivered opportunistic TLSv1.3 none");
  CHECK(line(world.to("example.com"), {"policy", "reason"}) == "deferred sts certificate-not-trusted");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 2);
}

TEST_CASE("TLS-08: a domain whose policy does not name the host gets nothing over the session that others have there") {
  Neighbours world;
  world.adopt("example.org", policy("enforce", "mx1.example.org"));
  world.adopt("example.com", policy("enforce", "mx.elsewhere.example"));
  ScriptedPeer& peer = world.peer({world.one()});
  CHECK(line(world.to("example.org"), keys) == "delivered sts TLSv1.3 pkix");
  CHECK(line(world.to("example.com"), {"policy", "reason"}) == "deferred sts mx-not-in-policy");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 1);
}

TEST_CASE("TLS-08: DANE-EE proved the host for every domain that leads to it; an unsigned MX is not such a domain") {
  for (const bool all_signed : {true, false}) {
    CAPTURE(all_signed);
    Neighbours world;
    world.sign();
    if (!all_signed) world.dns.secure = {"example.org"};
    ScriptedPeer& peer =
        world.peer(all_signed ? std::vector<Script>{world.two()} : std::vector<Script>{world.one(), world.one()});
    world.publish(world.leaf);
    CHECK(line(world.to("example.org"), keys) == "delivered dane TLSv1.3 dane-ee");
    const Attempt other = world.to("example.com");
    CHECK(line(other, {"auth", "mx_dnssec"}) ==
          (all_signed ? "delivered dane-ee secure" : "delivered dane-ee insecure"));
    world.leave();
    CHECK(peer.finish() == Problems{});
    CHECK(peer.connections() == (all_signed ? 1 : 2));
  }
}

TEST_CASE("TLS-08, RTLS-09: mail that asks for REQUIRETLS never rides on another domain's session") {
  Neighbours world;
  world.sign();
  ScriptedPeer& peer = world.peer({world.one(), world.secured(world.tls_of(world.leaf, "mx1"))
                                                    .expect_line("EHLO")
                                                    .send("250 mx\r\n")
                                                    .expect_line("QUIT")
                                                    .send("221 bye\r\n")});
  world.publish(world.leaf);
  CHECK(line(world.to("example.org"), keys) == "delivered dane TLSv1.3 dane-ee");
  auto strict = std::make_shared<store::Job>(*Courses::job({"bob@example.com"}));
  strict->destination = "example.com";
  strict->envelope.requiretls = true;
  const Attempt attempt = world.loop.run(world.runner().attempt(std::move(strict), world.session));
  CHECK(std::string(line(attempt, {"policy"})).ends_with("requiretls"));
  CHECK(attempt.recipients.front().fate != delivery::Fate::delivered);
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 2);
}

TEST_CASE("TLS-08: a session that is in clear since its TLS failed carries no other domain's mail") {
  Neighbours world;
  const Script broken = Courses::clear(with_tls).expect("STARTTLS\r\n").send("220 go\r\n").receive().close();
  Script in_clear = Courses::clear(with_tls);
  Courses::takes(in_clear).expect_line("QUIT").send("221 bye\r\n");
  ScriptedPeer& peer = world.peer({broken, in_clear, world.one()});
  world.waited = 5min;
  CHECK(line(world.to("example.org"), keys) == "delivered opportunistic none none");
  CHECK(line(world.to("example.com"), keys) == "delivered opportunistic TLSv1.3 none");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 3);
}

TEST_CASE("MX-29: sixty MX hosts of which the policy allows only the last: it gets the mail at the first attempt") {
  Neighbours world;
  world.dns.remove("example.org MX");
  for (int i = 0; i < 59; ++i) {
    const std::string n = std::to_string(i);
    world.dns.add("example.org MX " + n + " dead" + n + ".example.org\ndead" + n + ".example.org A 127.0.1." + n);
  }
  world.dns.add("example.org MX 60 mx1.example.org");
  world.adopt("example.org", policy("enforce", "mx1.example.org"));
  ScriptedPeer& peer = world.peer({world.one()});
  CHECK(line(world.to("example.org"), {"mx", "policy", "auth"}) == "delivered mx1.example.org sts pkix");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(world.dns.count("mx1.example.org A") > 0);
  for (const std::string& question : world.dns.asked) CHECK_FALSE(question.starts_with("dead"));
}

}  // namespace delivery_site_session_test
