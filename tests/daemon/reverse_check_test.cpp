// SPDX-License-Identifier: Apache-2.0
// The look at our own addresses after the start: which are looked at, what is said of them, and how much is asked.
#include "daemon/reverse_check.h"

#include <doctest/doctest.h>

#include "config/reader.h"
#include "net/task_group.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"

namespace daemon_reverse_check_test {

using namespace hoplock;
using namespace hoplock::daemon;
using support::name;

namespace {

config::Config configured(const std::string& text) {
  auto loaded = config::read_text(text, "h.yaml", "");
  REQUIRE(loaded.errors.empty());
  return loaded.config;
}

// "ip name,name" of each.
std::vector<std::string> lines(const Departures& all) {
  std::vector<std::string> found;
  for (const auto& [ip, names] : all) {
    std::string line;
    for (const dns::Name& one : names) line += (line.empty() ? "" : ",") + one.text();
    found.push_back(ip.text() + " " + line);
  }
  return found;
}

// Both families are given, so nothing depends on this machine's network.
const std::string base = "hostname: r.example\ndelivery: {source_ipv4: 203.0.113.7, source_ipv6: \"2001:db8::7\"}\n";

// The first round, to its end or until it waits for the next one.
struct World {
  support::Loop loop;
  support::FakeResolver dns;
  support::MemoryLog log;
  std::shared_ptr<const config::Config> config;

  void run(const std::string& text) {
    config = std::make_shared<const config::Config>(configured(text));
    net::TaskGroup tasks(loop.executor(), log);
    tasks.spawn("look", check_addresses(config, dns, log));
    loop.io().restart();
    loop.io().poll();
    waits = !loop.io().stopped();
    tasks.stop();
    loop.io().restart();
    loop.io().poll();
  }
  std::vector<std::string> said() const {
    std::vector<std::string> all;
    for (const Event& one : log.events("reverse-dns")) {
      CHECK(one.level() == Level::warn);
      all.push_back(std::string(one.get("ip")) + " " + std::string(one.get("helo")));
    }
    return all;
  }
  bool waits = false;
};

constexpr const char* v4_pointer = "7.113.0.203.in-addr.arpa";
constexpr const char* v6_pointer = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
const std::string all_good = std::string(v4_pointer) + " PTR r.example\n" + v6_pointer +
                             " PTR r.example\nr.example A 203.0.113.7\nr.example AAAA 2001:db8::7\n";

}  // namespace

TEST_CASE("departures: every address that mail routed by MX may leave from, with what is said there") {
  using Lines = std::vector<std::string>;
  CHECK(lines(departures(configured(base))) == Lines{"2001:db8::7 r.example", "203.0.113.7 r.example"});
  CHECK(lines(departures(
            configured("hostname: r.example\ndelivery: {source_ipv4: 203.0.113.7, address_family: ipv4}\n"))) ==
        Lines{"203.0.113.7 r.example"});
  const std::string some =
      "sources:\n"
      "  - {senders: [a.example], ipv4: 203.0.113.8, hostname: a.example}\n"
      "  - {match: [b.example], hostname: b.example}\n";
  CHECK(lines(departures(configured(base + some))) ==
        Lines{"2001:db8::7 a.example,b.example,r.example", "203.0.113.7 b.example,r.example", "203.0.113.8 a.example"});
  const std::string rest =
      "  - {ipv4: 203.0.113.9, ipv6: \"2001:db8::9\"}\n"
      "  - {senders: [c.example], ipv4: 203.0.113.10}\n";
  CHECK(lines(departures(configured(base + some + rest))) ==
        Lines{"2001:db8::7 a.example,b.example", "2001:db8::9 r.example", "203.0.113.7 b.example",
              "203.0.113.8 a.example", "203.0.113.9 r.example"});  // the third takes all that is left
  CHECK(departures(configured(base + "routes: [{match: [\"*\"], hosts: [\"hub.example:25\"]}]\n")).empty());
}

TEST_CASE("the look at our own addresses: no line where all agrees") {
  World world;
  world.dns.add(all_good);
  world.run(base);
  CHECK(world.said().empty());
  CHECK_FALSE(world.waits);
  CHECK(world.dns.asked == std::vector<std::string>{std::string(v6_pointer) + " PTR", "r.example AAAA",
                                                    std::string(v4_pointer) + " PTR", "r.example A"});
}

TEST_CASE("the look at our own addresses: one line for each that disagrees, and what to publish") {
  World world;
  world.dns.add(all_good);
  world.dns.remove(std::string(v6_pointer) + " PTR");
  world.dns.remove("r.example A");
  world.dns.add("r.example A 203.0.113.99");
  world.run(base);
  CHECK(world.said() == std::vector<std::string>{"2001:db8::7 r.example", "203.0.113.7 r.example"});
  const auto events = world.log.events("reverse-dns");
  REQUIRE(events.size() == 2);
  CHECK(events[0].get("error") ==
        "2001:db8::7 has no PTR record; have whoever gave you the address publish: " + std::string(v6_pointer) +
            ". PTR r.example.; until then delivery.address_family: ipv4 keeps mail off it");
  CHECK(events[1].get("error") ==
        "r.example, said in EHLO from 203.0.113.7, leads to 203.0.113.99; publish: r.example. A 203.0.113.7");
  CHECK_FALSE(world.waits);
}

TEST_CASE("the look at our own addresses: inner and loopback addresses are not looked at") {
  World world;
  world.run(
      "hostname: r.example\ndelivery: {source_ipv4: 192.168.1.5, source_ipv6: \"fd00::5\"}\n"
      "sources: [{senders: [a.example], ipv4: 127.0.0.9, ipv6: \"::1\"}]\n");
  CHECK(world.said().empty());
  CHECK(world.dns.asked.empty());
}

TEST_CASE("the look at our own addresses: a DNS that does not answer is no disagreement, and is asked again later") {
  World world;
  world.dns.add(all_good);
  world.dns.fail[std::string(v4_pointer) + " PTR"] = "time-out";
  world.dns.bogus[std::string(v6_pointer) + " PTR"] = "signature expired";
  world.run(base);
  CHECK(world.said().empty());
  CHECK(world.waits);
}

TEST_CASE("the look at our own addresses: after a reload the old configuration says nothing more") {
  World world;
  world.dns.delay = std::chrono::milliseconds(20);
  world.config = std::make_shared<const config::Config>(configured(base));
  net::TaskGroup tasks(world.loop.executor(), world.log);
  tasks.spawn("look", check_addresses(world.config, world.dns, world.log));
  world.loop.io().restart();
  world.loop.io().poll();
  world.config.reset();
  world.loop.io().run_for(std::chrono::seconds(5));
  CHECK(world.loop.io().stopped());
  CHECK(world.said().empty());
  CHECK(world.dns.asked.size() == 2);
}

TEST_CASE("look_at_address: hostile reverse zones and long lists are asked for a bounded number of names") {
  support::Loop loop;
  support::FakeResolver dns;
  std::set<dns::Name> said;
  for (int i = 0; i < 500; ++i) {
    dns.add(std::string(v4_pointer) + " PTR n" + std::to_string(i) + ".example");
    said.insert(name("said" + std::to_string(i) + ".example"));
  }
  BoundedLooks looks(dns, std::chrono::seconds(5));
  const auto found = loop.run(look_at_address(Ip::parse("203.0.113.7").value(), said, looks));
  CHECK(found.state == dns::Agreement::State::disagrees);
  CHECK(dns.asked.size() == 1 + 20 + 5);
  for (int i = 0; i < 20; ++i) loop.run(look_at_address(Ip::parse("203.0.113.7").value(), said, looks));
  CHECK(dns.asked.size() == 200);
  BoundedLooks late(dns, std::chrono::seconds(0));
  CHECK(loop.run(look_at_address(Ip::parse("203.0.113.7").value(), said, late)).state ==
        dns::Agreement::State::unknown);
  CHECK(dns.asked.size() == 200);
}

TEST_CASE("look_at_address: of many names said from one address those that the PTR record gives come first") {
  support::Loop loop;
  support::FakeResolver dns(std::string(v4_pointer) + " PTR z.example\nz.example A 203.0.113.7\n");
  std::set<dns::Name> said{name("z.example")};
  for (int i = 0; i < 50; ++i) {
    said.insert(name("a" + std::to_string(i) + ".example"));
    dns.add("a" + std::to_string(i) + ".example A 203.0.113.7");
  }
  BoundedLooks looks(dns, std::chrono::seconds(5));
  CHECK(loop.run(look_at_address(Ip::parse("203.0.113.7").value(), said, looks)).state ==
        dns::Agreement::State::agrees);
  CHECK(dns.count("z.example A") == 1);
}

}  // namespace daemon_reverse_check_test
