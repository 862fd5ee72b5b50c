// SPDX-License-Identifier: Apache-2.0
// What a message itself asks of a hop (RFC 8689), as tables: REQUIRETLS and `TLS-Required: No`.
#include "hop/requiretls.h"

#include <doctest/doctest.h>

#include "tests/hop/sts_corners.h"

namespace hop_requiretls_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {

Plan asking(TlsRequest asked, TlsaIs tlsa, HostIs host, StsIs sts = StsIs::none, const LocalRule& rule = {}) {
  Facts facts = make_facts(tlsa, host);
  facts.domain.sts = make_sts(sts);
  return decide(facts, rule, asked);
}
Plan requiring(TlsaIs tlsa, HostIs host, StsIs sts = StsIs::none, const LocalRule& rule = {}) {
  return asking(TlsRequest::require_tls, tlsa, host, sts, rule);
}
Plan waiving(TlsaIs tlsa, HostIs host, StsIs sts = StsIs::none, const LocalRule& rule = {}) {
  return asking(TlsRequest::tls_not_required, tlsa, host, sts, rule);
}
LocalRule with_modes(Mode dane, Mode sts) {
  LocalRule rule;
  rule.dane = dane;
  rule.mta_sts = sts;
  return rule;
}
LocalRule routed(RouteTls tls, std::vector<dns::Name> names = {}) {
  LocalRule rule;
  rule.route_tls = tls;
  rule.verify_names = std::move(names);
  return rule;
}

Connect connect_of(const Plan& plan) {
  REQUIRE(std::holds_alternative<Connect>(plan));
  return std::get<Connect>(plan);
}

// A session on which every check passed and REQUIRETLS is offered.
Outcome perfect(const Connect& plan) {
  Outcome outcome;
  outcome.stage = Stage::ready;
  outcome.tls = TlsSession{"TLSv1.3", "c", "k", ""};
  if (plan.dane) outcome.dane = DaneVerdict{plan.dane->records.front(), {}};
  if (plan.pkix) outcome.pkix = PkixVerdict{};
  if (plan.observed) outcome.observed.emplace();
  if (plan.required) outcome.name = PkixVerdict{};
  outcome.offers_requiretls = true;
  return outcome;
}

// "7.10", "7.30" of a final refusal; else the reason's word; "proceeds".
std::string judged(const Connect& plan, const Outcome& outcome) {
  const Next next = after(plan, outcome);
  if (std::holds_alternative<Proceed>(next)) return "proceeds";
  const auto* refused = std::get_if<NextHost>(&next);
  if (refused == nullptr) return "in clear";
  return refused->why.reason == Reason::requiretls_not_supported ? code(refused->why)
                                                                 : std::string(to_text(refused->why.reason));
}

const Refusal mismatch{Reason::certificate_host_mismatch, "certificate is for x"};
const Refusal untrusted{Reason::certificate_not_trusted, "certificate is self-signed"};

}  // namespace

TEST_CASE("RTLS-04, RTLS-05, RTLS-06: what REQUIRETLS makes of a host") {
  const struct {
    TlsaIs tlsa;
    HostIs host;
    StsIs sts;
    const char* plan;
    const char* why;
  } rows[] = {
      {TlsaIs::usable, HostIs::secure_mx, StsIs::none, "requiretls must tlsa sni=base next-host", "DANE, and the name"},
      {TlsaIs::absent, HostIs::secure_mx, StsIs::none, "requiretls must pkix=host sni=host next-host",
       "signed MX, PKIX"},
      {TlsaIs::unusable, HostIs::secure_mx, StsIs::none, "requiretls must unusable pkix=host sni=base next-host",
       "unusable TLSA proves nothing"},
      {TlsaIs::failed, HostIs::secure_mx, StsIs::none, "refuse dane dnssec-invalid", "as for any mail"},
      {TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce, "requiretls must pkix=host sni=host next-host",
       "MTA-STS names it"},
      {TlsaIs::usable, HostIs::insecure_mx, StsIs::enforce, "requiretls must tlsa pkix=host sni=base next-host",
       "both"},
      {TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce_other, "refuse sts mx-not-in-policy", "as for any mail"},
      {TlsaIs::absent, HostIs::insecure_mx, StsIs::testing, "refuse requiretls requiretls-not-supported",
       "only enforce counts"},
      {TlsaIs::absent, HostIs::insecure_mx, StsIs::mode_none, "refuse requiretls requiretls-not-supported", "likewise"},
      {TlsaIs::absent, HostIs::insecure_mx, StsIs::none, "refuse requiretls requiretls-not-supported",
       "nobody vouches for the name"},
      {TlsaIs::usable, HostIs::insecure_mx, StsIs::none, "refuse requiretls requiretls-not-supported",
       "TLSA proves the host, and not that it is a host of the domain"},
      {TlsaIs::absent, HostIs::insecure_mx, StsIs::unfetched, "refuse requiretls sts-policy-fetch-error",
       "there may be a policy: for now"},
      {TlsaIs::absent, HostIs::insecure_mx, StsIs::unknown, "refuse sts dns-failure", "likewise"},
      {TlsaIs::absent, HostIs::secure_mx, StsIs::testing_other,
       "requiretls must pkix=host sni=host next-host observes=sts-testing:mx-not-in-policy+pkix", "signed MX will do"},
      {TlsaIs::absent, HostIs::implicit_unsigned, StsIs::none, "requiretls must pkix=host sni=host next-host",
       "the domain's own name"},
      {TlsaIs::absent, HostIs::routed, StsIs::none, "requiretls must pkix=host sni=host next-host",
       "the operator's name"},
      {TlsaIs::not_asked, HostIs::literal, StsIs::none, "refuse requiretls requiretls-not-supported", "no name at all"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(describe(requiring(row.tlsa, row.host, row.sts)) == row.plan);
  }
}

TEST_CASE("RTLS-04, RTLS-05: whatever the operator loosens, REQUIRETLS holds") {
  const struct {
    LocalRule rule;
    TlsaIs tlsa;
    HostIs host;
    StsIs sts;
    const char* plan;
  } rows[] = {
      {with_modes(Mode::audit, Mode::audit), TlsaIs::usable, HostIs::secure_mx, StsIs::none,
       "requiretls must tlsa sni=base next-host"},
      {with_modes(Mode::audit, Mode::audit), TlsaIs::failed, HostIs::secure_mx, StsIs::none,
       "refuse dane dnssec-invalid"},
      {with_modes(Mode::audit, Mode::audit), TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce_other,
       "refuse sts mx-not-in-policy"},
      {with_modes(Mode::off, Mode::off), TlsaIs::usable, HostIs::secure_mx, StsIs::none,
       "requiretls must pkix=host sni=host next-host"},
      {routed(RouteTls::none), TlsaIs::absent, HostIs::secure_mx, StsIs::none,
       "refuse requiretls requiretls-not-supported"},
      {routed(RouteTls::opportunistic), TlsaIs::absent, HostIs::insecure_mx, StsIs::none,
       "refuse requiretls requiretls-not-supported"},
      {routed(RouteTls::opportunistic), TlsaIs::absent, HostIs::routed, StsIs::none,
       "requiretls must pkix=host sni=host next-host"},
      {routed(RouteTls::dane_only), TlsaIs::absent, HostIs::secure_mx, StsIs::none, "refuse route dane-required"},
      {routed(RouteTls::verify, {name("real.ex")}), TlsaIs::not_asked, HostIs::literal, StsIs::none,
       "requiretls must pkix=base sni=none next-host"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.plan);
    CHECK(describe(requiring(row.tlsa, row.host, row.sts, row.rule)) == row.plan);
  }
  const Connect by_route = connect_of(
      requiring(TlsaIs::absent, HostIs::secure_mx, StsIs::none, routed(RouteTls::verify, {name("real.ex")})));
  CHECK(by_route.pkix->names == std::vector{name("real.ex")});    // the operator's check stays,
  CHECK(by_route.required->names == std::vector{name("mx.ex")});  // and the MX host's name comes on top
}

TEST_CASE("RTLS-04: a refusal that only REQUIRETLS makes is final and has 7.10") {
  const auto plan = requiring(TlsaIs::absent, HostIs::insecure_mx);
  const auto& refused = std::get<Refuse>(plan);
  const Refusal refusal{*refused.reason, refused.text, "", refused.status};
  CHECK(refusal_text(refusal, "mx.ex", Kept::no).starts_with("550 5.7.10 requiretls-not-supported: mx.ex: "));
}

TEST_CASE(
    "RTLS-04, RTLS-05, RTLS-06, TLS-10: in every corner REQUIRETLS either refuses or demands TLS, a proof and the "
    "name") {
  every_sts_corner([](const StsCorner& at) {
    CAPTURE(text_of(at));
    const Plan plan = decide(at.facts, at.rule, TlsRequest::require_tls);
    const auto* connect = std::get_if<Connect>(&plan);
    if (connect == nullptr) return;
    CHECK(connect->policy == Policy::requiretls);
    CHECK(connect->tls == Tls::must);
    CHECK(connect->on_failure == OnFailure::next_host);
    CHECK((connect->dane || connect->pkix));
    CHECK_FALSE(connect->waived);
    REQUIRE(connect->required);
    CHECK_FALSE(connect->required->names.empty());
    CHECK(judged(*connect, perfect(*connect)) == "proceeds");
    Outcome clear;
    clear.stage = Stage::ready;
    CHECK(std::holds_alternative<NextHost>(after(*connect, clear)));
  });
}

TEST_CASE("RTLS-05, RTLS-06, RTLS-07, RTLS-08, TLS-09: each thing that is missing on the session") {
  const Connect dane = connect_of(requiring(TlsaIs::usable, HostIs::secure_mx));
  const Connect pkix = connect_of(requiring(TlsaIs::absent, HostIs::secure_mx));
  const Connect sts = connect_of(requiring(TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce));
  const Connect unusable = connect_of(requiring(TlsaIs::unusable, HostIs::secure_mx));
  const auto with = [](const Connect& plan, auto change) {
    Outcome outcome = perfect(plan);
    change(outcome);
    return judged(plan, outcome);
  };
  const auto lacks_keyword = [](Outcome& o) { o.offers_requiretls = false; };
  const auto other_name = [](Outcome& o) { o.name->defects = {mismatch}; };
  const auto name_unchecked = [](Outcome& o) { o.name.reset(); };
  const auto bad_chain = [](Outcome& o) { o.pkix->defects = {untrusted}; };
  const auto unchecked = [](Outcome& o) { o.pkix.reset(); };
  const auto no_match = [](Outcome& o) { o.dane = DaneVerdict{{}, {{Reason::tlsa_invalid, "no match"}}}; };
  for (const Connect* plan : {&dane, &pkix, &sts, &unusable}) {
    CHECK(with(*plan, lacks_keyword) == "7.30");
    CHECK(with(*plan, other_name) == "7.10");
    CHECK(with(*plan, name_unchecked) == "7.10");
  }
  CHECK(with(pkix, bad_chain) == "7.10");
  CHECK(with(pkix, unchecked) == "7.10");
  CHECK(with(unusable, bad_chain) == "7.10");
  CHECK(with(sts, bad_chain) == "certificate-not-trusted");  // the domain's own policy: kept, as other mail
  CHECK(with(dane, no_match) == "tlsa-invalid");
}

TEST_CASE("RTLS-08: no TLS is final where only REQUIRETLS wants it, and what is only so for now is not") {
  const Connect pkix = connect_of(requiring(TlsaIs::absent, HostIs::secure_mx));
  const Connect dane = connect_of(requiring(TlsaIs::usable, HostIs::secure_mx));
  const auto failed = [](Stage stage, Reason reason, int reply = 0, std::string code = {}) {
    Outcome outcome;
    outcome.stage = stage;
    outcome.failure = Refusal{reason, "text", std::move(code)};
    if (reply != 0) outcome.reply = PeerReply{reply, "text"};
    return outcome;
  };
  const struct {
    Outcome outcome;
    const char* required;
    const char* with_dane;
    const char* why;
  } rows[] = {
      {failed(Stage::starttls, Reason::starttls_not_supported), "7.10", "starttls-not-supported", "not offered"},
      {failed(Stage::starttls, Reason::starttls_not_supported, 502), "7.10", "starttls-not-supported", "refused"},
      {failed(Stage::starttls, Reason::starttls_not_supported, 454), "starttls-not-supported", "starttls-not-supported",
       "not now"},
      {failed(Stage::ehlo, Reason::smtp_reply, 502), "7.10", "starttls-not-supported", "EHLO refused"},
      {failed(Stage::ehlo, Reason::smtp_reply, 421), "smtp-reply", "smtp-reply", "not now"},
      {failed(Stage::handshake, Reason::validation_failure), "7.10", "validation-failure", "no common version"},
      {failed(Stage::handshake, Reason::validation_failure, 0, "handshake-closed"), "validation-failure",
       "validation-failure", "lost"},
      {failed(Stage::handshake, Reason::connect_timeout), "connect-timeout", "connect-timeout", "slow"},
      {failed(Stage::starttls, Reason::validation_failure), "validation-failure", "validation-failure",
       "octets in clear (TLS-09)"},
      {failed(Stage::connect, Reason::connect_refused), "connect-refused", "connect-refused", "down"},
      {failed(Stage::greeting, Reason::smtp_reply, 554), "smtp-reply", "smtp-reply", "its own word"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(judged(pkix, row.outcome) == row.required);
    CHECK(judged(dane, row.outcome) == row.with_dane);
  }
}

TEST_CASE("RTLS-06, TLS-12: what proved the peer is told as for other mail") {
  Connect plan = connect_of(requiring(TlsaIs::usable, HostIs::secure_mx));
  CHECK(describe(after(plan, perfect(plan))) == "proceed requiretls dane-ee");
  plan = connect_of(requiring(TlsaIs::usable, HostIs::insecure_mx, StsIs::enforce));
  CHECK(describe(after(plan, perfect(plan))) == "proceed requiretls pkix");
  plan = connect_of(requiring(TlsaIs::absent, HostIs::secure_mx));
  CHECK(describe(after(plan, perfect(plan))) == "proceed requiretls pkix");
}

TEST_CASE("TLS-08, RTLS-09: no plan for mail with REQUIRETLS equals one for other mail") {
  every_sts_corner([](const StsCorner& at) {
    const Plan strict = decide(at.facts, at.rule, TlsRequest::require_tls);
    const auto* connect = std::get_if<Connect>(&strict);
    if (connect == nullptr) return;
    CAPTURE(text_of(at));
    for (const auto asked : {TlsRequest::nothing, TlsRequest::tls_not_required}) {
      const Plan other = decide(at.facts, at.rule, asked);
      CHECK_FALSE(strict == other);
      if (const auto* lax = std::get_if<Connect>(&other)) CHECK(digest(*connect) != digest(*lax));
    }
  });
}

TEST_CASE("RTLS-13: what `TLS-Required: No` waives, and what not") {
  const struct {
    TlsaIs tlsa;
    HostIs host;
    StsIs sts;
    LocalRule rule;
    const char* plan;
    const char* why;
  } rows[] = {
      {TlsaIs::usable,
       HostIs::secure_mx,
       StsIs::none,
       {},
       "opportunistic if-offered sni=host plaintext waived=tls-required-no",
       "DANE"},
      {TlsaIs::unusable,
       HostIs::secure_mx,
       StsIs::none,
       {},
       "opportunistic if-offered sni=host plaintext waived=tls-required-no",
       "TLS by DANE"},
      {TlsaIs::failed,
       HostIs::secure_mx,
       StsIs::none,
       {},
       "opportunistic if-offered sni=host plaintext waived=tls-required-no",
       "no answer"},
      {TlsaIs::absent,
       HostIs::insecure_mx,
       StsIs::enforce,
       {},
       "opportunistic if-offered sni=host plaintext waived=tls-required-no",
       "MTA-STS"},
      {TlsaIs::absent,
       HostIs::insecure_mx,
       StsIs::enforce_other,
       {},
       "opportunistic if-offered sni=host plaintext waived=tls-required-no",
       "outside the policy"},
      {TlsaIs::absent,
       HostIs::insecure_mx,
       StsIs::bogus,
       {},
       "opportunistic if-offered sni=host plaintext waived=tls-required-no",
       "bogus TXT"},
      {TlsaIs::absent,
       HostIs::secure_mx,
       StsIs::none,
       {},
       "opportunistic if-offered sni=host plaintext",
       "nothing to waive"},
      {TlsaIs::absent,
       HostIs::insecure_mx,
       StsIs::testing,
       {},
       "sts-testing if-offered sni=host plaintext observes=sts-testing+pkix",
       "nothing binds"},
      {TlsaIs::usable, HostIs::secure_mx, StsIs::none, routed(RouteTls::dane),
       "route if-offered sni=host plaintext waived=tls-required-no", "a route that minds TLSA"},
      {TlsaIs::usable, HostIs::secure_mx, StsIs::none, routed(RouteTls::encrypt), "route must sni=host next-host",
       "the operator's demand"},
      {TlsaIs::usable, HostIs::secure_mx, StsIs::none, routed(RouteTls::verify),
       "route must pkix=host sni=host next-host", "likewise"},
      {TlsaIs::absent, HostIs::secure_mx, StsIs::none, routed(RouteTls::dane_only), "refuse route dane-required",
       "likewise"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(describe(waiving(row.tlsa, row.host, row.sts, row.rule)) == row.plan);
  }
  LocalRule encrypt;
  encrypt.default_tls = DefaultTls::encrypt;
  CHECK(describe(waiving(TlsaIs::usable, HostIs::secure_mx, StsIs::none, encrypt)) ==
        "opportunistic must sni=host next-host waived=tls-required-no");
  Facts bogus = make_facts(TlsaIs::usable, HostIs::secure_mx);
  bogus.domain.mx_security = dns::Security::bogus;
  CHECK(describe(decide(bogus, {}, TlsRequest::tls_not_required)) == "refuse opportunistic dnssec-invalid");
}

TEST_CASE("RTLS-13: a waived rule follows the mail into clear text") {
  const Connect plan = connect_of(waiving(TlsaIs::usable, HostIs::secure_mx));
  Outcome broken;
  broken.stage = Stage::handshake;
  broken.failure = Refusal{Reason::validation_failure, "no"};
  const Next next = after(plan, broken);
  REQUIRE(std::holds_alternative<RetryInClear>(next));
  const Connect clear = in_clear(plan, std::get<RetryInClear>(next));
  Outcome ready;
  ready.stage = Stage::ready;
  CHECK(describe(after(clear, ready)) == "proceed opportunistic none waived=tls-required-no");
}

TEST_CASE("what asks for nothing is decided as ever") {
  every_sts_corner(
      [](const StsCorner& at) { CHECK(decide(at.facts, at.rule, TlsRequest::nothing) == decide(at.facts, at.rule)); });
}

}  // namespace hop_requiretls_test
