// SPDX-License-Identifier: Apache-2.0
// The rule for mail that carries a TLS report.
#include <doctest/doctest.h>

#include "hop/plan.h"

namespace hop_report_test {

using namespace hoplock;
using namespace hoplock::hop;
using Origin = HostFacts::Origin;

TEST_CASE("RPT-38: for a report no policy is enforced; what the operator demands of his own next hop stands") {
  struct Row {
    std::optional<RouteTls> tls;
    Origin origin;
    std::optional<RouteTls> becomes;
    const char* why;
  };
  const Row rows[] = {
      {std::nullopt, Origin::mx, std::nullopt, "security, all of it off"},
      {RouteTls::none, Origin::mx, RouteTls::none, "never TLS is no demand"},
      {RouteTls::encrypt, Origin::mx, RouteTls::opportunistic, "the report tells of TLS that fails there"},
      {RouteTls::verify, Origin::implicit_mx, RouteTls::opportunistic, "likewise"},
      {RouteTls::dane_only, Origin::mx, RouteTls::opportunistic, "DANE is not enforced"},
      {RouteTls::dane_only, Origin::route_name, RouteTls::opportunistic, "DANE is not enforced"},
      {RouteTls::verify, Origin::route_name, RouteTls::verify, "the operator's own hop"},
      {RouteTls::encrypt, Origin::literal, RouteTls::encrypt, "the operator's own hop"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    LocalRule rule;
    rule.default_tls = DefaultTls::encrypt;
    rule.route_tls = row.tls;
    const LocalRule relaxed = for_report(rule, row.origin);
    CHECK(relaxed.route_tls == row.becomes);
    CHECK(relaxed.dane == Mode::off);
    CHECK(relaxed.mta_sts == Mode::off);
    CHECK(relaxed.default_tls == DefaultTls::opportunistic);
  }
}

TEST_CASE("RPT-38: data of a bogus answer is used for no report either") {
  Facts facts;
  facts.domain.domain = facts.domain.expanded = dns::Name::parse("example.org").value();
  facts.domain.mx_security = dns::Security::bogus;
  facts.host.name = dns::Name::parse("mx.example.org").value();
  facts.host.addresses = {Ip::parse("192.0.2.1").value()};
  const Plan plan = decide(facts, for_report(LocalRule{}, Origin::mx));
  REQUIRE(std::holds_alternative<Refuse>(plan));
  CHECK(std::get<Refuse>(plan).reason == Reason::dnssec_invalid);
}

}  // namespace hop_report_test
