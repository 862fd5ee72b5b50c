// SPDX-License-Identifier: Apache-2.0
// The operator's routes: which one a domain takes, what it changes, and hosts that are named instead of found.
#include <boost/asio/bind_cancellation_slot.hpp>

#include "route/cache.h"
#include "tests/route/world.h"

namespace hoplock::route::route_routes_test {

namespace {

Time day(int year, unsigned month, unsigned of_month, std::chrono::hours hours = std::chrono::hours{0}) {
  return std::chrono::sys_days{std::chrono::year{year} / static_cast<int>(month) / static_cast<int>(of_month)} + hours;
}

Route to(std::vector<std::string> patterns, std::vector<NextHop> hosts = {}) {
  Route route;
  for (const auto& pattern : patterns) route.match.push_back(dns::parse_pattern(pattern).value());
  route.hosts = std::move(hosts);
  return route;
}

NextHop relay(const char* host, std::uint16_t port = 25) { return NextHop{name(host), port}; }

}  // namespace

TEST_CASE("a pattern is a domain, its subdomains without it, or everything") {
  struct Row {
    const char* pattern;
    const char* domain;
    bool matches;
  };
  for (const Row& row : {Row{"*", "anything.example", true}, Row{"contoso.com", "contoso.com", true},
                         Row{"contoso.com", "a.contoso.com", false}, Row{"*.contoso.com", "contoso.com", false},
                         Row{"*.contoso.com", "a.contoso.com", true}, Row{"*.contoso.com", "a.b.contoso.com", true},
                         Row{"*.contoso.com", "notcontoso.com", false}, Row{"Contoso.COM.", "contoso.com", true},
                         Row{"δοκιμή.example", "xn--jxalpdlp.example", true}}) {
    CAPTURE(std::string(row.pattern));
    CHECK(dns::parse_pattern(row.pattern).value().matches(name(row.domain)) == row.matches);
  }
  for (const char* bad : {"", ".", "*.", "a.*.b", "*a.example", "a b"})
    CHECK_FALSE(dns::parse_pattern(bad).has_value());
  CHECK(to_text(dns::parse_pattern("*.contoso.com").value()) == "*.contoso.com");
}

TEST_CASE("the first match wins, and a route is skipped from the day after its `until`") {
  auto dated = to({"contoso.com"}, {relay("one.example")});
  dated.until = std::chrono::sys_days{std::chrono::year{2027} / 1 / 31};
  const Table table({dated, to({"*.contoso.com", "contoso.com"}, {relay("two.example", 587)}), to({"*"})}, {});
  const Time last = day(2027, 1, 31, std::chrono::hours{23});
  CHECK(table.destination(name("contoso.com"), last) == "route:one.example:25");
  CHECK(table.destination(name("contoso.com"), day(2027, 2, 1)) == "route:two.example:587");
  CHECK(table.destination(name("x.contoso.com"), last) == "route:two.example:587");
  CHECK(table.destination(name("other.example"), last) == "other.example");
  CHECK(table.expired(last).empty());
  CHECK(table.expired(day(2027, 2, 1)).size() == 1);
  CHECK(Table({}, {}).match(name("other.example"), last) == nullptr);
}

TEST_CASE("MX-20: between two ends of routes every destination stays, and domains that share one share its hosts") {
  std::mt19937_64 random{20};
  const auto roll = [&random](int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random); };
  const std::vector<std::string> domains{"a.example", "b.example", "x.a.example", "c.example"};
  const std::vector<std::string> patterns{"*", "*.a.example", "a.example", "b.example", "c.example"};
  for (int round = 0; round < 300; ++round) {
    std::vector<Route> routes;
    for (int n = roll(5); n > 0; --n) {
      std::vector<NextHop> hosts;
      for (int h = roll(3); h > 0; --h) hosts.push_back(relay(roll(2) == 0 ? "one.example" : "two.example"));
      routes.push_back(
          to({patterns[static_cast<std::size_t>(roll(5))], patterns[static_cast<std::size_t>(roll(5))]}, hosts));
      if (roll(2) == 0) routes.back().until = std::chrono::sys_days{std::chrono::year{2027} / 1 / (1 + roll(5))};
    }
    const Table table(routes, {});
    const Time begin =
        day(2027, 1, 1) + std::chrono::hours(roll(96)) + Milliseconds(roll(2) == 0 ? 0 : roll(3'600'000));
    const Time end = table.next_end(begin).value_or(begin + std::chrono::hours(1000));
    REQUIRE(end > begin);
    for (const Time at : {begin + (end - begin) / 2, end - Milliseconds(1)}) {
      for (const auto& one : domains) {
        CHECK(table.destination(name(one), at) == table.destination(name(one), begin));
        for (const auto& other : domains) {
          if (one == other || table.destination(name(one), at) != table.destination(name(other), at)) continue;
          REQUIRE(table.match(name(one), at) != nullptr);
          CHECK(table.match(name(one), at) == table.match(name(other), at));
          CHECK_FALSE(table.match(name(one), at)->hosts.empty());
        }
      }
    }
  }
}

TEST_CASE("MX-13: domains on one smarthost share a destination; the same hosts under other rules do not") {
  auto strict = to({"c.example"}, {relay("relay.example")});
  strict.tls = hop::RouteTls::verify;
  const Table table({to({"a.example", "b.example"}, {relay("relay.example")}), strict}, {});
  const Time at = day(2027, 1, 1);
  CHECK(table.destination(name("a.example"), at) == table.destination(name("b.example"), at));
  CHECK(table.destination(name("a.example"), at) != table.destination(name("c.example"), at));
}

TEST_CASE("DANE-36: a route changes the rule for its own domains only") {
  hop::LocalRule security;
  security.default_tls = hop::DefaultTls::encrypt;
  auto audit = to({"a.example"});
  audit.dane = hop::Mode::audit;
  auto encrypt = to({"e.example"});
  encrypt.tls = hop::RouteTls::encrypt;
  const Table table({audit, encrypt, to({"s.example"}, {relay("relay.example")})}, security);
  const Time at = day(2027, 1, 1);
  CHECK(table.rule(name("a.example"), at).dane == hop::Mode::audit);
  CHECK_FALSE(table.rule(name("a.example"), at).route_tls);
  CHECK(table.rule(name("a.example"), at).default_tls == hop::DefaultTls::encrypt);
  CHECK(table.rule(name("b.example"), at).dane == hop::Mode::enforce);
  CHECK(table.rule(name("e.example"), at).route_tls == hop::RouteTls::encrypt);
  CHECK_FALSE(
      table.rule(name("s.example"), at).route_tls);  // hosts, and `tls` left out: hop::decide knows what that means
}

TEST_CASE("MX-16, DANE-33: a route's hosts are never MX-resolved, and recipient domains cause no look-up") {
  Options options;
  auto route = to({"*"}, {relay("relay.example", 587), NextHop{Ip::parse("192.0.2.7").value(), 26}});
  route.tls = hop::RouteTls::dane;
  options.routes = {route};
  World world("relay.example MX 10 mx.example\nrelay.example A 192.0.2.1\n_587._tcp.relay.example TLSA 3 1 1 aa",
              options);
  world.dns.secure = {"relay.example"};
  const auto found = world.hosts("recipient.example");
  CHECK(found.domain.mx_security == dns::Security::secure);  // PEERS 13: the operator's own choice
  REQUIRE(found.hosts.size() == 2);
  const auto named = world.look(found.hosts[0]);
  CHECK(named.origin == Host::Origin::route_name);
  CHECK(named.port == 587);
  CHECK(named.tlsa.state == State::present);
  const auto asked = world.dns.asked.size();
  const auto literal = world.look(found.hosts[1]);
  CHECK(literal.origin == Host::Origin::literal);
  CHECK(joined(literal.addresses) == "192.0.2.7");
  CHECK(literal.tlsa.state == State::not_asked);
  CHECK(world.dns.asked.size() == asked);
  CHECK_FALSE(world.dns.asked_of(" MX"));
  for (const auto& question : world.dns.asked) CHECK(question.find("recipient.example") == std::string::npos);
}

TEST_CASE("DANE-33: TLSA is asked for only where a rule of the hop could use it") {
  struct Row {
    std::optional<hop::RouteTls> tls;
    std::optional<hop::Mode> dane;
    bool hosts;
    Host::Tlsa asked;
    const char* why;
  };
  using hop::Mode;
  using hop::RouteTls;
  using Tlsa = Host::Tlsa;
  for (const Row& row : {Row{{}, {}, true, Tlsa::skip, "hosts without `tls` are opportunistic"},
                         Row{RouteTls::dane, {}, true, Tlsa::ask, "asked for"},
                         Row{RouteTls::dane_only, {}, true, Tlsa::ask, "asked for"},
                         Row{RouteTls::verify, {}, true, Tlsa::skip, "another proof"},
                         Row{{}, {}, false, Tlsa::ask, "security.dane: enforce"},
                         Row{{}, Mode::audit, false, Tlsa::ask, "what would have failed is reported"},
                         Row{{}, Mode::off, false, Tlsa::skip, "switched off"},
                         Row{RouteTls::encrypt, {}, false, Tlsa::skip, "`tls` replaces security"}}) {
    CAPTURE(std::string(row.why));
    Options options;
    auto route = to({"*"});
    if (row.hosts) route.hosts = {relay("mx.example")};
    route.tls = row.tls;
    route.dane = row.dane;
    options.routes = {route};
    World world("example.org MX 10 mx.example\nmx.example A 192.0.2.1", options);
    CHECK(world.hosts("example.org").hosts.front().tlsa == row.asked);
  }
}

TEST_CASE("a route's own hosts may be local, and need no working validation") {
  Options options;
  options.routes = {to({"*"}, {relay("exchange.lan")})};
  World world("exchange.lan A 127.0.0.5", options);
  world.dns.broken_validation = "our own DNSSEC validation does not work";
  CHECK(joined(world.first("example.org").addresses) == "127.0.0.5");
}

TEST_CASE("a reload changes routes and forgets what was found under the old ones") {
  World world("example.org MX 10 mx.example\nmx.example A 192.0.2.1");
  CHECK(world.order("example.org") == "mx.example");
  Options options;
  options.port = 26;
  world.router().reload(options);
  CHECK(world.hosts("example.org").hosts.front().port == 26);
  options.routes = {to({"*"}, {relay("relay.example")})};
  world.router().reload(options);
  CHECK(world.order("example.org") == "relay.example");
}

TEST_CASE("many who ask for one domain at once share its questions; failures are kept for seconds only") {
  World world("example.org MX 10 mx.example\nmx.example A 192.0.2.1");
  world.dns.delay = std::chrono::milliseconds(20);
  int found = 0;
  for (int i = 0; i < 50; ++i) {
    boost::asio::co_spawn(world.loop.executor(), world.router().find(name("example.org")),
                          [&found](std::exception_ptr, const Found& got) { found += got.index() == 0 ? 1 : 0; });
  }
  world.loop.io().run_for(std::chrono::milliseconds(300));
  CHECK(found == 50);
  CHECK(world.dns.count("example.org MX") == 1);
}

TEST_CASE("when the one who asks is cancelled, those who wait for the same ask themselves") {
  World world("example.org MX 10 mx.example\nmx.example A 192.0.2.1");
  world.dns.delay = std::chrono::milliseconds(50);
  boost::asio::cancellation_signal signal;
  bool threw = false;
  std::optional<Found> other;
  boost::asio::co_spawn(
      world.loop.executor(), world.router().find(name("example.org")),
      boost::asio::bind_cancellation_slot(
          signal.slot(), [&threw](std::exception_ptr error, const Found&) { threw = error != nullptr; }));
  boost::asio::co_spawn(world.loop.executor(), world.router().find(name("example.org")),
                        [&other](std::exception_ptr, Found got) { other = std::move(got); });
  world.loop.io().run_for(std::chrono::milliseconds(10));
  signal.emit(boost::asio::cancellation_type::terminal);
  world.loop.io().run_for(std::chrono::milliseconds(200));
  CHECK(threw);
  REQUIRE(other);
  CHECK(std::holds_alternative<Hosts>(*other));
}

TEST_CASE("DANE-38: facts are kept within their TTL, and what has none is asked again") {
  World world("example.org MX 10 mx.example\nmx.example A 192.0.2.1\n_25._tcp.mx.example TLSA 3 1 1 aa");
  world.dns.secure = {"example"};
  world.dns.ttl = std::chrono::seconds{0};
  CHECK(world.first("example.org").tlsa.records[0].text() == "3 1 1 aa");
  world.dns.remove("_25._tcp.mx.example TLSA");
  world.dns.add("_25._tcp.mx.example TLSA 3 1 1 bb");
  CHECK(world.first("example.org").tlsa.records[0].text() == "3 1 1 bb");
  world.dns.ttl = std::chrono::seconds{60};
  world.first("example.org");
  world.dns.remove("_25._tcp.mx.example TLSA");
  CHECK(world.first("example.org").tlsa.state == State::present);
}

TEST_CASE("the cache forgets at the time given, and the least recently used when it is full") {
  Cache<int, int> cache(2);
  const auto start = Cache<int, int>::Clock::time_point{};
  const auto later = start + std::chrono::seconds(10);
  cache.put(1, 10, later);
  cache.put(2, 20, later);
  CHECK(cache.find(1, start) == 10);
  cache.put(3, 30, later);
  CHECK_FALSE(cache.find(2, start));
  CHECK(cache.find(1, start) == 10);
  CHECK(cache.find(3, later - std::chrono::seconds(1)) == 30);
  CHECK_FALSE(cache.find(3, later));
  CHECK(cache.size() == 1);
  cache.put(1, 11, later);
  CHECK(cache.size() == 1);
  CHECK(cache.find(1, start) == 11);
}

}  // namespace hoplock::route::route_routes_test
