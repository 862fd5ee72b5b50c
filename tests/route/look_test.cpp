// SPDX-License-Identifier: Apache-2.0
// From a host to its addresses and TLSA: RFC 7672 sections 2.1.2, 2.1.3, 2.2.2, 2.2.3.
#include "tests/route/world.h"

namespace hoplock::route::route_look_test {

namespace {
const std::string plain_host = "example.org MX 10 mx.example\nmx.example A 192.0.2.1\n";
}

TEST_CASE("DANE-02: a failed address look-up costs that host or family, never the domain (PEERS 3)") {
  World world("example.org MX 10 a.example\nexample.org MX 20 b.example\na.example A 192.0.2.1\nb.example A 192.0.2.2");
  world.dns.bogus["a.example A"] = "signature expired";
  const auto hosts = world.hosts("example.org").hosts;
  const auto bad = world.look(hosts[0]);
  CHECK(bad.addresses.empty());
  CHECK(bad.address_failure == hop::Reason::dnssec_invalid);
  CHECK(bad.why_no_address.find("signature expired") != std::string::npos);
  CHECK(bad.tlsa.state == State::not_asked);
  CHECK(joined(world.look(hosts[1]).addresses) == "192.0.2.2");
}

TEST_CASE("DNS-16: A and AAAA are judged separately (PEERS 3)") {
  struct Row {
    const char* zone;
    std::vector<std::string> bogus, fail;
    const char* addresses;
    std::optional<hop::Reason> failure;
    State tlsa;
    const char* why;
  };
  using hop::Reason;
  const std::string both = plain_host + "mx.example AAAA 2001:db8::1\n_25._tcp.mx.example TLSA 3 1 1 aa\n";
  const std::string only4 = plain_host + "_25._tcp.mx.example TLSA 3 1 1 aa\n";
  const Row rows[] = {
      {both.c_str(), {}, {}, "192.0.2.1 2001:db8::1", {}, State::present, "both secure"},
      {both.c_str(), {"mx.example AAAA"}, {}, "192.0.2.1", {}, State::present, "AAAA bogus: IPv4 with DANE"},
      {both.c_str(), {}, {"mx.example AAAA"}, "192.0.2.1", {}, State::present, "AAAA SERVFAIL: IPv4 with DANE"},
      {both.c_str(), {}, {"mx.example A"}, "2001:db8::1", {}, State::present, "A SERVFAIL: IPv6 with DANE"},
      {only4.c_str(), {}, {"mx.example A"}, "", Reason::dns_failure, State::not_asked, "A fails, no AAAA: skipped"},
      {both.c_str(),
       {"mx.example AAAA"},
       {"mx.example A"},
       "",
       Reason::dnssec_invalid,
       State::not_asked,
       "bogus says more"},
      {both.c_str(),
       {"mx.example A"},
       {"mx.example AAAA"},
       "",
       Reason::dnssec_invalid,
       State::not_asked,
       "in any order"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.why));
    World world(row.zone);
    world.dns.secure = {"example", "example.org"};
    for (const auto& question : row.bogus) world.dns.bogus[question] = "bogus";
    for (const auto& question : row.fail) world.dns.fail[question] = "SERVFAIL";
    const auto facts = world.first("example.org");
    CHECK(joined(facts.addresses) == row.addresses);
    CHECK(facts.address_failure == row.failure);
    CHECK(facts.tlsa.state == row.tlsa);
  }
}

TEST_CASE("MX-28: whatever DNS says of a configured host, and were it this relay itself, is never for good") {
  struct Row {
    const char* zone;
    const char* bogus;
    const char* fail;
    hop::Reason failure;
    const char* words;
  };
  using hop::Reason;
  const Row rows[] = {
      {"", "", "", Reason::dns_failure,
       "does not exist; a name of an inner DNS needs dns.forward, or a stub zone in dns.unbound_conf"},
      {"exch01.contoso.local TXT x", "", "", Reason::dns_failure, "has no address; a name of an inner DNS"},
      {"exch01.contoso.local A 192.0.2.1", "exch01.contoso.local A", "", Reason::dnssec_invalid, "failed: bogus"},
      {"exch01.contoso.local A 192.0.2.1", "", "exch01.contoso.local A", Reason::dns_failure, "failed: SERVFAIL"},
      {"exch01.contoso.local A 192.0.2.9", "", "", Reason::connect_refused, "192.0.2.9 is this relay itself"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.words);
    Options options;
    options.own_addresses = {{Ip::parse("192.0.2.9").value(), 25}};
    World world(row.zone, options);
    if (*row.bogus != '\0') world.dns.bogus[row.bogus] = "bogus";
    if (*row.fail != '\0') world.dns.fail[row.fail] = "SERVFAIL";
    Host host;
    host.origin = Host::Origin::route_name;
    host.name = name("exch01.contoso.local");
    host.tlsa = Host::Tlsa::skip;
    const auto facts = world.look(host);
    CHECK(facts.addresses.empty());
    CHECK(facts.address_failure == row.failure);
    CHECK_MESSAGE(facts.why_no_address.find(row.words) != std::string::npos, facts.why_no_address);
    Host literal;
    literal.origin = Host::Origin::literal;
    literal.literal = Ip::parse("192.0.2.9").value();
    CHECK(world.look(literal).address_failure == Reason::connect_refused);
  }
}

TEST_CASE(
    "a host without an address of the only family that is wanted is not without any: the setting is named, and mail "
    "waits") {
  Options options;
  options.address_family = AddressFamily::ipv6;
  World world("example.org MX 10 mx.example\nmx.example A 192.0.2.1\ngone.example MX 10 nobody.example", options);
  const auto facts = world.first("example.org");
  CHECK(facts.address_failure == hop::Reason::dns_failure);
  CHECK(facts.why_no_address == "it has no IPv6 address, and delivery.address_family asks for no other");
  CHECK_FALSE(world.first("gone.example").address_failure);  // there is no such name at all
}

TEST_CASE("DNS-16: only families that are wanted are asked for") {
  for (const auto family : {AddressFamily::ipv4, AddressFamily::ipv6}) {
    Options options;
    options.address_family = family;
    World world(plain_host + "mx.example AAAA 2001:db8::1", options);
    CHECK(joined(world.first("example.org").addresses) ==
          (family == AddressFamily::ipv4 ? "192.0.2.1" : "2001:db8::1"));
    CHECK(world.dns.asked_of("mx.example A") == (family == AddressFamily::ipv4));
    CHECK(world.dns.asked_of("mx.example AAAA") == (family == AddressFamily::ipv6));
  }
}

TEST_CASE("DANE-03: no TLSA query for a host whose addresses are insecure; it stays usable (PEERS 2)") {
  World world(plain_host);
  world.dns.secure = {"example.org"};
  world.dns.fail["_25._tcp.mx.example TLSA"] = "a name server that drops what it does not know";
  const auto facts = world.first("example.org");
  CHECK(joined(facts.addresses) == "192.0.2.1");
  CHECK(facts.tlsa.state == State::not_asked);
  CHECK_FALSE(world.dns.asked_of("TLSA"));
}

TEST_CASE("DANE-04: under an insecure MX a host in a signed zone is still asked for TLSA") {
  World world(plain_host + "_25._tcp.mx.example TLSA 3 1 1 aa");
  world.dns.secure = {"example"};
  CHECK(world.hosts("example.org").domain.mx_security == dns::Security::insecure);
  CHECK(world.first("example.org").tlsa.state == State::present);
}

TEST_CASE("DANE-06: a failed TLSA look-up is failed, never absent (PEERS 1)") {
  for (const char* how : {"bogus", "SERVFAIL", "timed out after 20s", "malformed record"}) {
    CAPTURE(std::string(how));
    World world(plain_host + "_25._tcp.mx.example TLSA 3 1 1 aa");
    world.dns.secure = {"example"};
    (std::string(how) == "bogus" ? world.dns.bogus : world.dns.fail)["_25._tcp.mx.example TLSA"] = how;
    const auto facts = world.first("example.org");
    CHECK(facts.tlsa.state == State::failed);
    CHECK(facts.tlsa.why == how);
    CHECK(facts.tlsa.base.text() == "mx.example");
    CHECK(facts.tlsa.records.empty());
  }
}

TEST_CASE("DANE-08: a secure denial of TLSA and an insecure TLSA answer both mean that there is none") {
  World denied(plain_host);
  denied.dns.secure = {"example"};
  CHECK(denied.first("example.org").tlsa.state == State::absent);
  CHECK(denied.first("example.org").tlsa.base.text() == "mx.example");
  World unsigned_tlsa(plain_host + "_25._tcp.mx.example TLSA 3 1 1 aa");
  unsigned_tlsa.dns.secure = {"example"};
  unsigned_tlsa.dns.insecure = {"_tcp.mx.example"};
  CHECK(unsigned_tlsa.first("example.org").tlsa.state == State::absent);
}

TEST_CASE("DANE-23: names in the middle of an alias chain are no candidates") {
  World world(
      "example.org MX 10 a.example\na.example CNAME b.example\nb.example CNAME c.example\nc.example A 192.0.2.1\n"
      "_25._tcp.b.example TLSA 3 1 1 bb");
  world.dns.secure = {"example"};
  CHECK(world.first("example.org").tlsa.state == State::absent);
  CHECK(world.dns.count("_25._tcp.b.example TLSA") == 0);
}

TEST_CASE("DANE-26, DANE-27: the expanded name is tried first, then the initial one (PEERS 6)") {
  World world(
      "example.org MX 10 a.example\na.example CNAME b.example\nb.example A 192.0.2.1\n"
      "_25._tcp.a.example TLSA 3 1 1 aa\n_25._tcp.b.example TLSA 3 1 1 bb");
  world.dns.secure = {"example"};
  auto facts = world.first("example.org");
  CHECK(facts.tlsa.base.text() == "b.example");
  REQUIRE(facts.tlsa.records.size() == 1);
  CHECK(facts.tlsa.records[0].text() == "3 1 1 bb");
  CHECK(world.dns.count("_25._tcp.a.example TLSA") == 0);

  World initial(
      "example.org MX 10 a.example\na.example CNAME b.example\nb.example A 192.0.2.1\n"
      "_25._tcp.a.example TLSA 3 1 1 aa");
  initial.dns.secure = {"example"};
  facts = initial.first("example.org");
  CHECK(facts.tlsa.state == State::present);
  CHECK(facts.tlsa.base.text() == "a.example");
}

TEST_CASE("DANE-28, DNS-11: a signed alias into an unsigned zone still binds at its own name (PEERS 5)") {
  World world(
      "example.org MX 10 mx.signed.example\nmx.signed.example CNAME x.plain.example\nx.plain.example A 192.0.2.1\n"
      "_25._tcp.mx.signed.example TLSA 3 1 1 aa\n_25._tcp.x.plain.example TLSA 3 1 1 bb");
  world.dns.secure = {"signed.example"};
  auto facts = world.first("example.org");
  CHECK(world.dns.count("mx.signed.example CNAME") == 1);
  CHECK(facts.tlsa.state == State::present);
  CHECK(facts.tlsa.base.text() == "mx.signed.example");
  CHECK(world.dns.count("_25._tcp.x.plain.example TLSA") == 0);

  World other(
      "example.org MX 10 mx.plain.example\nmx.plain.example CNAME x.signed.example\nx.signed.example A 192.0.2.1\n"
      "_25._tcp.x.signed.example TLSA 3 1 1 bb");
  other.dns.secure = {"signed.example"};
  facts = other.first("example.org");
  CHECK(facts.tlsa.state == State::not_asked);
  CHECK_FALSE(other.dns.asked_of("TLSA"));
}

TEST_CASE("DANE-06: an alias whose own look-up fails makes the host unreachable, not opportunistic") {
  // The fake follows the alias for A; the question for the CNAME itself times out.
  struct Half final : resolver::Resolver {
    explicit Half(support::FakeResolver& from) : all(from) {}
    boost::asio::awaitable<dns::Answer> find(dns::Name question, dns::Type type) override {
      auto answer = co_await all.find(question, type);
      if (type == dns::Type::cname) {
        answer.status = dns::Status::failed;
        answer.why = "timed out after 20s";
      }
      co_return answer;
    }
    std::optional<std::string> validation_failure() const override { return std::nullopt; }
    support::FakeResolver& all;
  };
  support::Loop loop;
  support::FakeResolver dns("mx.signed.example CNAME x.plain.example\nx.plain.example A 192.0.2.1");
  dns.secure = {"signed.example"};
  Half half(dns);
  Router router({half}, Options{}, std::mt19937_64{1});
  Host host;
  host.name = name("mx.signed.example");
  const auto facts = loop.run(router.look(host));
  CHECK(facts.tlsa.state == State::failed);
  CHECK(facts.tlsa.why.find("timed out") != std::string::npos);
}

TEST_CASE("DANE-29: an error at the first candidate never falls through to the second (PEERS 6)") {
  World world(
      "example.org MX 10 a.example\na.example CNAME b.example\nb.example A 192.0.2.1\n"
      "_25._tcp.a.example TLSA 3 1 1 aa");
  world.dns.secure = {"example"};
  world.dns.fail["_25._tcp.b.example TLSA"] = "SERVFAIL";
  const auto facts = world.first("example.org");
  CHECK(facts.tlsa.state == State::failed);
  CHECK(facts.tlsa.base.text() == "b.example");
  CHECK(world.dns.count("_25._tcp.a.example TLSA") == 0);
}

TEST_CASE(
    "DANE-30: an alias at the TLSA name is followed without changing the base; an insecure link means none here") {
  const std::string zone =
      plain_host + "_25._tcp.mx.example CNAME tlsa._dane.ca.example\ntlsa._dane.ca.example TLSA 2 1 1 cc\n";
  World world(zone);
  world.dns.secure = {"example"};
  const auto facts = world.first("example.org");
  CHECK(facts.tlsa.state == State::present);
  CHECK(facts.tlsa.base.text() == "mx.example");
  World insecure_target(zone);
  insecure_target.dns.secure = {"example"};
  insecure_target.dns.insecure = {"ca.example"};
  CHECK(insecure_target.first("example.org").tlsa.state == State::absent);
  World broken_target(zone);
  broken_target.dns.secure = {"example"};
  broken_target.dns.bogus["tlsa._dane.ca.example TLSA"] = "bogus";
  CHECK(broken_target.first("example.org").tlsa.state == State::failed);
}

TEST_CASE("DANE-31: TLSA stands under the real port, once for all addresses of the host") {
  Options options;
  options.port = 587;
  World world(
      plain_host + "mx.example A 192.0.2.2\n_587._tcp.mx.example TLSA 3 1 1 aa\n_25._tcp.mx.example TLSA 3 1 1 bb",
      options);
  world.dns.secure = {"example"};
  const auto facts = world.first("example.org");
  CHECK(facts.port == 587);
  CHECK(facts.addresses.size() == 2);
  REQUIRE(facts.tlsa.records.size() == 1);
  CHECK(facts.tlsa.records[0].text() == "3 1 1 aa");
}

TEST_CASE("DANE-34: TLSA at a host does not move it before one of better preference") {
  World world(
      "example.org MX 20 b.example\nexample.org MX 10 a.example\na.example A 192.0.2.1\nb.example A 192.0.2.2\n"
      "_25._tcp.b.example TLSA 3 1 1 aa");
  world.dns.secure = {"example", "example.org"};
  for (int i = 0; i < 20; ++i) {
    CHECK(world.order("example.org") == "a.example b.example");
    for (const Host& host : world.hosts("example.org").hosts) world.look(host);
  }
}

TEST_CASE("DANE-02: one MX name that does not exist costs only that host (PEERS 4)") {
  World world("example.org MX 10 gone.example\nexample.org MX 20 mx.example\nmx.example A 192.0.2.1");
  const auto hosts = world.hosts("example.org").hosts;
  REQUIRE(hosts.size() == 2);
  const auto gone = world.look(hosts[0]);
  CHECK(gone.addresses.empty());
  CHECK_FALSE(gone.address_failure);
  CHECK(joined(world.look(hosts[1]).addresses) == "192.0.2.1");
}

TEST_CASE("DNS-04: a rule that asks for TLSA is not judged while our own validation does not work") {
  World world(plain_host);
  const auto host = world.hosts("example.org").hosts.front();
  world.dns.broken_validation = "our own DNSSEC validation does not work";
  const auto facts = world.look(host);
  CHECK(facts.addresses.empty());
  CHECK(facts.address_failure == hop::Reason::dns_failure);
  CHECK(facts.why_no_address == "our own DNSSEC validation does not work");
  Host careless = host;
  careless.tlsa = Host::Tlsa::skip;
  CHECK(world.look(careless).addresses.size() == 1);
}

}  // namespace hoplock::route::route_look_test
