// SPDX-License-Identifier: Apache-2.0
#include "delivery/record_watch.h"

#include "tests/delivery/relay.h"

namespace delivery_record_watch_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

// A domain whose TLSA record its server, which has no TLS at all, cannot meet: held off after the second attempt for an hour.
struct Broken : Relay {
  Broken() {
    at = &sink();
    domain("a.example");
    dns.secure = {"a.example"};
    dns.ttl = 1s;
    dns.add(tlsa() + " 3 1 1 00ff");
    options.retry.first = 1s;
    options.retry.factor = 3600;
    options.retry.max = 1h;
    put_many(20, "a.example");
    start();
  }
  std::string tlsa() const { return "_" + std::to_string(port) + "._tcp.mx.a.example TLSA"; }
  Sink* at;
};

}  // namespace

TEST_CASE("may_change_by_dns: rules and failed look-ups, not servers that are away or say no") {
  for (const char* reason : {"tlsa-invalid", "mx-not-in-policy", "sts-webpki-invalid", "dnssec-invalid", "dns-failure"})
    CHECK_MESSAGE(may_change_by_dns(hop::parse_reason(reason)), reason);
  for (const char* reason : {"", "smtp-reply", "connect-timeout", "connect-refused", "connection-lost"})
    CHECK_FALSE_MESSAGE(may_change_by_dns(hop::parse_reason(reason)), reason);
}

TEST_CASE("records_of: other records, another order or none; the order alone is no change") {
  support::FakeResolver dns(
      "a.example MX 10 mx1.a.example\na.example MX 10 mx2.a.example\nmx1.a.example A 192.0.2.1\nmx2.a.example A "
      "192.0.2.2");
  dns.secure = {"a.example"};
  dns.ttl = 0s;
  support::Loop loop;
  route::Options options;
  route::Router router({dns}, options, std::mt19937_64{7});
  const auto now = [&] { return loop.run(records_of(router, name("a.example"))); };
  const std::string first = now();
  for (int i = 0; i < 10; ++i) CHECK(now() == first);
  dns.add("_25._tcp.mx1.a.example TLSA 3 1 1 00ff");
  const std::string with_tlsa = now();
  CHECK(with_tlsa != first);
  dns.add("_25._tcp.mx1.a.example TLSA 3 1 1 11ff");
  CHECK(now() != with_tlsa);
  dns.remove("_25._tcp.mx1.a.example TLSA");
  CHECK(now() == first);
  dns.remove("a.example MX");
  dns.add("a.example MX 10 mx1.a.example");
  CHECK(now() != first);
}

TEST_CASE(
    "what a rule refused is tried soon after the records changed, and not before its hold is over while they stand") {
  Broken relay;
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 2; }));
  relay.pass(2500ms);
  CHECK(relay.log.events("records-changed").empty());
  CHECK(relay.log.events("deferred").size() == 2);
  CHECK(relay.at->messages == 0);
  relay.dns.remove(relay.tlsa());
  REQUIRE(relay.until([&] { return relay.at->messages == 20; }));
  CHECK(relay.at->twice() == 0);
  REQUIRE(relay.log.events("records-changed").size() == 1);
  CHECK(relay.log.events("records-changed")[0].get("domain") == "a.example");
}

TEST_CASE("records that change for the worse cost one attempt") {
  Broken relay;
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 2; }));
  relay.pass(1500ms);
  relay.dns.add(relay.tlsa() + " 3 1 1 11ff");
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 3; }));
  relay.pass(1500ms);
  CHECK(relay.log.events("deferred").size() == 3);
}

TEST_CASE("a destination where nothing waits any more is watched no longer") {
  Relay relay;
  relay.domain("a.example");
  route::Router router({relay.dns}, route::Options{}, std::mt19937_64{7});
  RecordWatch watch({relay.loop.executor(), *relay.queue, router, relay.log}, [] {});
  watch.every(1s);
  net::TaskGroup tasks(relay.loop.executor(), relay.log);
  tasks.spawn("watch", watch.run());
  watch.add("a.example", name("a.example"));
  relay.pass(500ms);
  CHECK(watch.count() == 1);  // looked at once, its hold may not be stored yet
  CHECK(relay.until([&] { return watch.count() == 0; }, 3s));
  watch.end();
  relay.pass(100ms);
}

TEST_CASE("a destination whose name servers are silent does not keep another one's mended records from being seen") {
  Relay relay;
  relay.dns.ttl = 0s;
  relay.domain("a.example");
  relay.domain("z.example");
  relay.dns.slow["a.example MX"] = 30s;
  route::Router router({relay.dns}, route::Options{}, std::mt19937_64{7});
  RecordWatch watch({relay.loop.executor(), *relay.queue, router, relay.log}, [] {});
  watch.every(1s);
  net::TaskGroup tasks(relay.loop.executor(), relay.log);
  watch.add("a.example", name("a.example"));
  watch.add("z.example", name("z.example"));
  tasks.spawn("watch", watch.run());
  CHECK(relay.until([&] { return relay.dns.count("z.example MX") > 0; }, 3s));
  watch.end();
  tasks.stop();
  relay.loop.run(tasks.join(std::chrono::steady_clock::now() + 2s));
}

}  // namespace delivery_record_watch_test
