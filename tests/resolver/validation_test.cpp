// SPDX-License-Identifier: Apache-2.0
// libunbound in the process against a real name server with signed, unsigned and spoilt zones (tests/resolver/zones.sh).
#include <doctest/doctest.h>

#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <iterator>
#include "resolver/unbound.h"
#include "tests/support/loop.h"
#include "tests/support/nsd.h"

namespace hoplock::resolver::resolver_validation_test {

using dns::Security;
using dns::Status;
using dns::Type;

namespace {

support::Nsd& nsd() {
  static support::Nsd server;
  return server;
}

Options options_with(const std::string& anchor) {
  Options options;
  options.trust_anchor = nsd().file(anchor);
  options.root_hints.clear();
  options.unbound_conf = nsd().file("stubs.conf");
  options.timeout = std::chrono::seconds(10);
  return options;
}

struct World {
  explicit World(const Options& options = options_with("root.key"))
      : unbound(Unbound::open(loop.executor(), options).value()) {}
  dns::Answer ask(const char* name, Type type) {
    auto answer = loop.run(unbound->find(dns::Name::parse(name).value(), type));
    CAPTURE(answer.why);
    return answer;
  }
  support::Loop loop;
  std::unique_ptr<Unbound> unbound;
};

struct Row {
  const char* name;
  Type type;
  Status status;
  Security security;
  const char* why;
};

void check(World& world, const Row& row) {
  CAPTURE(std::string(row.name));
  CAPTURE(std::string(row.why));
  const auto answer = world.ask(row.name, row.type);
  CAPTURE(answer.why);
  CHECK(to_text(answer.status) == to_text(row.status));
  CHECK(to_text(answer.security) == to_text(row.security));
  CHECK(answer.records.empty() == (row.status != Status::records));
  CHECK(answer.why.empty() == (row.status != Status::failed));
}

}  // namespace

TEST_CASE("DNS-01, DNS-07: every answer and every denial is secure, insecure or an error, and says which") {
  World world;
  const Row rows[] = {
      {"secure", Type::mx, Status::records, Security::secure, "signed"},
      {"mx.secure", Type::a, Status::records, Security::secure, "signed"},
      {"mx.secure", Type::aaaa, Status::records, Security::secure, "signed"},
      {"_25._tcp.mx.secure", Type::tlsa, Status::records, Security::secure, "signed"},
      {"text.secure", Type::txt, Status::records, Security::secure, "signed"},
      {"alias.secure", Type::cname, Status::records, Security::secure, "the CNAME itself"},
      {"mx.secure", Type::cname, Status::no_data, Security::secure, "NODATA proven by NSEC"},
      {"mx.secure", Type::tlsa, Status::no_data, Security::secure, "NODATA proven by NSEC"},
      {"_25._tcp.nobody.secure", Type::tlsa, Status::no_name, Security::secure, "NXDOMAIN proven by NSEC"},
      {"plain", Type::mx, Status::records, Security::insecure, "a delegation without DS"},
      {"_25._tcp.mx.plain", Type::tlsa, Status::records, Security::insecure, "unsigned TLSA"},
      {"mx.plain", Type::tlsa, Status::no_data, Security::insecure, "unsigned NODATA"},
      {"_25._tcp.nobody.plain", Type::tlsa, Status::no_name, Security::insecure, "unsigned NXDOMAIN"},
      {"broken.secure", Type::a, Status::failed, Security::bogus, "data changed after signing"},
      {"_25._tcp.broken.secure", Type::tlsa, Status::failed, Security::bogus, "data changed after signing"},
      {"expired", Type::mx, Status::failed, Security::bogus, "signatures from 2020"},
      {"nobody.expired", Type::mx, Status::failed, Security::bogus, "a bogus NXDOMAIN (MX-03)"},
      {"otherds", Type::mx, Status::failed, Security::bogus, "the DS names a key that the zone does not have"},
      {"stripped", Type::mx, Status::failed, Security::bogus, "a DS, but no signatures"},
  };
  for (const Row& row : rows) check(world, row);
}

TEST_CASE(
    "DNS-02: no trust anchor above a name is insecure; servers that are silent under a signed parent are an error") {
  World island(options_with("secure.key"));
  check(island, {"plain", Type::mx, Status::records, Security::insecure, "outside the only anchor, secure."});
  check(island, {"expired", Type::mx, Status::records, Security::insecure, "outside the only anchor, secure."});
  check(island, {"secure", Type::mx, Status::records, Security::secure, "under the anchor"});

  Options impatient = options_with("root.key");
  impatient.timeout = std::chrono::seconds(2);
  World world(impatient);
  const auto dark = world.ask("dark", Type::mx);
  CHECK(dark.failed());
  CHECK(dark.records.empty());
}

TEST_CASE("DNS-04: the zone of the trust anchor must come back secure, else validation_failure says why") {
  SUBCASE("it does, for the root's anchor") {
    World world;
    world.ask("mx.secure", Type::a);
    CHECK_FALSE(world.unbound->validation_failure());
  }
  SUBCASE("it does, for another zone's anchor") {
    World world(options_with("secure.key"));
    world.ask("mx.secure", Type::a);
    CHECK_FALSE(world.unbound->validation_failure());
  }
  SUBCASE("a wrong anchor") {
    Options options = options_with("root.key");
    options.trust_anchor = nsd().write("wrong.key", ". IN DS 1 13 2 " + std::string(64, 'a') + "\n");
    World world(options);
    CHECK(world.ask("mx.secure", Type::a).failed());
    REQUIRE(world.unbound->validation_failure());
    CHECK(world.unbound->validation_failure()->find("validation does not work") != std::string::npos);
  }
  SUBCASE("no anchor in the file") {
    Options options = options_with("root.key");
    options.trust_anchor = nsd().write("empty.key", "; nothing here\n");
    World world(options);
    CHECK_FALSE(world.ask("mx.secure", Type::a).secure());
    CHECK(world.unbound->validation_failure());
  }
  SUBCASE("validation switched off by the operator's file") {
    Options options = options_with("root.key");
    options.unbound_conf =
        nsd().write("off.conf", "include: " + options.unbound_conf + "\nserver:\n  module-config: \"iterator\"\n");
    World world(options);
    CHECK_FALSE(world.ask("mx.secure", Type::a).secure());
    CHECK(world.unbound->validation_failure());
  }
}

TEST_CASE("DNS-04: what the operator's file loosens inside validation is held") {
  Options options = options_with("root.key");
  options.unbound_conf = nsd().write("loose.conf", "include: " + options.unbound_conf +
                                                       "\nserver:\n  val-permissive-mode: yes\n"
                                                       "  harden-dnssec-stripped: no\n");
  World world(options);
  check(world, {"broken.secure", Type::a, Status::failed, Security::bogus, "val-permissive-mode would let it pass"});
  options.trust_anchor = nsd().write("other.key", ". IN DS 1 13 2 " + std::string(64, 'b') + "\n");
  World misled(options);
  check(misled,
        {"mx.secure", Type::a, Status::failed, Security::bogus, "an anchor that proves nothing would not count"});
}

TEST_CASE("DNS-04: watch tells the first result and every change, after a reload at once") {
  World world;
  std::vector<std::optional<std::string>> told;
  boost::asio::co_spawn(world.loop.executor(),
                        world.unbound->watch([&told](const auto& failure) { told.push_back(failure); }),
                        [](std::exception_ptr) {});
  for (int i = 0; i < 1000 && told.empty(); ++i) world.loop.io().run_one_for(std::chrono::milliseconds(100));
  REQUIRE(told.size() == 1);
  CHECK_FALSE(told[0]);

  Options wrong = options_with("root.key");
  wrong.trust_anchor = nsd().write("wrong.key", ". IN DS 1 13 2 " + std::string(64, 'a') + "\n");
  REQUIRE(world.unbound->reload(wrong).has_value());
  for (int i = 0; i < 1000 && told.size() < 2; ++i) world.loop.io().run_one_for(std::chrono::milliseconds(100));
  REQUIRE(told.size() == 2);
  CHECK(told[1]);
  CHECK(world.unbound->validation_failure() == told[1]);
}

TEST_CASE("DNS-04: a reload during the first check takes nothing from the first result") {
  World world;
  std::vector<std::optional<std::string>> told;
  boost::asio::co_spawn(world.loop.executor(),
                        world.unbound->watch([&told](const auto& failure) { told.push_back(failure); }),
                        [](std::exception_ptr) {});
  REQUIRE(world.loop.io().run_one_for(std::chrono::seconds(1)) == 1);  // it asks, and waits
  REQUIRE(told.empty());
  REQUIRE(world.unbound->reload(options_with("root.key")).has_value());
  for (int i = 0; i < 1000 && told.empty(); ++i) world.loop.io().run_one_for(std::chrono::milliseconds(10));
  REQUIRE(told.size() == 1);
  CHECK_FALSE(told[0]);
}

TEST_CASE("DNS-01: test. is a name like any other, without a word of the operator's; a zone of his own there holds") {
  World world;
  check(world, {"test", Type::mx, Status::records, Security::secure, "a signed zone"});
  check(world, {"none.test", Type::mx, Status::no_name, Security::secure, "its own denial, not libunbound's"});
  Options own = options_with("root.key");
  own.unbound_conf =
      nsd().write("own.conf", "include: " + own.unbound_conf + "\nserver:\n  local-zone: \"test.\" static\n");
  World closed(own);
  CHECK_FALSE(closed.ask("test", Type::mx).secure());
}

TEST_CASE(
    "DNS-04: a trust anchor that changed under its name is taken up by itself, and told; a broken one is told once") {
  Options options = options_with("root.key");
  options.look = std::chrono::milliseconds(20);
  const std::string wrong = ". IN DS 1 13 2 " + std::string(64, 'a') + "\n";
  options.trust_anchor = nsd().write("rolled.key", wrong);
  World world(options);
  CHECK(world.ask("mx.secure", Type::a).failed());
  CHECK(world.unbound->is_current(options));
  std::vector<std::pair<std::string, bool>> told;
  boost::asio::co_spawn(world.loop.executor(),
                        world.unbound->watch_files([&](const std::string& files, const Result<>& done) {
                          told.emplace_back(files, done.has_value());
                        }),
                        [](std::exception_ptr) {});
  const auto wait_for = [&](std::size_t count) {
    world.loop.io().restart();  // the last look-up has stopped it
    for (int i = 0; i < 1000 && told.size() < count; ++i) world.loop.io().run_one_for(std::chrono::milliseconds(100));
    REQUIRE(told.size() == count);
  };
  std::ifstream right(nsd().file("root.key"));
  nsd().write("rolled.key", std::string(std::istreambuf_iterator<char>(right), {}));
  CHECK_FALSE(world.unbound->is_current(options));
  wait_for(1);
  CHECK(told[0] == std::pair(options.trust_anchor, true));
  CHECK(world.unbound->is_current(options));
  check(world, {"mx.secure", Type::a, Status::records, Security::secure, "under the new anchor"});

  nsd().write("rolled.key", ". IN DS hello\n");
  wait_for(2);
  CHECK(told[1] == std::pair(options.trust_anchor, false));
  for (int i = 0; i < 20; ++i) world.loop.io().run_one_for(std::chrono::milliseconds(50));
  CHECK(told.size() == 2);
  check(world, {"mx.secure", Type::aaaa, Status::records, Security::secure, "the last good anchor holds"});
}

TEST_CASE("a file that unbound_conf includes counts as changed, too") {
  Options options = options_with("root.key");
  const std::string inner = nsd().write("inner.conf", "server:\n  do-ip6: no\n");
  options.unbound_conf =
      nsd().write("outer.conf", "include: \"" + inner + "\"\ninclude: " + nsd().file("stubs.conf") + "\n");
  World world(options);
  CHECK(world.unbound->is_current(options));
  nsd().write("inner.conf", "server:\n  do-ip6: yes\n");
  CHECK_FALSE(world.unbound->is_current(options));
  REQUIRE(world.unbound->reload(options).has_value());
  CHECK(world.unbound->is_current(options));
}

TEST_CASE("a reload takes the new options; with bad ones everything stays") {
  World world;
  Options bad = options_with("root.key");
  bad.trust_anchor = nsd().file("nowhere.key");
  CHECK_FALSE(world.unbound->reload(bad).has_value());
  check(world, {"plain", Type::mx, Status::records, Security::insecure, "under the root's anchor still"});
  REQUIRE(world.unbound->reload(options_with("secure.key")).has_value());
  check(world, {"expired", Type::mx, Status::records, Security::insecure, "outside the new anchor"});
}

TEST_CASE("DNS-08: a denial that opt-out or too many NSEC3 iterations stand behind is insecure, never secure") {
  World world;
  check(world, {"_25._tcp.nobody.optout", Type::tlsa, Status::no_name, Security::insecure, "in an opt-out span"});
  check(world, {"optout", Type::mx, Status::records, Security::secure, "the zone itself is signed"});
  check(world, {"_25._tcp.nobody.iterations", Type::tlsa, Status::no_name, Security::insecure, "400 iterations"});
}

TEST_CASE("DNS-09: a zone signed only with unknown algorithms or digests is insecure, not bogus") {
  World world;
  check(world, {"algorithm", Type::mx, Status::records, Security::insecure, "DS algorithm 200"});
  check(world, {"digest", Type::mx, Status::records, Security::insecure, "DS digest type 200"});
}

TEST_CASE("DNS-10: an alias chain is as good as its worst link") {
  World world;
  check(world, {"alias.secure", Type::a, Status::records, Security::secure, "both links signed"});
  check(world, {"leaves.secure", Type::a, Status::records, Security::insecure, "the second link is unsigned"});
  check(world, {"there.secure", Type::a, Status::records, Security::insecure, "secure, insecure, secure"});
  check(world, {"tobroken.secure", Type::a, Status::failed, Security::bogus, "the second link is bogus"});
  check(world, {"plaintobroken.secure", Type::a, Status::failed, Security::bogus, "the third link is bogus"});

  const auto there = world.ask("there.secure", Type::a);
  CHECK(there.aliased());
  CHECK(there.canonical.text() == "mx.secure");
  CHECK(world.ask("alias.secure", Type::tlsa).canonical.text() == "mx.secure");  // a denial has its chain, too
}

TEST_CASE("PTR records, also those of a network smaller than 256 addresses, whose place no host name has (RFC 2317)") {
  World world;
  for (const char* address : {"7.rev.secure", "8.rev.secure", "9.rev.secure"}) {
    CAPTURE(std::string(address));
    const auto answer = world.ask(address, Type::ptr);
    CAPTURE(answer.why);  // of the alias, perhaps
    CHECK(to_text(answer.status) == to_text(Status::records));
    CHECK(to_text(answer.security) == to_text(Security::secure));
    const auto names = answer.all<dns::Name>();
    REQUIRE(names.size() == 1);
    CHECK(names[0].text() == "mx.secure");
  }
  check(world, {"10.rev.secure", Type::ptr, Status::no_name, Security::secure, "NXDOMAIN proven by NSEC"});
}

TEST_CASE("DNS-11: the first alias of an insecure chain can be asked for itself") {
  World world;
  CHECK_FALSE(world.ask("leaves.secure", Type::a).secure());
  const auto alias = world.ask("leaves.secure", Type::cname);
  CHECK(alias.secure());
  REQUIRE(alias.all<dns::Name>().size() == 1);
  CHECK(alias.all<dns::Name>()[0].text() == "mx.plain");
  CHECK_FALSE(alias.aliased());
}

TEST_CASE("DNS-12: a DNAME leads through its unsigned CNAME, and the chain is secure") {
  World world;
  const auto address = world.ask("mx.old.secure", Type::a);
  CHECK(address.secure());
  CHECK(address.canonical.text() == "mx.new.secure");
  const auto tlsa = world.ask("_25._tcp.mx.old.secure", Type::tlsa);
  CHECK(tlsa.secure());
  CHECK(tlsa.canonical.text() == "_25._tcp.mx.new.secure");
}

TEST_CASE("DNS-13: longer alias chains than 12 links and loops end in an error, in bounded time") {
  World world;
  check(world, {"l2.secure", Type::a, Status::records, Security::secure, "11 links, as many as libunbound follows"});
  const auto start = std::chrono::steady_clock::now();
  const auto longer = world.ask("l0.secure", Type::a);
  CHECK(longer.failed());
  CHECK(longer.records.empty());
  CHECK(world.ask("loop1.secure", Type::a).failed());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

TEST_CASE("DNS-05, DNS-06: an answer of 3 KB is read whole, over TCP where UDP cuts it") {
  World world;
  const auto answer = world.ask("_25._tcp.many.secure", Type::tlsa);
  CHECK(answer.secure());
  CHECK(answer.all<dns::Tlsa>().size() == 80);
}

TEST_CASE("DANE-11: a TLSA record of a digest cut short stays a record") {
  World world;
  const auto answer = world.ask("_25._tcp.short.secure", Type::tlsa);
  CHECK(answer.secure());
  REQUIRE(answer.all<dns::Tlsa>().size() == 1);
  CHECK(answer.all<dns::Tlsa>()[0].data.size() == 1);
}

TEST_CASE("DNS-14: the TTL handed out is what is left of it") {
  World world;
  const auto first = world.ask("brief.secure", Type::a);
  CHECK(first.ttl <= std::chrono::seconds(2));
  CHECK(first.ttl >= std::chrono::seconds(1));
  boost::asio::steady_timer pause(world.loop.executor(), std::chrono::milliseconds(1100));
  world.loop.run(pause.async_wait(boost::asio::use_awaitable));
  CHECK(world.ask("brief.secure", Type::a).ttl <= std::chrono::seconds(1));
}

TEST_CASE("the strings of a TXT record are joined without a separator") {
  World world;
  const auto answer = world.ask("text.secure", Type::txt);
  REQUIRE(answer.all<std::string>().size() == 1);
  CHECK(answer.all<std::string>()[0] == "v=STSv1; id=1;");
}

}  // namespace hoplock::resolver::resolver_validation_test
