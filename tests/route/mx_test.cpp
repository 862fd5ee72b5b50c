// SPDX-License-Identifier: Apache-2.0
// From a domain to its hosts: RFC 5321 section 5.1, RFC 7505, and our own place in the list.
#include <map>
#include <set>

#include "net/task_group.h"
#include "route/mx.h"
#include "route/turns.h"
#include "tests/route/world.h"
#include "tests/support/memory_log.h"

namespace hoplock::route::route_mx_test {

TEST_CASE("MX-01: the domain itself is the host only after a definite answer that there is no MX") {
  World world(
      "none.example A 192.0.2.1\nhas.example MX 10 mx.example\nhas.example A 192.0.2.9\nmx.example A 192.0.2.2");
  const auto implicit = world.hosts("none.example");
  REQUIRE(implicit.hosts.size() == 1);
  CHECK(implicit.hosts[0].origin == Host::Origin::implicit_mx);
  CHECK(implicit.hosts[0].name.text() == "none.example");
  CHECK(joined(world.first("none.example").addresses) == "192.0.2.1");
  CHECK(world.order("has.example") == "mx.example");
  CHECK(world.first("has.example").origin == Host::Origin::mx);
  CHECK(world.dns.count("has.example A") == 0);
}

TEST_CASE("MX-02, DANE-02: a failed MX look-up defers, and the address record is never used instead") {
  struct Row {
    const char* how;
    hop::Reason reason;
    const char* enhanced;
  };
  for (const Row& row :
       {Row{"fail", hop::Reason::dns_failure, "4.4.3"},           // SERVFAIL, REFUSED, time-out
        Row{"bogus", hop::Reason::dnssec_invalid, "4.7.324"}}) {  // CONTRACT: a bogus MX is dnssec-invalid
    CAPTURE(std::string(row.how));
    World world("example.org MX 10 mx.example.org\nexample.org A 192.0.2.1\nmx.example.org A 192.0.2.2");
    (std::string(row.how) == "fail" ? world.dns.fail : world.dns.bogus)["example.org MX"] = "told by the test";
    const auto none = world.none("example.org");
    CHECK(none.kind == NoHosts::Kind::temporary);
    CHECK(none.reason == row.reason);
    CHECK(none.enhanced == row.enhanced);
    CHECK(none.text.find("told by the test") != std::string::npos);
    CHECK_FALSE(world.dns.asked_of(" A"));
  }
}

TEST_CASE("MX-03: a domain that does not exist is refused for good; a bogus denial is only a failed look-up") {
  World world("other.example A 192.0.2.1");
  auto none = world.none("nobody.example");
  CHECK(none.kind == NoHosts::Kind::permanent);
  CHECK(none.enhanced == "5.1.2");
  CHECK_FALSE(none.reason);
  world.dns.secure = {"signed.example"};
  CHECK(world.none("nobody.signed.example").enhanced == "5.1.2");
  world.dns.bogus["liar.example MX"] = "no proof";
  CHECK(world.none("liar.example").kind == NoHosts::Kind::temporary);
}

TEST_CASE("MX-04: a null MX refuses at once, without another question; beside other records it is ignored") {
  World world("null.example MX 0 .\nnull.example A 192.0.2.1\nboth.example MX 0 .\nboth.example MX 10 mx.example");
  const auto none = world.none("null.example");
  CHECK(none.kind == NoHosts::Kind::permanent);
  CHECK(none.code == 556);
  CHECK(none.enhanced == "5.1.10");
  CHECK(world.dns.asked == std::vector<std::string>{"null.example MX"});
  CHECK(world.order("both.example") == "mx.example");
}

TEST_CASE("MX-05: ascending preference, equal ones in random order") {
  World world("example.org MX 20 c.example\nexample.org MX 10 a.example\nexample.org MX 10 b.example");
  std::map<std::string, int> orders;
  for (int i = 0; i < 200; ++i) ++orders[world.order("example.org")];
  CHECK(orders.size() == 2);
  CHECK(orders["a.example b.example c.example"] > 60);
  CHECK(orders["b.example a.example c.example"] > 60);
  CHECK(world.dns.count("example.org MX") == 1);  // from our own cache all along
}

TEST_CASE("MX-05: all addresses of a host, both families, at most eight, and neither family is crowded out") {
  std::string zone = "example.org MX 10 mx.example\nmx.example A 192.0.2.1\nmx.example A 192.0.2.2\n";
  for (int i = 1; i <= 20; ++i) zone += "mx.example AAAA 2001:db8::" + std::to_string(i) + "\n";
  for (const auto family : {AddressFamily::any, AddressFamily::prefer_ipv6, AddressFamily::prefer_ipv4}) {
    Options options;
    options.address_family = family;
    World world(zone, options);
    const auto facts = world.first("example.org");
    CHECK(facts.addresses.size() == 8);
    CHECK(joined(facts.addresses).find("192.0.2.1 192.0.2.2") == 0);
    CHECK(facts.addresses.front().is_v4() == (family == AddressFamily::prefer_ipv4));
  }
}

TEST_CASE("MX-06: MX hosts without any usable address never lead back to the domain's own") {
  World world("example.org MX 10 gone.example\nexample.org A 192.0.2.1");
  const auto facts = world.first("example.org");
  CHECK(facts.addresses.empty());
  CHECK_FALSE(facts.address_failure);  // definite: the last word is 5.4.4
  CHECK(facts.why_no_address == "it does not exist");
  world.dns.fail["slow.example A"] = "timed out after 20s";
  world.dns.add("late.example MX 10 slow.example\nslow.example A 192.0.2.3");
  CHECK(world.first("late.example").address_failure == hop::Reason::dns_failure);  // may be another time: deferral
  CHECK(world.dns.count("example.org A") == 0);
}

TEST_CASE("MX-07, DANE-32: an alias at the recipient domain is followed, and its security counts") {
  World world("alias.example CNAME real.example\nreal.example MX 10 mx.example\nmx.example A 192.0.2.1");
  world.dns.secure = {"real.example", "mx.example"};
  auto found = world.hosts("alias.example");
  CHECK(found.domain.domain.text() == "alias.example");
  CHECK(found.domain.expanded.text() == "real.example");
  CHECK(found.domain.mx_security == dns::Security::insecure);
  CHECK(world.hosts("real.example").domain.mx_security == dns::Security::secure);
  world.dns.add("loop.example CNAME pool.example\npool.example CNAME loop.example");
  CHECK(world.none("loop.example").enhanced == "4.4.3");
}

TEST_CASE("DANE-32: an alias without MX is a host without MX, its expansion the first candidate for TLSA") {
  World world("alias.example CNAME dom.example\ndom.example A 192.0.2.1\n_25._tcp.dom.example TLSA 3 1 1 aa");
  world.dns.secure = {"example"};
  const auto found = world.hosts("alias.example");
  CHECK(found.domain.expanded.text() == "dom.example");
  REQUIRE(found.hosts.size() == 1);
  const auto facts = world.look(found.hosts[0]);
  CHECK(facts.origin == Host::Origin::implicit_mx);
  CHECK(facts.name.text() == "alias.example");
  CHECK(facts.expanded.text() == "dom.example");
  CHECK(facts.tlsa.state == State::present);
  CHECK(facts.tlsa.base.text() == "dom.example");
}

TEST_CASE("MX-08: an MX host that is an alias is followed and keeps its own name") {
  World world("example.org MX 10 mx.a.example\nmx.a.example CNAME mx.b.example\nmx.b.example A 192.0.2.1");
  const auto facts = world.first("example.org");
  CHECK(facts.name.text() == "mx.a.example");
  CHECK(facts.expanded.text() == "mx.b.example");
  CHECK(joined(facts.addresses) == "192.0.2.1");
}

TEST_CASE("MX-09: our own name or address drops that record and all that are not better") {
  const std::string zone =
      "example.org MX 10 other.example\nexample.org MX 20 self.example\nexample.org MX 20 equal.example\n"
      "example.org MX 30 backup.example\nonly.example MX 10 self.example\nself.example A 192.0.2.25\n"
      "equal.example A 192.0.2.3\nother.example A 192.0.2.2\nbackup.example A 192.0.2.4\n";
  Options options;
  SUBCASE("by name") { options.hostname = name("self.example"); }
  SUBCASE("by an address that a listener of ours has on the delivery port") {
    options.own_addresses = {OwnAddress{Ip::parse("192.0.2.25").value(), 25}};
  }
  World world(zone, options);
  CHECK(world.order("example.org") == "other.example");
  const auto none = world.none("only.example");
  CHECK(none.kind == NoHosts::Kind::permanent);
  CHECK(none.enhanced == "5.4.6");
  CHECK(world.none("self.example").enhanced == "5.4.6");  // implicit MX
}

TEST_CASE("MX-09: a listener on another port is not a mail loop") {
  Options options;
  options.hostname = name("relay.example");
  options.own_addresses = {OwnAddress{Ip::parse("192.0.2.25").value(), 2525}};
  World world("example.org MX 10 self.example\nself.example A 192.0.2.25", options);
  CHECK(world.order("example.org") == "self.example");
}

TEST_CASE("the addresses of all hosts are asked for before any TLSA, whose silence makes a name server look dead") {
  World world(
      "example.org MX 10 one.example\nexample.org MX 20 two.example\none.example A 192.0.2.1\ntwo.example A 192.0.2.2");
  CHECK(world.order("example.org") == "one.example two.example");
  CHECK(world.dns.asked_of("one.example A"));
  CHECK(world.dns.asked_of("two.example A"));
  CHECK_FALSE(world.dns.asked_of("TLSA"));
}

TEST_CASE("MX-17: MX names that are address literals are skipped, after our own place was looked for") {
  World world("example.org MX 10 192.0.2.9\nexample.org MX 20 mx.example\nbad.example MX 10 192.0.2.9");
  CHECK(world.order("example.org") == "mx.example");
  CHECK(world.none("bad.example").enhanced == "5.4.4");
}

TEST_CASE("MX-17: hosts at local addresses are skipped, unless local targets are allowed") {
  struct Row {
    const char* type;
    const char* address;
    const char* why;
  };
  for (const Row& row :
       {Row{"A", "127.0.0.1", "loopback"}, Row{"A", "169.254.1.1", "link-local"}, Row{"A", "224.0.0.1", "multicast"},
        Row{"A", "0.0.0.0", "unspecified"}, Row{"AAAA", "::1", "loopback"}, Row{"AAAA", "fe80::1", "link-local"},
        Row{"AAAA", "ff02::1", "multicast"}, Row{"AAAA", "::", "unspecified"},
        Row{"AAAA", "::ffff:127.0.0.1", "loopback behind a mapped address"}}) {
    CAPTURE(std::string(row.why));
    const std::string zone = "example.org MX 10 mx.example\nmx.example " + std::string(row.type) + " " + row.address;
    World refusing(zone);
    const auto refused = refusing.first("example.org");
    CHECK(refused.addresses.empty());
    CHECK_FALSE(refused.address_failure);
    CHECK(refused.why_no_address.find("local address") != std::string::npos);
    Options lab;
    lab.local_targets = LocalTargets::allow;
    World allowing(zone, lab);
    CHECK(allowing.first("example.org").addresses.size() == 1);
  }
  World private_ones("example.org MX 10 mx.example\nmx.example A 10.0.0.1");  // only policy hosts may not be there
  CHECK(private_ones.first("example.org").addresses.size() == 1);
}

TEST_CASE("MX-17: our own address is never used, whatever local targets are allowed") {
  Options options;
  options.local_targets = LocalTargets::allow;
  options.own_addresses = {OwnAddress{Ip::parse("127.0.0.1").value(), 25}};
  options.routes = {Route{}};
  options.routes[0].match = {dns::Pattern{dns::Pattern::Kind::exact, name("routed.example")}};
  options.routes[0].hosts = {NextHop{Ip::parse("127.0.0.1").value(), 25}, NextHop{Ip::parse("127.0.0.1").value(), 26}};
  World world("example.org MX 10 mx.example\nmx.example A 127.0.0.1\nmx.example A 127.0.0.2", options);
  const auto facts = world.none("example.org");  // by MX-09 the whole host is ours
  CHECK(facts.enhanced == "5.4.6");
  const auto routed = world.hosts("routed.example");
  CHECK(world.look(routed.hosts[0]).addresses.empty());
  CHECK(world.look(routed.hosts[1]).addresses.size() == 1);
}

TEST_CASE("DNS-04: while our own validation does not work, MX-routed mail is deferred with a reason of its own") {
  World world("example.org MX 10 mx.example\nmx.example A 192.0.2.1");
  world.dns.broken_validation = "our own DNSSEC validation does not work: told by the test";
  const auto none = world.none("example.org");
  CHECK(none.kind == NoHosts::Kind::temporary);
  CHECK(none.reason == hop::Reason::dns_failure);
  CHECK(none.enhanced == "4.4.3");
  CHECK(none.text.find("validation does not work") != std::string::npos);
  CHECK(world.dns.asked.empty());
  world.dns.broken_validation.reset();
  CHECK(world.order("example.org") == "mx.example");
  world.dns.broken_validation = "broken again";
  CHECK(world.none("example.org").text == "broken again");  // what is cached does not hide it
}

TEST_CASE(
    "MX-01: a signed denial of MX makes the domain a host for DANE, an unsigned one does not; NXDOMAIN is none (PEERS "
    "13)") {
  World world(
      "signed.example A 192.0.2.1\n_25._tcp.signed.example TLSA 3 1 1 aa\nplain.example A 192.0.2.2\n"
      "_25._tcp.plain.example TLSA 3 1 1 aa");
  world.dns.secure = {"signed.example"};
  CHECK(world.first("signed.example").tlsa.state == State::present);
  CHECK(world.hosts("signed.example").domain.mx_security == dns::Security::secure);
  CHECK(world.first("plain.example").tlsa.state == State::not_asked);
  // The one way to an unsigned denial with a name that could carry TLSA: a signed alias into an unsigned zone.
  world.dns.add("signed.alias.example CNAME plain.example\n_25._tcp.signed.alias.example TLSA 3 1 1 aa");
  world.dns.secure.insert("alias.example");
  CHECK(world.first("signed.alias.example").tlsa.state == State::not_asked);
  CHECK(world.none("gone.example").enhanced == "5.1.2");
}

namespace {
std::string large_set(int hosts) {
  std::string zone;
  for (int i = 1000; i < 1000 + hosts; ++i)
    zone += "example.org MX 10 mx" + std::to_string(i) + ".example.org\nmx" + std::to_string(i) +
            ".example.org A 192.0.2.1\n";
  return zone;
}
}  // namespace

namespace {
boost::asio::awaitable<void> pause(std::chrono::milliseconds time) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
  co_await timer.async_wait(boost::asio::use_awaitable);
}
boost::asio::awaitable<void> end_of(net::TaskGroup& tasks) {
  co_await tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds{10});
}
struct Busy {
  int now = 0;
  int most = 0;
  int done = 0;
};
boost::asio::awaitable<void> take_turn(Turns& turns, dns::Name domain, Busy& busy) {
  Turns::Turn turn(turns, std::move(domain));
  co_await turn.come();
  busy.most = std::max(busy.most, ++busy.now);
  const struct Leave {
    Busy& busy;
    ~Leave() { --busy.now; }
  } leave{busy};
  co_await pause(std::chrono::milliseconds{20});
  ++busy.done;
}
}  // namespace

TEST_CASE("BND-02: of a set of 1500 hosts few are looked up, few at a time, and the same ones each time") {
  World world(large_set(1500));
  world.options.own_addresses = {
      {Ip::parse("198.51.100.1").value(), 25}};  // our own place is looked for by address, too
  world.dns.delay = std::chrono::milliseconds{2};
  std::set<std::string> first;
  for (int time = 0; time < 3; ++time) {
    const Hosts found = world.hosts("example.org");
    CHECK(found.hosts.size() == most_hosts);
    CHECK(found.left_out == 1500 - most_hosts);
    std::set<std::string> names;
    for (const Host& host : found.hosts) names.insert(host.name.text());
    if (time == 0) first = names;
    CHECK(names == first);
    CHECK(world.dns.asked.size() <= (1 + 2 * most_hosts) * static_cast<std::size_t>(time + 1));
  }
  CHECK(world.dns.most_at_once <= 8);
}

namespace {
// As 20 deliveries to it at once, until they are cut off: its hosts, and each host's addresses.
boost::asio::awaitable<void> deliver_there(Router& router, bool& asked) {
  for (;;) {
    Found found = co_await router.find(name("example.org"));
    asked = true;
    for (const Host& host : std::get<Hosts>(found).hosts) co_await router.look(host, name("example.org"));
  }
}

// A resolver that works at so many questions and lets the others wait, for how long in all.
struct Busy24 final : resolver::Resolver {
  explicit Busy24(resolver::Resolver& resolver) : of(resolver) {}
  boost::asio::awaitable<dns::Answer> find(dns::Name question, dns::Type type) override {
    const auto asked = std::chrono::steady_clock::now();
    const bool good = question.text().ends_with(".example");
    while (at_work >= 24) {
      if (good) ++kept_waiting;
      co_await place_free.wait();
    }
    const struct Work {
      Busy24& at;
      explicit Work(Busy24& resolver) : at(resolver) { ++at.at_work; }
      ~Work() {
        --at.at_work;
        at.place_free.notify_one();
      }
    } work(*this);
    if (good) waited += std::chrono::steady_clock::now() - asked;
    dns::Answer answer = co_await of.find(std::move(question), type);
    if (good) took += std::chrono::steady_clock::now() - asked;
    co_return answer;
  }
  std::optional<std::string> validation_failure() const override { return of.validation_failure(); }

  resolver::Resolver& of;
  std::size_t at_work = 0;
  net::Condition place_free;
  std::size_t kept_waiting = 0;  // questions for the other domains
  std::chrono::nanoseconds waited{0}, took{0};
};

boost::asio::awaitable<void> deliver_elsewhere(Router& router) {
  for (int i = 0; i < 9; ++i) {
    const dns::Name domain = name("good" + std::to_string(i) + ".example");
    const Found found = co_await router.find(domain);
    co_await router.look(std::get<Hosts>(found).hosts.front(), domain);
  }
}
}  // namespace

TEST_CASE("BND-02: mail to a set of 1500 hosts makes the look-ups for other domains no more than 10 % slower") {
  std::string zone = large_set(1500);
  for (int i = 1000; i < 2500; ++i) zone += "mx" + std::to_string(i) + ".example.org AAAA 2001:db8::1\n";
  for (int i = 0; i < 9; ++i) {
    const std::string good = "good" + std::to_string(i) + ".example";
    zone += good + " MX 10 mx." + good + "\nmx." + good + " A 192.0.2.1\nmx." + good + " AAAA 2001:db8::1\n";
  }
  World world(zone);
  world.dns.delay = std::chrono::milliseconds{20};
  world.dns.ttl = std::chrono::seconds{0};
  Busy24 resolver(world.dns);
  Router router({resolver}, world.options, std::mt19937_64{7});
  support::MemoryLog log;
  net::TaskGroup hostile(world.loop.executor(), log);
  bool asked = false;
  for (int i = 0; i < 20; ++i) hostile.spawn("hostile", deliver_there(router, asked));
  world.loop.run(pause(std::chrono::milliseconds{500}));  // all of them look at hosts
  world.loop.run(deliver_elsewhere(router));
  CHECK(asked);
  CHECK(resolver.took.count() > 0);
  CHECK(resolver.kept_waiting == 0);
  CHECK(resolver.waited <= resolver.took / 10);
  hostile.stop();
  world.loop.run(end_of(hostile));
}

TEST_CASE("Turns: as many at once as are allowed, each domain for itself, and nothing is left of one that is through") {
  support::Loop loop;
  support::MemoryLog log;
  Turns turns(2);
  net::TaskGroup tasks(loop.executor(), log);
  Busy busy;
  for (int i = 0; i < 6; ++i) tasks.spawn("turn", take_turn(turns, name("a.example"), busy));
  for (int i = 0; i < 2; ++i) tasks.spawn("turn", take_turn(turns, name("b.example"), busy));
  loop.run(end_of(tasks));
  CHECK(busy.done == 8);
  CHECK(busy.most == 4);
  CHECK(turns.domains() == 0);
  // one that is cut off, as it waits or as it works, takes no turn with it
  for (int i = 0; i < 6; ++i) tasks.spawn("turn", take_turn(turns, name("a.example"), busy));
  loop.run(pause(std::chrono::milliseconds{5}));
  CHECK(turns.domains() == 1);
  tasks.stop();
  loop.run(end_of(tasks));
  CHECK(turns.domains() == 0);
}

TEST_CASE("MX-29: hosts that an enforced policy rules out take no place from the one that it names") {
  hop::StsFact sts;
  sts.state = hop::StsFact::State::live;
  sts.policy.mode = mtasts::Mode::enforce;
  sts.policy.mx = {{mtasts::Pattern::Kind::host, name("mx1059.example.org")}};
  std::vector<Host> hosts;
  for (int i = 0; i < 60; ++i) {
    Host host;
    host.name = name("mx" + std::to_string(1000 + i) + ".example.org");
    host.preference = static_cast<std::uint16_t>(i);
    hosts.push_back(host);
  }
  const Cut chosen = cut(hosts, sts);
  CHECK(chosen.hosts.size() == most_ruled_out + 1);
  CHECK(chosen.hosts.back().name.text() == "mx1059.example.org");
  CHECK(chosen.left_out == 60 - most_ruled_out - 1);
  sts.policy.mode = mtasts::Mode::testing;  // rules nobody out
  CHECK(cut(hosts, sts).hosts.size() == most_hosts);
  CHECK(cut(hosts, {}).hosts.front().name.text() == "mx1000.example.org");
}

TEST_CASE("MX-09: an address literal in a host's place that is ours counts as our own place") {
  World world("example.org MX 10 mx.example.org\nexample.org MX 20 192.0.2.9\nexample.org MX 30 worse.example.org");
  world.options.own_addresses = {{Ip::parse("192.0.2.9").value(), 25}};
  CHECK(world.order("example.org") == "mx.example.org");
}

}  // namespace hoplock::route::route_mx_test
