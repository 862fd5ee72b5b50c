// SPDX-License-Identifier: Apache-2.0
#include "hop/sharing.h"

#include <doctest/doctest.h>

namespace hop_sharing_test {

using namespace hoplock;
using namespace hoplock::hop;

namespace {

dns::Name name(const char* text) { return dns::Name::parse(text).value(); }

Connect opportunistic() {
  Connect plan;
  plan.sni = name("mx.provider.example");
  return plan;
}
Connect sts() {
  Connect plan = opportunistic();
  plan.policy = Policy::sts;
  plan.tls = Tls::must;
  plan.on_failure = OnFailure::next_host;
  plan.pkix = PkixCheck{{name("mx.provider.example")}};
  return plan;
}
Connect dane(const char* domain) {
  Connect plan = opportunistic();
  plan.policy = Policy::dane;
  plan.tls = Tls::must;
  plan.on_failure = OnFailure::next_host;
  plan.mx_security = dns::Security::secure;
  DaneCheck check;
  check.base = name("mx.provider.example");
  dns::Tlsa record;
  record.usage = 2;
  check.records = {record};
  check.names = {name("mx.provider.example"), name(domain)};
  plan.dane = check;
  return plan;
}
Connect other_records() {
  Connect plan = dane("a.example");
  plan.dane->records.front().usage = 3;
  return plan;
}
Connect dane_ee(const char* domain) {
  Connect plan = dane(domain);
  plan.dane->records.front().usage = 3;
  return plan;
}
Connect mixed(const char* domain) {
  Connect plan = dane_ee(domain);
  plan.dane->records.push_back(dane(domain).dane->records.front());
  return plan;
}
Connect with_pkix(Connect plan) {
  plan.pkix = PkixCheck{{name("mx.provider.example")}};
  return plan;
}
Connect for_requiretls(Connect plan) {
  plan.policy = Policy::requiretls;
  plan.required = Required{Policy::dane, {name("mx.provider.example")}};
  return plan;
}
Connect other_key(Connect plan) {
  plan.dane->records.front().data = std::string(32, 'x');
  return plan;
}
Connect of_other_base(Connect plan) {
  plan.sni = plan.dane->base = name("other.provider.example");
  return plan;
}
Connect insecure_mx(Connect plan) {
  plan.mx_security = dns::Security::insecure;
  return plan;
}
Connect watched(Connect plan) {
  plan.observed = Observed{};
  return plan;
}
Connect unusable(Connect plan) {
  plan.tlsa_unusable = true;
  return plan;
}
Connect in_clear() {
  Connect plan = opportunistic();
  plan.tls = Tls::never;
  return plan;
}
Connect required() {
  Connect plan = sts();
  plan.policy = Policy::requiretls;
  plan.required = Required{Policy::sts, {name("mx.provider.example")}};
  return plan;
}
Connect audited() {
  Connect plan = opportunistic();
  plan.on_failure = OnFailure::audit;
  plan.waived = Refusal{Reason::mx_not_in_policy, "no"};
  return plan;
}

}  // namespace

TEST_CASE("TLS-08: which session of a site may carry whose mail") {
  const struct {
    const char* what;
    Connect proven;
    Connect wanted;
    bool may;
  } table[] = {
      {"two domains without a policy", opportunistic(), opportunistic(), true},
      {"two domains whose policies name the host", sts(), sts(), true},
      {"DANE for two domains whose names count", dane("a.example"), dane("b.example"), false},
      {"DANE for the same names", dane("a.example"), dane("a.example"), true},
      {"DANE, but the records changed", dane("a.example"), other_records(), false},
      {"DANE-EE looks at no names", dane_ee("a.example"), dane_ee("b.example"), true},
      {"a DANE-TA record beside it does", mixed("a.example"), mixed("b.example"), false},
      {"DANE-EE, another key", dane_ee("a.example"), other_key(dane_ee("b.example")), false},
      {"DANE-EE, another base", dane_ee("a.example"), of_other_base(dane_ee("b.example")), false},
      {"DANE-EE, an unsigned MX", dane_ee("a.example"), insecure_mx(dane_ee("b.example")), false},
      {"DANE-EE and a certificate that both must pass", with_pkix(dane_ee("a.example")),
       with_pkix(dane_ee("b.example")), false},
      {"DANE-EE and REQUIRETLS", for_requiretls(dane_ee("a.example")), for_requiretls(dane_ee("b.example")), false},
      {"DANE-EE to REQUIRETLS", dane_ee("a.example"), for_requiretls(dane_ee("a.example")), false},
      {"opportunistic, but of a signed MX", opportunistic(),
       [] {
         Connect plan = opportunistic();
         plan.mx_security = dns::Security::secure;
         return plan;
       }(),
       false},
      {"what a watched policy says is the domain's own", watched(sts()), watched(sts()), false},
      {"as is that no record was usable", unusable(opportunistic()), unusable(opportunistic()), false},
      {"from TLS to clear", opportunistic(), in_clear(), false},
      {"from opportunistic to REQUIRETLS", opportunistic(), required(), false},
      {"from opportunistic to a policy", opportunistic(), sts(), false},
      {"from opportunistic to DANE", opportunistic(), dane("a.example"), false},
      {"from a policy to none", sts(), opportunistic(), false},
      {"from a policy to DANE", sts(), dane("a.example"), false},
      {"from clear to TLS when offered", in_clear(), opportunistic(), false},
      {"REQUIRETLS that was not proved", sts(), required(), false},
      {"other mail after REQUIRETLS", required(), sts(), false},
      {"REQUIRETLS that was", required(), required(), true},
      {"a defect that audit overlooks is the domain's own", audited(), audited(), false},
  };
  for (const auto& row : table) {
    CAPTURE(row.what);
    CHECK(may_carry(row.proven, row.wanted) == row.may);
  }
}

}  // namespace hop_sharing_test
