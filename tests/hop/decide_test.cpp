// SPDX-License-Identifier: Apache-2.0
// The decision as a table: what DNS says × how the host was selected × what the operator demands → the plan. Every corner is in
// exactly one row, and the first test counts them.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/hop/corners.h"

namespace hop_decide_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
struct Row {
  std::vector<TlsaIs> tlsa;
  std::vector<HostIs> hosts;
  std::vector<Demand> demands;
  const char* plan;
  const char* why;
};

template <class T>
bool has(const std::vector<T>& set, T one) {
  return std::find(set.begin(), set.end(), one) != set.end();
}

const std::vector<TlsaIs> any_tlsa(all_tlsa.begin(), all_tlsa.end());
const std::vector<TlsaIs> no_tlsa{TlsaIs::not_asked, TlsaIs::absent};
const std::vector<TlsaIs> failed{TlsaIs::failed};
const std::vector<TlsaIs> unusable{TlsaIs::unusable};
const std::vector<TlsaIs> usable{TlsaIs::mixed, TlsaIs::usable};
const std::vector<HostIs> any_host(all_hosts.begin(), all_hosts.end());
const std::vector<HostIs> from_dns{HostIs::secure_mx, HostIs::insecure_mx, HostIs::implicit, HostIs::implicit_unsigned};
const std::vector<HostIs> unsigned_mx{HostIs::insecure_mx, HostIs::implicit_unsigned};
const std::vector<HostIs> securely{HostIs::secure_mx, HostIs::implicit, HostIs::routed};
const std::vector<HostIs> configured{HostIs::routed, HostIs::literal};
const std::vector<HostIs> routed{HostIs::routed};
const std::vector<HostIs> literal{HostIs::literal};
const std::vector<HostIs> named{HostIs::secure_mx, HostIs::insecure_mx, HostIs::implicit, HostIs::implicit_unsigned,
                                HostIs::routed};
const std::vector<Demand> enforced{Demand::enforce, Demand::enforce_encrypt};
const std::vector<Demand> left_out{Demand::enforce, Demand::enforce_encrypt, Demand::audit, Demand::audit_encrypt,
                                   Demand::off,     Demand::off_encrypt};
const std::vector<Demand> enforce{Demand::enforce};
const std::vector<Demand> enforce_encrypt{Demand::enforce_encrypt};
const std::vector<Demand> audit{Demand::audit};
const std::vector<Demand> audit_encrypt{Demand::audit_encrypt};
const std::vector<Demand> off{Demand::off};
const std::vector<Demand> off_encrypt{Demand::off_encrypt};
const std::vector<Demand> route_none{Demand::none};
const std::vector<Demand> route_opportunistic{Demand::opportunistic};
const std::vector<Demand> route_encrypt{Demand::encrypt};
const std::vector<Demand> route_verify{Demand::verify};
const std::vector<Demand> route_dane{Demand::dane};
const std::vector<Demand> route_dane_only{Demand::dane_only};

// clang-format off
const std::vector<Row> rows{
    // `security.dane: enforce`, hosts from DNS, whether the MX is signed or not (DANE-04): RFC 7672's decision table
    {failed,   from_dns, enforced,        "refuse dane dnssec-invalid",                           "DANE-06: never clear, no other policy"},
    {usable,   from_dns, enforced,        "dane must tlsa sni=base next-host",                    "DANE-09, DANE-13: TLS and a match"},
    {unusable, from_dns, enforced,        "dane must unusable sni=base next-host",                "DANE-10: TLS, any certificate"},
    {no_tlsa,  from_dns, enforce,         "opportunistic if-offered sni=host plaintext",          "DANE-03, DANE-08: not in use"},
    {no_tlsa,  from_dns, enforce_encrypt, "opportunistic must sni=host next-host",                "default_tls: encrypt"},
    // audit: the checks are made, mail goes on as if DANE were off; the operator's own `encrypt` is not waived
    {failed,   from_dns, audit,           "dane if-offered sni=host audit waived=dnssec-invalid", "told, not obeyed"},
    {usable,   from_dns, audit,           "dane if-offered tlsa sni=base audit",                  "checked, told, not obeyed"},
    {unusable, from_dns, audit,           "dane if-offered unusable sni=base audit",              "TLS missing is told"},
    {no_tlsa,  from_dns, audit,           "opportunistic if-offered sni=host plaintext",          "nothing to watch"},
    {failed,   from_dns, audit_encrypt,   "dane must sni=host audit waived=dnssec-invalid",       "told; encrypt stands"},
    {usable,   from_dns, audit_encrypt,   "dane must tlsa sni=base audit",                        "told; encrypt stands"},
    {unusable, from_dns, audit_encrypt,   "dane must unusable sni=base audit",                    "encrypt stands"},
    {no_tlsa,  from_dns, audit_encrypt,   "opportunistic must sni=host next-host",                "default_tls: encrypt"},
    // off: TLSA is not looked at, not even where it failed
    {any_tlsa, from_dns, off,             "opportunistic if-offered sni=host plaintext",          "nothing binds"},
    {any_tlsa, from_dns, off_encrypt,     "opportunistic must sni=host next-host",                "default_tls: encrypt"},
    // a route with hosts that leaves `tls` out
    {any_tlsa, routed,   left_out,        "opportunistic if-offered sni=host plaintext",          "CONTRACT: is opportunistic"},
    {any_tlsa, literal,  left_out,        "opportunistic if-offered sni=none plaintext",          "TLS-03: no SNI"},
    // a route's `tls` replaces `security`: TLSA counts only where it says so
    {any_tlsa, any_host,    route_none,          "route never sni=none plaintext",          "never STARTTLS"},
    {any_tlsa, named,       route_opportunistic, "route if-offered sni=host plaintext",     "whatever the certificate"},
    {any_tlsa, literal,     route_opportunistic, "route if-offered sni=none plaintext",     "TLS-03: no SNI"},
    {any_tlsa, named,       route_encrypt,       "route must sni=host next-host",           "TLS or no delivery"},
    {any_tlsa, literal,     route_encrypt,       "route must sni=none next-host",           "TLS-03: no SNI"},
    {any_tlsa, named,       route_verify,        "route must pkix=host sni=host next-host", "a certificate for the host"},
    {any_tlsa, literal,     route_verify,        "refuse route certificate-host-mismatch",  "no name to verify: fails closed"},
    // dane: where TLSA is there
    {failed,   named,       route_dane,          "refuse dane dnssec-invalid",              "DANE-06"},
    {usable,   named,       route_dane,          "dane must tlsa sni=base next-host",       "CONTRACT: `dane`: TLSA decided"},
    {unusable, named,       route_dane,          "dane must unusable sni=base next-host",   "DANE-10"},
    {no_tlsa,  named,       route_dane,          "route if-offered sni=host plaintext",     "else opportunistic"},
    {any_tlsa, literal,     route_dane,          "route if-offered sni=none plaintext",     "DANE-33, MX-17: none for literals"},
    // dane-only: usable, matching TLSA or no delivery (DANE-35)
    {failed,   named,       route_dane_only,     "refuse dane dnssec-invalid",              "CONTRACT: any failed TLSA look-up"},
    {usable,   securely,    route_dane_only,     "dane must tlsa sni=base next-host",       "all is there"},
    {unusable, securely,    route_dane_only,     "refuse dane tlsa-invalid",                "only unusable TLSA"},
    {usable,   unsigned_mx, route_dane_only,     "refuse route dane-required",              "insecure MX"},
    {unusable, unsigned_mx, route_dane_only,     "refuse route dane-required",              "insecure MX comes first"},
    {no_tlsa,  named,       route_dane_only,     "refuse route dane-required",              "no validated TLSA"},
    {any_tlsa, literal,     route_dane_only,     "refuse route dane-required",              "a literal has no TLSA"},
};
// clang-format on
}  // namespace

TEST_CASE(
    "DANE-04, DANE-06, DANE-08, DANE-09, DANE-10, DANE-33, DANE-35, MX-17: the decision table, every corner in exactly "
    "one row") {
  for (const auto tlsa : all_tlsa) {
    for (const auto host : all_hosts) {
      for (const auto demand : all_demands) {
        CAPTURE(static_cast<int>(tlsa));
        CAPTURE(static_cast<int>(host));
        CAPTURE(static_cast<int>(demand));
        int rows_that_tell = 0;
        for (const auto& row : rows) {
          if (!has(row.tlsa, tlsa) || !has(row.hosts, host) || !has(row.demands, demand)) continue;
          CAPTURE(row.why);
          CHECK(describe(plan_for(tlsa, host, demand)) == row.plan);
          ++rows_that_tell;
        }
        CHECK(rows_that_tell == 1);
      }
    }
  }
}

TEST_CASE(
    "DANE-02, MX-06: a host without a usable address is refused under every rule, with the reason that its answers "
    "gave") {
  struct Case {
    std::optional<Reason> failure;
    const char* why;
  };
  for (const auto& one : {Case{Reason::dnssec_invalid, "A record: signature expired"},
                          Case{Reason::dns_failure, "time-out"}, Case{std::nullopt, "no such name"}}) {
    for (const auto demand : all_demands) {
      Facts facts = make_facts(TlsaIs::usable, HostIs::secure_mx);
      facts.host.addresses.clear();
      facts.host.address_failure = one.failure;
      facts.host.why_no_address = one.why;
      const Plan plan = decide(facts, make_rule(demand));
      REQUIRE(std::holds_alternative<Refuse>(plan));
      CHECK(std::get<Refuse>(plan).reason == one.failure);
      CHECK(std::get<Refuse>(plan).text == one.why);
      CHECK(std::get<Refuse>(plan).policy == (make_rule(demand).route_tls ? Policy::route : Policy::opportunistic));
    }
  }
}

TEST_CASE("DANE-02: one address family's failure beside the other's addresses changes nothing") {
  for (const auto failure : {Reason::dnssec_invalid, Reason::dns_failure}) {
    Facts facts = make_facts(TlsaIs::usable, HostIs::secure_mx);
    facts.host.address_failure = failure;
    CHECK(describe(decide(facts, {})) == "dane must tlsa sni=base next-host");
  }
}

TEST_CASE("DANE-02, DNS-06: bogus MX records lead nowhere, also under audit and off; a configured host has none") {
  for (const auto demand : all_demands) {
    Facts facts = make_facts(TlsaIs::usable, HostIs::secure_mx);
    facts.domain.mx_security = dns::Security::bogus;
    const Plan plan = decide(facts, make_rule(demand));
    REQUIRE(std::holds_alternative<Refuse>(plan));
    CHECK(std::get<Refuse>(plan).reason == Reason::dnssec_invalid);
    facts.host.origin = HostFacts::Origin::route_name;
    CHECK(describe(decide(facts, make_rule(demand))) == describe(plan_for(TlsaIs::usable, HostIs::routed, demand)));
  }
}

TEST_CASE(
    "DANE-05, DANE-21, DANE-22, DANE-32, DANE-33: the names a DANE-TA certificate may carry, by how the host was "
    "selected") {
  const auto names_of = [](HostIs host, Demand demand, const char* original) {
    Facts facts = make_facts(TlsaIs::usable, host);
    facts.domain.domain = name(original);
    return joined(std::get<Connect>(decide(facts, make_rule(demand))).dane->names);
  };
  CHECK(names_of(HostIs::secure_mx, Demand::enforce, "dom.ex") == "real.ex dom.ex");
  CHECK(names_of(HostIs::secure_mx, Demand::enforce, "alias.ex") == "real.ex alias.ex dom.ex");
  CHECK(names_of(HostIs::insecure_mx, Demand::enforce, "dom.ex") == "real.ex");
  CHECK(names_of(HostIs::implicit, Demand::enforce, "dom.ex") == "real.ex dom.ex");
  CHECK(names_of(HostIs::implicit, Demand::enforce, "alias.ex") == "real.ex dom.ex alias.ex");
  CHECK(names_of(HostIs::implicit_unsigned, Demand::enforce, "alias.ex") ==
        "real.ex dom.ex");                                                     // the alias is not secured
  CHECK(names_of(HostIs::routed, Demand::dane, "dom.ex") == "real.ex mx.ex");  // never the recipient domain
}

TEST_CASE("DANE-26, TLS-03: SNI is the base where TLSA stands, also when that is the initial name") {
  Facts facts = make_facts(TlsaIs::usable, HostIs::secure_mx);
  CHECK(std::get<Connect>(decide(facts, {})).sni == name("real.ex"));
  facts.host.tlsa.base = name("mx.ex");
  CHECK(std::get<Connect>(decide(facts, {})).sni == name("mx.ex"));
  CHECK(std::get<Connect>(decide(facts, {})).dane->base == name("mx.ex"));
}

TEST_CASE("DANE-13, DANE-25: the plan holds the usable records only, after digest agility") {
  Facts facts = make_facts(TlsaIs::mixed, HostIs::secure_mx);
  CHECK(std::get<Connect>(decide(facts, {})).dane->records == std::vector<dns::Tlsa>{ee()});
  const dns::Tlsa stronger{3, 1, 2, std::string(64, 's')};
  facts.host.tlsa.records = {ee(), stronger, ta()};
  CHECK(std::get<Connect>(decide(facts, {})).dane->records == std::vector<dns::Tlsa>{stronger, ta()});
}

TEST_CASE(
    "DANE-01, MX-16, TLS-12: the plan tells whether the MX was secure; a configured host counts as secure selection") {
  using dns::Security;
  const auto security = [](HostIs host) { return connect_for(TlsaIs::usable, host, Demand::dane).mx_security; };
  CHECK(security(HostIs::secure_mx) == Security::secure);
  CHECK(security(HostIs::implicit) == Security::secure);
  CHECK(security(HostIs::insecure_mx) == Security::insecure);
  CHECK(security(HostIs::implicit_unsigned) == Security::insecure);
  Facts facts = make_facts(TlsaIs::usable, HostIs::routed);
  facts.domain.mx_security = Security::insecure;  // nobody asked for its MX
  CHECK(std::get<Connect>(decide(facts, make_rule(Demand::dane_only))).mx_security == Security::secure);
}

TEST_CASE("verify: the route's names replace the host's; a literal with names is verified without SNI") {
  LocalRule rule = make_rule(Demand::verify);
  rule.verify_names = {name("mail.partner.ex"), name("mail2.partner.ex")};
  const auto plan = std::get<Connect>(decide(make_facts(TlsaIs::absent, HostIs::literal), rule));
  CHECK(plan.pkix->names == rule.verify_names);
  CHECK(plan.tls == Tls::must);
  CHECK(plan.sni.is_root());
  const auto by_name = std::get<Connect>(decide(make_facts(TlsaIs::absent, HostIs::routed), rule));
  CHECK(by_name.pkix->names == rule.verify_names);
  CHECK(by_name.sni == name("mx.ex"));
}

TEST_CASE("DANE-36: audit and off belong to the rule at hand, and a route's `tls` is never weakened by them") {
  CHECK(describe(plan_for(TlsaIs::usable, HostIs::secure_mx, Demand::audit)) == "dane if-offered tlsa sni=base audit");
  CHECK(describe(plan_for(TlsaIs::usable, HostIs::secure_mx, Demand::enforce)) == "dane must tlsa sni=base next-host");
  for (const auto mode : {Mode::audit, Mode::off}) {
    for (const auto demand : {Demand::dane, Demand::dane_only}) {
      LocalRule rule = make_rule(demand);
      rule.dane = mode;
      CHECK(describe(decide(make_facts(TlsaIs::usable, HostIs::secure_mx), rule)) ==
            "dane must tlsa sni=base next-host");
      CHECK(describe(decide(make_facts(TlsaIs::failed, HostIs::secure_mx), rule)) == "refuse dane dnssec-invalid");
    }
  }
}

TEST_CASE("a refusal tells why: the TLSA failure's own words") {
  const auto plan = std::get<Refuse>(plan_for(TlsaIs::failed, HostIs::secure_mx, Demand::enforce));
  CHECK(plan.text == "TLSA look-up failed: SERVFAIL");
  const auto watched = connect_for(TlsaIs::failed, HostIs::secure_mx, Demand::audit);
  CHECK(watched.waived->text == "TLSA look-up failed: SERVFAIL");
}

}  // namespace hop_decide_test
