// SPDX-License-Identifier: Apache-2.0
// What was agreed on with a partner, as a table and as promises: a mandate is the least that mail gets, in every corner of what DNS says,
// of what the operator's other rules are, and of what the message asks.
#include <doctest/doctest.h>

#include "hop/requiretls.h"
#include "tests/hop/sts_corners.h"

namespace hop_mandate_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {

enum class Under { enforce, dane_audit, both_audit, off, route_none, route_opportunistic };

LocalRule rule_under(Under under, Mandate mandate) {
  LocalRule rule;
  if (under == Under::dane_audit || under == Under::both_audit) rule.dane = Mode::audit;
  if (under == Under::both_audit) rule.mta_sts = Mode::audit;
  if (under == Under::off) rule.dane = rule.mta_sts = Mode::off;
  if (under == Under::route_none) rule.route_tls = RouteTls::none;
  if (under == Under::route_opportunistic) rule.route_tls = RouteTls::opportunistic;
  rule.mandate = mandate;
  return rule;
}

Plan decided(TlsaIs tlsa, HostIs host, StsIs sts, const LocalRule& rule, TlsRequest asked = TlsRequest::nothing) {
  Facts facts = make_facts(tlsa, host);
  facts.domain.sts = make_sts(sts);
  return decide(facts, rule, asked);
}

// What the mandate promises of any plan that connects.
bool keeps(Mandate mandate, const Connect& plan, const Facts& facts) {
  const bool encrypted = plan.tls == Tls::must && plan.on_failure != OnFailure::plaintext;
  const bool bound = encrypted && plan.on_failure == OnFailure::next_host;
  const bool configured = facts.host.origin == HostFacts::Origin::route_name;
  switch (mandate) {
    case Mandate::encrypt:
      return encrypted;
    case Mandate::verify:
      return bound && (plan.dane || plan.pkix) && !plan.waived;
    case Mandate::dane:
      return bound && plan.dane && !plan.waived && (configured || facts.domain.mx_security == dns::Security::secure);
    case Mandate::none:
    case Mandate::dane_audit:
      break;
  }
  return true;
}

}  // namespace

TEST_CASE("partners: what a mandate makes of a host") {
  const struct {
    Mandate mandate;
    TlsaIs tlsa;
    HostIs host;
    StsIs sts;
    Under under;
    const char* plan;
    const char* why;
  } rows[] = {
      {Mandate::encrypt, TlsaIs::absent, HostIs::insecure_mx, StsIs::none, Under::enforce,
       "route must sni=host next-host", "no policy covers the hop: the mandate decides"},
      {Mandate::encrypt, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::enforce,
       "dane must tlsa sni=base next-host", "DANE asks for more"},
      {Mandate::encrypt, TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce, Under::enforce,
       "sts must pkix=host sni=host next-host", "MTA-STS asks for more"},
      {Mandate::encrypt, TlsaIs::absent, HostIs::insecure_mx, StsIs::testing, Under::enforce,
       "route must sni=host next-host observes=sts-testing+pkix", "a policy in testing binds nobody"},
      {Mandate::encrypt, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "dane must tlsa sni=base audit", "what audit lets pass leaves under TLS"},
      {Mandate::encrypt, TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce_other, Under::both_audit,
       "sts must pkix=host sni=host audit waived=mx-not-in-policy", "likewise"},
      {Mandate::encrypt, TlsaIs::absent, HostIs::routed, StsIs::none, Under::enforce, "route must sni=host next-host",
       "a configured host, too"},
      {Mandate::encrypt, TlsaIs::absent, HostIs::routed, StsIs::none, Under::route_none,
       "refuse route starttls-not-supported", "the route forbids what the mandate asks for"},
      {Mandate::encrypt, TlsaIs::not_asked, HostIs::literal, StsIs::none, Under::enforce,
       "route must sni=none next-host", "an address can encrypt"},
      {Mandate::verify, TlsaIs::absent, HostIs::insecure_mx, StsIs::none, Under::enforce,
       "route must pkix=host sni=host next-host", "the certificate is all there is"},
      {Mandate::verify, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::enforce,
       "dane must tlsa sni=base next-host", "DANE is proof"},
      {Mandate::verify, TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce, Under::enforce,
       "sts must pkix=host sni=host next-host", "MTA-STS is proof"},
      {Mandate::verify, TlsaIs::unusable, HostIs::secure_mx, StsIs::none, Under::enforce,
       "route must unusable pkix=host sni=host next-host", "unusable records prove nothing"},
      {Mandate::verify, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "route must pkix=host sni=host next-host observes=dane+tlsa", "what is only watched proves nothing"},
      {Mandate::verify, TlsaIs::failed, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "route must pkix=host sni=host next-host observes=dane:dnssec-invalid", "likewise"},
      {Mandate::verify, TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce_other, Under::both_audit,
       "route must pkix=host sni=host next-host observes=sts:mx-not-in-policy+pkix", "likewise"},
      {Mandate::verify, TlsaIs::absent, HostIs::insecure_mx, StsIs::testing, Under::enforce,
       "route must pkix=host sni=host next-host observes=sts-testing+pkix", "likewise"},
      {Mandate::verify, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::off,
       "route must pkix=host sni=host next-host", "what is off is not looked up"},
      {Mandate::verify, TlsaIs::not_asked, HostIs::literal, StsIs::none, Under::enforce,
       "refuse route certificate-host-mismatch", "an address has no name"},
      {Mandate::verify, TlsaIs::failed, HostIs::secure_mx, StsIs::none, Under::enforce, "refuse dane dnssec-invalid",
       "a refusal stays one"},
      {Mandate::dane, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::enforce,
       "dane must tlsa sni=base next-host", "as without"},
      {Mandate::dane, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::off, "dane must tlsa sni=base next-host",
       "whatever `security` says"},
      {Mandate::dane, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "dane must tlsa sni=base next-host", "likewise"},
      {Mandate::dane, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::route_opportunistic,
       "dane must tlsa sni=base next-host", "likewise a route"},
      {Mandate::dane, TlsaIs::usable, HostIs::routed, StsIs::none, Under::enforce, "dane must tlsa sni=base next-host",
       "a configured host is as good as signed"},
      {Mandate::dane, TlsaIs::absent, HostIs::secure_mx, StsIs::enforce, Under::enforce, "refuse route dane-required",
       "MTA-STS is not DANE"},
      {Mandate::dane, TlsaIs::usable, HostIs::insecure_mx, StsIs::none, Under::enforce, "refuse route dane-required",
       "anybody may have named this host"},
      {Mandate::dane, TlsaIs::unusable, HostIs::secure_mx, StsIs::none, Under::enforce, "refuse dane tlsa-invalid",
       "no record is usable"},
      {Mandate::dane, TlsaIs::not_asked, HostIs::literal, StsIs::none, Under::enforce, "refuse route dane-required",
       "an address has no records"},
      {Mandate::dane_audit, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "dane if-offered tlsa sni=base audit", "an exception: watched"},
      {Mandate::dane_audit, TlsaIs::absent, HostIs::insecure_mx, StsIs::none, Under::dane_audit,
       "route if-offered sni=host audit waived=dane-required", "what is missing is told"},
      {Mandate::dane_audit, TlsaIs::unusable, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "dane if-offered unusable sni=base audit waived=tlsa-invalid", "likewise"},
      {Mandate::dane_audit, TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce, Under::dane_audit,
       "sts must pkix=host sni=host next-host observes=dane:dane-required", "no exception from MTA-STS"},
      {Mandate::dane_audit, TlsaIs::failed, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "dane if-offered sni=host audit waived=dnssec-invalid", "likewise told"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(describe(decided(row.tlsa, row.host, row.sts, rule_under(row.under, row.mandate))) == row.plan);
  }
}

TEST_CASE("partners: what a message asks beside a mandate") {
  const struct {
    Mandate mandate;
    TlsRequest asked;
    TlsaIs tlsa;
    HostIs host;
    StsIs sts;
    Under under;
    const char* plan;
    const char* why;
  } rows[] = {
      {Mandate::encrypt, TlsRequest::tls_not_required, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::enforce,
       "route must sni=host next-host waived=tls-required-no", "DANE is waived, TLS is not"},
      {Mandate::encrypt, TlsRequest::tls_not_required, TlsaIs::absent, HostIs::insecure_mx, StsIs::none, Under::enforce,
       "route must sni=host next-host", "nothing was published to be waived"},
      {Mandate::verify, TlsRequest::tls_not_required, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::enforce,
       "dane must tlsa sni=base next-host", "the operator wants a proof, and DANE is it"},
      {Mandate::verify, TlsRequest::tls_not_required, TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce_other,
       Under::enforce, "refuse sts mx-not-in-policy", "likewise MTA-STS"},
      {Mandate::dane, TlsRequest::tls_not_required, TlsaIs::absent, HostIs::secure_mx, StsIs::none, Under::enforce,
       "refuse route dane-required", "the sender undoes no mandate"},
      {Mandate::dane_audit, TlsRequest::tls_not_required, TlsaIs::usable, HostIs::secure_mx, StsIs::none,
       Under::dane_audit, "dane if-offered tlsa sni=base audit", "nothing binds as it is"},
      {Mandate::none, TlsRequest::tls_not_required, TlsaIs::usable, HostIs::secure_mx, StsIs::none, Under::enforce,
       "opportunistic if-offered sni=host plaintext waived=tls-required-no", "without a mandate"},
      {Mandate::encrypt, TlsRequest::require_tls, TlsaIs::absent, HostIs::secure_mx, StsIs::none, Under::enforce,
       "requiretls must pkix=host sni=host next-host", "REQUIRETLS asks for more"},
      {Mandate::dane, TlsRequest::require_tls, TlsaIs::absent, HostIs::secure_mx, StsIs::none, Under::enforce,
       "refuse route dane-required", "the mandate asks for more"},
      {Mandate::dane_audit, TlsRequest::require_tls, TlsaIs::absent, HostIs::secure_mx, StsIs::none, Under::dane_audit,
       "refuse route dane-required", "an exception loosens nothing that the sender asks for"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(describe(decided(row.tlsa, row.host, row.sts, rule_under(row.under, row.mandate), row.asked)) == row.plan);
  }
}

TEST_CASE(
    "partners: in every corner, whatever a message asks, mail leaves only as the mandate promises, and never on less "
    "than without it") {
  std::size_t looked_at = 0;
  std::string broken;
  every_sts_corner([&](const StsCorner& corner) {
    for (int route = -1; route <= static_cast<int>(RouteTls::dane_only); ++route) {
      for (const auto mandate : {Mandate::encrypt, Mandate::verify, Mandate::dane}) {
        for (const auto asked : {TlsRequest::nothing, TlsRequest::require_tls, TlsRequest::tls_not_required}) {
          LocalRule rule = corner.rule;
          if (route >= 0) rule.route_tls = static_cast<RouteTls>(route);
          const Plan without = decide(corner.facts, rule, asked);
          rule.mandate = mandate;
          const Plan with = decide(corner.facts, rule, asked);
          const auto* connect = std::get_if<Connect>(&with);
          const auto* before = std::get_if<Connect>(&without);
          bool good = connect == nullptr || keeps(mandate, *connect, corner.facts);
          if (connect != nullptr && mandate != Mandate::dane) {
            good = good && before != nullptr;
            const bool bound = before != nullptr && before->on_failure == OnFailure::next_host;
            if (bound)
              good = good && connect->on_failure == OnFailure::next_host &&
                     before->dane.has_value() <= connect->dane.has_value() &&
                     before->pkix.has_value() <= connect->pkix.has_value();
          }
          if (!good && broken.empty())
            broken = text_of(corner) + " mandate " + std::to_string(static_cast<int>(mandate)) + ": " + describe(with);
          ++looked_at;
        }
      }
    }
  });
  CHECK(broken == "");
  CHECK(looked_at > 100'000);
}

TEST_CASE("partners: an exception refuses nothing that would go without the mandate") {
  std::string broken;
  every_sts_corner([&](const StsCorner& corner) {
    LocalRule rule = corner.rule;
    if (rule.dane == Mode::enforce) rule.dane = Mode::audit;
    const Plan without = decide(corner.facts, rule);
    rule.mandate = Mandate::dane_audit;
    const Plan with = decide(corner.facts, rule);
    if (std::holds_alternative<Connect>(without) && !std::holds_alternative<Connect>(with)) broken = text_of(corner);
  });
  CHECK(broken == "");
}

TEST_CASE(
    "partners: an exception from DANE loosens nothing that a route or an MTA-STS policy demands, whatever a message "
    "asks") {
  std::string broken;
  std::size_t bound = 0;
  every_sts_corner([&](const StsCorner& corner) {
    for (int route = -1; route <= static_cast<int>(RouteTls::verify); ++route) {
      LocalRule rule = corner.rule;
      if (rule.dane == Mode::enforce) rule.dane = Mode::audit;
      if (route >= 0) rule.route_tls = static_cast<RouteTls>(route);
      const Plan without = decide(corner.facts, rule);
      const auto* before = std::get_if<Connect>(&without);
      if (before != nullptr && before->on_failure != OnFailure::next_host) continue;
      ++bound;
      rule.mandate = Mandate::dane_audit;
      for (const auto asked : {TlsRequest::nothing, TlsRequest::tls_not_required}) {
        const Plan with = decide(corner.facts, rule, asked);
        const auto* connect = std::get_if<Connect>(&with);
        // Where default_tls asks for TLS alone, no proof is lost: a plan that must have TLS never goes to clear text.
        const bool tls_alone = before != nullptr && route < 0 && before->policy != Policy::sts;
        const bool good =
            connect == nullptr || (before != nullptr && connect->tls == before->tls && connect->pkix == before->pkix &&
                                   (connect->on_failure == before->on_failure || tls_alone));
        if (!good && broken.empty())
          broken = text_of(corner) + " route " + std::to_string(route) + ": " + describe(with);
      }
    }
  });
  CHECK(broken == "");
  CHECK(bound > 1'000);
}

TEST_CASE("partners: a TLS report goes to a domain whose TLS fails; to a configured host the mandate stands (RPT-38)") {
  LocalRule rule;
  for (const auto mandate : {Mandate::encrypt, Mandate::verify, Mandate::dane}) {
    rule.mandate = mandate;
    CHECK(for_report(rule, HostFacts::Origin::mx).mandate == Mandate::none);
    const auto left = mandate == Mandate::dane ? Mandate::none : mandate;
    CHECK(for_report(rule, HostFacts::Origin::route_name).mandate == left);
  }
}

}  // namespace hop_mandate_test
