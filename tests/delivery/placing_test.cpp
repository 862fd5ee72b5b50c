// SPDX-License-Identifier: Apache-2.0
// MX-20: no recipient is offered to a host that the rules of the moment do not give it.
#include <doctest/doctest.h>

#include <random>

#include "tests/delivery/relay.h"

namespace delivery_placing_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

// A route for these domains over hosts given by address, all on the port of the sinks.
route::Route over(const Relay& relay, const std::vector<std::string>& domains, const std::vector<std::string>& hosts) {
  route::Route route;
  for (const auto& domain : domains) route.match.push_back(dns::parse_pattern(domain).value());
  for (const auto& host : hosts) route.hosts.push_back({Ip::parse(host).value(), relay.port});
  return route;
}

std::chrono::sys_days today() { return std::chrono::floor<std::chrono::days>(wall()); }

}  // namespace

TEST_CASE("MX-20: what was leased under a route that a reload removes or splits goes to its own domain's hosts") {
  for (const bool removed : {true, false}) {
    CAPTURE(removed);
    Relay relay;
    Sink& smart = relay.sink("127.0.0.2");
    Sink& a = relay.sink("127.0.0.3");
    Sink& b = relay.sink("127.0.0.4");
    relay.domain("a.test", "127.0.0.3");
    relay.domain("b.test", "127.0.0.4");
    relay.options.sessions = 1;
    relay.routes = {over(relay, {"a.test", "b.test"}, {"127.0.0.2"})};
    for (int i = 0; i < 20; ++i) relay.put({"u" + std::to_string(i) + "@a.test", "u" + std::to_string(i) + "@b.test"});
    smart.answer = [&](const std::string& command) {
      if (command == "." && smart.messages == 2)  // the third is taken; by then all are leased
        relay.reload(removed ? std::vector<route::Route>{}
                             : std::vector<route::Route>{over(relay, {"a.test"}, {"127.0.0.2"})});
      return std::string();
    };
    relay.start();
    REQUIRE(relay.until([&] { return relay.scheduler->counts().delivered == 40; }));
    CHECK(smart.recipients.count("u0@b.test") == 1);  // by the rules of then
    CHECK(b.recipients.size() == 17);
    CHECK(a.recipients.size() == (removed ? 17 : 0));
    CHECK(smart.recipients.size() == (removed ? 6 : 23));
    CHECK(a.twice() + b.twice() + smart.twice() == 0);
    CHECK(relay.log.events("deferred").empty());
  }
}

TEST_CASE("MX-20: the hold of the hop that a reload takes away delays nobody who has another one now") {
  Relay relay;
  Sink& b = relay.sink("127.0.0.4");
  relay.domain("a.test", "127.0.0.3");
  relay.domain("b.test", "127.0.0.4");
  relay.options.retry.first = 1h;
  relay.routes = {over(relay, {"a.test", "b.test"}, {"127.0.0.9"})};  // nobody there
  relay.put({"bob@b.test", "ann@a.test"});
  relay.put({"late@b.test"});
  relay.start();
  REQUIRE(relay.until([&] { return relay.scheduler->counts().deferred >= 2; }));
  relay.reload({over(relay, {"a.test"}, {"127.0.0.9"})});
  relay.loop.run(relay.queue->reroute(wall())).value();
  relay.scheduler->notify();
  CHECK(relay.until([&] { return b.recipients.size() == 2; }, 2s));
}

// Mail left in clear long after `tls: verify` had been taken up: an attempt under way kept the rule that it had begun with.
TEST_CASE("MX-20: a rule that a reload makes stricter binds the next host of an attempt that is under way") {
  for (const bool by_route : {true, false}) {
    CAPTURE(by_route);
    Relay relay;
    Sink& one = relay.sink("127.0.0.2");
    Sink& two = relay.sink("127.0.0.3");
    relay.options.retry.first = 1h;
    const auto with = [&](hop::RouteTls tls) {
      route::Route route = over(relay, {"a.test"}, {"127.0.0.2", "127.0.0.3"});
      if (!by_route) route.hosts.clear();
      route.tls = tls;
      return route;
    };
    relay.dns.add("a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\nmx1.a.test A 127.0.0.2\nmx2.a.test A 127.0.0.3");
    relay.routes = {with(hop::RouteTls::opportunistic)};
    int reloads = 0;
    one.answer = [&](const std::string& command) {
      if (!command.empty()) return std::string();
      if (reloads++ < 5) relay.reload({with(hop::RouteTls::verify)});
      return std::string("421 4.3.2 not now");
    };
    relay.put({"ann@a.test"});
    relay.start();
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
    CHECK(two.messages == 0);
    // placed anew it may begin with the other host, for this one has said "not now"; a reload that changes nothing keeps nothing back
    CHECK((reloads == 1 || reloads == 2));
    CHECK(relay.list().size() == 1);
  }
}

TEST_CASE("MX-20: a hop that hangs loses who was moved away meanwhile; its other hosts hear nothing of them") {
  Relay relay;
  Sink& first = relay.sink("127.0.0.2");
  Sink& second = relay.sink("127.0.0.3");
  Sink& own = relay.sink("127.0.0.4");
  relay.domain("b.test", "127.0.0.4");
  relay.routes = {over(relay, {"a.test", "b.test"}, {"127.0.0.2", "127.0.0.3"})};
  first.answer = [&](const std::string& command) {
    if (!command.starts_with("EHLO")) return std::string();
    relay.reload({over(relay, {"a.test"}, {"127.0.0.2", "127.0.0.3"})});
    return std::string("421 4.3.2 not now");
  };
  relay.put({"bob@b.test"});
  relay.start();
  REQUIRE(relay.until([&] { return own.recipients.size() == 1; }));
  CHECK(second.connections == 0);
  CHECK(relay.log.events("deferred").empty());
  CHECK(relay.until([&] { return relay.list().empty(); }));
}

TEST_CASE(
    "MX-20: whatever the routes become, at whatever moment, each recipient is offered only to a host of its own") {
  const std::vector<std::string> domains{"a.test", "b.test", "c.test", "d.test"};
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    const auto roll = [&random](std::size_t sides) {
      return std::uniform_int_distribution<std::size_t>(0, sides - 1)(random);
    };
    Relay relay;
    relay.options.sessions =
        1;  // while a reply is awaited nothing else is on the wire: the moment is that of the reply
    std::map<std::string, Sink*> at;
    for (const char* address : {"127.0.0.2", "127.0.0.3", "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"})
      at[address] = &relay.sink(address);
    for (std::size_t i = 0; i < domains.size(); ++i) relay.domain(domains[i], "127.0.0.1" + std::to_string(i + 1));
    const auto some_routes = [&] {
      std::vector<route::Route> routes;
      for (std::size_t n = roll(4); n > 0; --n) {
        std::vector<std::string> match, hosts;
        for (const auto& domain : domains)
          if (roll(2) == 0) match.push_back(domain);
        if (match.empty()) match.push_back("*");
        for (std::size_t h = roll(3); h > 0; --h) hosts.push_back(roll(2) == 0 ? "127.0.0.2" : "127.0.0.3");
        routes.push_back(over(relay, match, hosts));
        if (roll(3) == 0) routes.back().until = today() - std::chrono::days(roll(2) == 0 ? 1 : 0);
      }
      return routes;
    };
    std::vector<std::string> wrong;
    bool changes = true;
    for (auto& [address, sink] : at) {
      sink->answer = [&, where = address](const std::string& command) {
        const bool between = command.empty() || command == "." || command.starts_with("EHLO");
        if (changes && between && roll(3) == 0) relay.reload(some_routes());
        if (!command.starts_with("RCPT")) return std::string();
        const std::string to = command.substr(command.find('@') + 1, 6);
        const auto route = relay.router->table().match(name(to), wall());
        bool right = where == "127.0.0.1" + std::to_string(1 + to[0] - 'a');
        if (route && !route->hosts.empty()) {
          right = std::any_of(route->hosts.begin(), route->hosts.end(),
                              [&](const auto& hop) { return std::get<Ip>(hop.host).text() == where; });
        }
        if (!right) wrong.push_back(to + " at " + where);
        return std::string();
      };
    }
    relay.routes = some_routes();
    std::size_t recipients = 0;
    for (std::size_t i = 0; i < 60; ++i) {
      std::vector<std::string> to;
      for (std::size_t n = 1 + roll(4); n > 0; --n)
        to.push_back("u" + std::to_string(recipients++) + "@" + domains[roll(domains.size())]);
      relay.put(to);
    }
    relay.start();
    relay.until([&] { return relay.scheduler->counts().delivered >= recipients * 2 / 3; }, 20s);
    changes = false;
    CHECK(relay.until([&] { return relay.scheduler->counts().delivered == recipients; }, 20s));
    CHECK(wrong == std::vector<std::string>{});
    std::size_t twice = 0, heard = 0;
    for (auto& [address, sink] : at) {
      twice += sink->twice();
      heard += sink->recipients.size();
    }
    CHECK(twice == 0);
    CHECK(heard == recipients);
  }
}

}  // namespace delivery_placing_test
