// SPDX-License-Identifier: Apache-2.0
// The resolver against a name server that fails, is silent or lies; and how look-ups share, wait and stop.
#include <doctest/doctest.h>

#include <boost/asio.hpp>
#include <cstdlib>
#include <fstream>

#include "resolver/unbound.h"
#include "tests/support/dns_liar.h"
#include "tests/support/loop.h"
#include "tests/support/nsd.h"

namespace hoplock::resolver::resolver_liar_test {

namespace asio = boost::asio;
using dns::Status;
using dns::Type;
using support::DnsLiar;
using support::DnsQuery;
using support::DnsReply;

namespace {

constexpr std::uint16_t type_a = 1;
constexpr std::uint16_t type_mx = 15;
const std::string address("\xC0\x00\x02\x01", 4);

// The whole DNS tree is the liar's, reached as a forwarder. There is no anchor, so nothing is validated.
struct World {
  explicit World(DnsLiar::Behave behave, std::chrono::milliseconds timeout = std::chrono::seconds(10))
      : liar(loop.io(), std::move(behave)) {
    Options options;
    options.trust_anchor.clear();
    options.root_hints.clear();
    options.forward = {Forwarder{Ip::parse("127.0.0.1").value(), liar.port()}};
    options.timeout = timeout;
    unbound = Unbound::open(loop.executor(), options).value();
  }
  dns::Answer ask(const std::string& name, Type type) {
    return loop.run(unbound->find(dns::Name::parse(name).value(), type));
  }
  support::Loop loop;
  DnsLiar liar;
  std::unique_ptr<Unbound> unbound;
};

std::optional<DnsReply> with_address(const DnsQuery& query) {
  DnsReply reply;
  if (query.type == type_a) reply.answers = {address};
  return reply;
}

}  // namespace

TEST_CASE(
    "DNS-06: any rcode but NOERROR and NXDOMAIN, silence, truncation without TCP and garbage are failed look-ups") {
  struct Row {
    const char* what;
    std::optional<DnsReply> reply;
  };
  DnsReply servfail, refused, notimp, formerr, odd, truncated, garbage, with_data;
  servfail.rcode = 2;
  refused.rcode = 5;
  notimp.rcode = 4;
  formerr.rcode = 1;
  odd.rcode = 9;
  truncated.truncated = true;
  garbage.raw = std::string("\x84\x00\x00\x01\x00\x07garbage", 13);
  with_data.rcode = 2;
  with_data.answers = {address};
  const Row rows[] = {
      {"SERVFAIL", servfail},   {"REFUSED", refused},     {"NOTIMP", notimp},   {"FORMERR", formerr},
      {"NOTAUTH", odd},         {"truncated", truncated}, {"garbage", garbage}, {"SERVFAIL with data", with_data},
      {"silence", std::nullopt}};
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    World world([&row](const DnsQuery& query) { return query.name.is_root() ? DnsReply{} : row.reply; },
                std::chrono::milliseconds(1500));
    const auto answer = world.ask("host.example", Type::a);
    CHECK(answer.failed());
    CHECK(answer.records.empty());
    CHECK_FALSE(answer.why.empty());
    CHECK(answer.security == dns::Security::insecure);
  }
}

TEST_CASE("DNS-06: a look-up ends at its deadline and says so") {
  World world([](const DnsQuery& query) { return query.name.is_root() ? std::optional(DnsReply{}) : std::nullopt; },
              std::chrono::milliseconds(1200));
  const auto start = std::chrono::steady_clock::now();
  const auto answer = world.ask("host.example", Type::a);
  CHECK(answer.why == "timed out after 1200ms");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
}

TEST_CASE("DNS-07: a record that does not parse is never an empty answer") {
  World world([](const DnsQuery& query) -> std::optional<DnsReply> {
    DnsReply reply;
    if (query.type == type_mx) {
      const std::string good("\0\x0A\2mx\7example\0", 14), bad("\0\x0A\3m x\7example\0", 15);
      reply.answers = query.name.text() == "some.example" ? std::vector{good, bad} : std::vector{bad};
    }
    return reply;
  });
  const auto some = world.ask("some.example", Type::mx);
  REQUIRE(some.all<dns::Mx>().size() == 1);
  CHECK(some.all<dns::Mx>()[0].exchange.text() == "mx.example");
  CHECK(some.why.find("left out") != std::string::npos);
  CHECK(world.ask("none.example", Type::mx).failed());
}

TEST_CASE("DNS-05: queries carry EDNS0 with DO, ask for recursion from a forwarder, and leave CD clear") {
  World world(with_address);
  world.ask("host.example", Type::a);
  REQUIRE(world.liar.count("host.example", type_a) == 1);
  for (const DnsQuery& query : world.liar.asked()) {
    if (query.name.text() != "host.example") continue;
    CHECK(query.dnssec_ok());
    CHECK(query.recursion_desired());
    CHECK_FALSE(query.checking_disabled());
  }
}

TEST_CASE("DNS-03: a forwarder's AD bit is not believed: forged data of a signed zone is bogus") {
  support::Loop loop;
  DnsLiar liar(loop.io(), [](const DnsQuery& query) {
    auto reply = with_address(query);
    reply->authentic = true;
    return reply;
  });
  const support::Nsd nsd;
  Options options;
  options.trust_anchor = nsd.file("root.key");
  options.root_hints.clear();
  options.forward = {Forwarder{Ip::parse("127.0.0.1").value(), liar.port()}};
  auto unbound = Unbound::open(loop.executor(), options).value();
  const auto answer = loop.run(unbound->find(dns::Name::parse("mx.secure").value(), Type::a));
  CHECK(answer.failed());
  CHECK(answer.security == dns::Security::bogus);
  CHECK(unbound->validation_failure());
}

TEST_CASE("DNS-03, DNS-15: names are asked as they are, once, without a search list") {
  setenv("LOCALDOMAIN", "evil.example", 1);
  World world(with_address);
  world.ask("mail", Type::a);
  unsetenv("LOCALDOMAIN");
  CHECK(world.liar.count("mail", type_a) == 1);
  for (const DnsQuery& query : world.liar.asked()) CHECK((query.name.is_root() || query.name.text() == "mail"));
}

TEST_CASE("DNS-14: an answer is asked again when its TTL is over") {
  int version = 0;
  World world([&version](const DnsQuery& query) {
    auto reply = with_address(query);
    if (query.type == type_a) reply->answers = {std::string("\xC0\x00\x02", 3) + static_cast<char>(++version)};
    reply->ttl = 1;
    return reply;
  });
  CHECK(world.ask("host.example", Type::a).all<Ip>().at(0).text() == "192.0.2.1");
  CHECK(world.ask("host.example", Type::a).all<Ip>().at(0).text() == "192.0.2.1");
  asio::steady_timer pause(world.loop.executor(), std::chrono::milliseconds(2100));
  world.loop.run(pause.async_wait(asio::use_awaitable));
  CHECK(world.ask("host.example", Type::a).all<Ip>().at(0).text() == "192.0.2.2");
}

TEST_CASE("DNS-14: a server that comes back is asked again within seconds") {
  bool up = false;
  World world([&up](const DnsQuery& query) { return query.name.is_root() || up ? with_address(query) : std::nullopt; },
              std::chrono::seconds(3));
  CHECK(world.ask("host.example", Type::a).failed());
  CHECK(world.ask("other.example", Type::a).failed());
  up = true;
  dns::Answer answer;
  for (int i = 0; i < 8 && !answer.records.size(); ++i) answer = world.ask("host.example", Type::a);
  CHECK(answer.status == Status::records);
}

TEST_CASE("many who ask the same at once share one query") {
  World world([](const DnsQuery& query) {
    auto reply = with_address(query);
    reply->delay = std::chrono::milliseconds(query.name.is_root() ? 0 : 100);
    return reply;
  });
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    asio::co_spawn(world.loop.executor(), world.unbound->find(dns::Name::parse("host.example").value(), Type::a),
                   [&answered](std::exception_ptr, const dns::Answer& answer) {
                     answered += answer.status == Status::records ? 1 : 0;
                   });
  }
  for (int i = 0; i < 1000 && answered < 50; ++i) world.loop.io().run_one_for(std::chrono::milliseconds(100));
  CHECK(answered == 50);
  CHECK(world.liar.count("host.example", type_a) == 1);
}

TEST_CASE("300 different look-ups go out side by side") {
  World world([](const DnsQuery& query) {
    auto reply = with_address(query);
    reply->delay = std::chrono::milliseconds(query.name.is_root() ? 0 : 300);
    return reply;
  });
  world.ask(".", Type::soa);
  int answered = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 300; ++i) {
    const auto name = dns::Name::parse("host" + std::to_string(i) + ".example").value();
    asio::co_spawn(world.loop.executor(), world.unbound->find(name, Type::a),
                   [&answered](std::exception_ptr, const dns::Answer& answer) {
                     answered += answer.status == Status::records ? 1 : 0;
                   });
  }
  for (int i = 0; i < 5000 && answered < 300; ++i) world.loop.io().run_one_for(std::chrono::milliseconds(100));
  CHECK(answered == 300);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(4));
}

TEST_CASE("a look-up can be cancelled while others go on waiting for the same answer") {
  World world([](const DnsQuery& query) {
    auto reply = with_address(query);
    reply->delay = std::chrono::milliseconds(query.name.is_root() ? 0 : 200);
    return reply;
  });
  const auto name = dns::Name::parse("host.example").value();
  world.ask(".", Type::soa);
  asio::cancellation_signal signal;
  std::optional<bool> cancelled_failed;
  std::optional<bool> other_failed;
  asio::co_spawn(world.loop.executor(), world.unbound->find(name, Type::a),
                 asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr error, const dns::Answer& answer) {
                   cancelled_failed = error != nullptr || answer.failed();
                 }));
  asio::co_spawn(world.loop.executor(), world.unbound->find(name, Type::a),
                 [&](std::exception_ptr, const dns::Answer& answer) { other_failed = answer.failed(); });
  world.loop.io().run_for(std::chrono::milliseconds(50));
  signal.emit(asio::cancellation_type::terminal);
  for (int i = 0; i < 100 && !other_failed; ++i) world.loop.io().run_one_for(std::chrono::milliseconds(100));
  CHECK(cancelled_failed == true);
  CHECK(other_failed == false);
}

TEST_CASE("look-ups that wait end as failed when the resolver goes") {
  World world([](const DnsQuery& query) { return query.name.is_root() ? std::optional(DnsReply{}) : std::nullopt; });
  world.ask(".", Type::soa);
  std::optional<dns::Answer> answer;
  asio::co_spawn(world.loop.executor(), world.unbound->find(dns::Name::parse("host.example").value(), Type::a),
                 [&answer](std::exception_ptr, dns::Answer got) { answer = std::move(got); });
  world.loop.io().run_for(std::chrono::milliseconds(50));
  CHECK_FALSE(answer);
  world.unbound.reset();
  world.loop.io().run_for(std::chrono::milliseconds(50));
  REQUIRE(answer);
  CHECK(answer->failed());
  CHECK(answer->why == "the resolver was stopped");
}

}  // namespace hoplock::resolver::resolver_liar_test
