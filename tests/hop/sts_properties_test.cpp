// SPDX-License-Identifier: Apache-2.0
// What must hold for MTA-STS in every corner, whatever the table says.
#include <doctest/doctest.h>

#include <map>

#include "tests/hop/sts_corners.h"

namespace hop_sts_properties_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
const Connect* connects(const Plan& plan) { return std::get_if<Connect>(&plan); }

Plan without_policy(const StsCorner& at) {
  Facts facts = at.facts;
  facts.domain.sts = {};
  return decide(facts, at.rule);
}

bool is_configured(HostIs host) { return host == HostIs::routed || host == HostIs::literal; }

bool dane_decides(const StsCorner& at) {
  const bool usable = at.tlsa == TlsaIs::usable || at.tlsa == TlsaIs::mixed;
  return usable && at.rule.dane == Mode::enforce && at.facts.domain.mx_security == dns::Security::secure;
}

// An enforce policy that the operator lets bind, at a host where DANE does not decide.
bool binds(const StsCorner& at) {
  return at.rule.mta_sts == Mode::enforce && (at.sts == StsIs::enforce || at.sts == StsIs::enforce_other) &&
         !is_configured(at.host) && !dane_decides(at);
}
}  // namespace

TEST_CASE(
    "MX-29: in every corner: a host that is ruled out would be refused whatever was asked of it, and for that reason") {
  int ruled_out = 0;
  every_sts_corner([&](const StsCorner& at) {
    const bool mx =
        at.facts.host.origin == HostFacts::Origin::mx || at.facts.host.origin == HostFacts::Origin::implicit_mx;
    if (!mx || !is_ruled_out(at.facts.domain, at.facts.host.name, at.rule)) return;
    ++ruled_out;
    if (std::holds_alternative<Connect>(decide(at.facts, at.rule))) FAIL("connects: " << text_of(at));
    Facts unasked = at.facts;
    unasked.host = HostFacts{};
    unasked.host.origin = at.facts.host.origin;
    unasked.host.name = unasked.host.expanded = at.facts.host.name;
    const Plan plan = decide(unasked, at.rule);
    const auto* refuse = std::get_if<Refuse>(&plan);
    if (refuse == nullptr || refuse->reason != Reason::mx_not_in_policy) FAIL("another reason: " << text_of(at));
  });
  CHECK(ruled_out > 50);
}

TEST_CASE("STS-02: a configured host, a route's `tls` and `mta_sts: off` leave the policy out of it") {
  every_sts_corner([](const StsCorner& at) {
    if (is_configured(at.host) || at.rule.mta_sts == Mode::off) {
      if (decide(at.facts, at.rule) != without_policy(at)) FAIL("the policy counts: " << text_of(at));
      if (needs_sts(at.facts.host.origin, at.rule)) FAIL("it would be asked for: " << text_of(at));
    } else if (!needs_sts(at.facts.host.origin, at.rule)) {
      FAIL("it would not be asked for: " << text_of(at));
    }
    LocalRule routed = at.rule;
    for (int tls = 0; tls <= static_cast<int>(RouteTls::dane_only); ++tls) {
      routed.route_tls = static_cast<RouteTls>(tls);
      Facts plain = at.facts;
      plain.domain.sts = {};
      if (decide(at.facts, routed) != decide(plain, routed)) FAIL("a route's tls replaces it: " << text_of(at));
      if (needs_sts(at.facts.host.origin, routed)) FAIL("a route's tls replaces it: " << text_of(at));
    }
  });
}

TEST_CASE("STS-13, STS-27: without a policy, or with mode none, the plan is the one without MTA-STS") {
  every_sts_corner([](const StsCorner& at) {
    if (at.sts != StsIs::none && at.sts != StsIs::unfetched && at.sts != StsIs::mode_none) return;
    if (decide(at.facts, at.rule) != without_policy(at)) FAIL("something is left of it: " << text_of(at));
  });
}

TEST_CASE("STS-34: what DANE refuses stays refused, with DANE's reason") {
  every_sts_corner([](const StsCorner& at) {
    const Plan before = without_policy(at);
    if (connects(before)) return;
    if (decide(at.facts, at.rule) != before) FAIL("another answer: " << text_of(at));
  });
}

TEST_CASE("STS-34, STS-36: a policy never lowers a demand: TLS, a check that binds, what happens on failure") {
  every_sts_corner([](const StsCorner& at) {
    const Plan before = without_policy(at);
    const Plan after = decide(at.facts, at.rule);
    if (!connects(before) || !connects(after)) return;
    const Connect& plain = *connects(before);
    const Connect& plan = *connects(after);
    bool sound = plan.tls >= plain.tls && plan.mx_security == plain.mx_security;
    sound = sound && plan.tlsa_unusable == plain.tlsa_unusable;
    if (plain.on_failure == OnFailure::next_host && plain.policy == Policy::dane) {
      sound = sound && plan.on_failure == OnFailure::next_host && plan.dane == plain.dane;
    }
    if (plan.dane) sound = sound && plan.sni == plan.dane->base;
    if (at.rule.default_tls == DefaultTls::encrypt && !is_configured(at.host)) sound = sound && plan.tls == Tls::must;
    if (!sound) FAIL("lowered: " << describe(before) << " -> " << describe(after) << ": " << text_of(at));
  });
}

TEST_CASE(
    "STS-21, STS-22, STS-23: where a policy binds, it is TLS, the MX record's name alone in the certificate, or no "
    "mail") {
  every_sts_corner([](const StsCorner& at) {
    const Plan plan = decide(at.facts, at.rule);
    if (!binds(at)) return;
    const Connect* connect = connects(plan);
    if (at.sts == StsIs::enforce_other && connect) FAIL("connects to a host outside the policy: " << text_of(at));
    if (!connect) return;
    bool sound = connect->policy == Policy::sts && connect->tls == Tls::must;
    sound = sound && connect->on_failure == OnFailure::next_host && !connect->waived;
    sound = sound && connect->pkix && connect->pkix->names == std::vector{at.facts.host.name};
    if (!connect->dane) sound = sound && connect->sni == at.facts.host.name;
    if (!sound) FAIL("weak: " << describe(plan) << ": " << text_of(at));
  });
}

TEST_CASE("STS-26, STS-35: what is observed changes nothing else: without it the plan is the one without the policy") {
  every_sts_corner([](const StsCorner& at) {
    const Plan plan = decide(at.facts, at.rule);
    const Connect* connect = connects(plan);
    if (!connect || !connect->observed || connect->observed->policy == Policy::dane) return;
    Connect bare = *connect;
    bare.observed.reset();
    if (bare.policy == Policy::sts_testing) bare.policy = Policy::opportunistic;
    if (Plan(bare) != without_policy(at)) FAIL("it shows: " << describe(plan) << ": " << text_of(at));
    if (!connect->observed->pkix || connect->observed->dane) FAIL("not the STS check: " << text_of(at));
  });
}

TEST_CASE("audit: a watched policy never refuses and never demands TLS that the operator does not") {
  every_sts_corner([](const StsCorner& at) {
    if (at.rule.mta_sts != Mode::audit) return;
    const Plan before = without_policy(at);
    const Plan after = decide(at.facts, at.rule);
    if ((connects(before) == nullptr) != (connects(after) == nullptr)) FAIL("refuses: " << text_of(at));
    if (connects(after) && connects(after)->tls != connects(before)->tls) FAIL("demands: " << text_of(at));
  });
}

TEST_CASE("default_tls: encrypt changes no plan under MTA-STS but to make TLS a must") {
  every_sts_corner([](const StsCorner& at) {
    if (at.rule.default_tls == DefaultTls::encrypt || is_configured(at.host)) return;
    LocalRule rule = at.rule;
    rule.default_tls = DefaultTls::encrypt;
    Plan expected = decide(at.facts, at.rule);
    if (auto* connect = std::get_if<Connect>(&expected)) {
      connect->tls = Tls::must;
      if (connect->on_failure == OnFailure::plaintext) connect->on_failure = OnFailure::next_host;
    }
    if (decide(at.facts, rule) != expected) FAIL("another plan: " << text_of(at));
  });
}

TEST_CASE("STS-06: a bogus TXT answer counts as an unknown one, with its own reason, and does not wear off") {
  every_sts_corner([](const StsCorner& at) {
    if (at.sts != StsIs::bogus || at.rule.mta_sts != Mode::enforce || is_configured(at.host)) return;
    const Plan plan = decide(at.facts, at.rule);
    if (connects(plan) && !dane_decides(at)) FAIL("connects: " << describe(plan) << ": " << text_of(at));
    if (const auto* refused = std::get_if<Refuse>(&plan)) CHECK(refused->reason == Reason::dnssec_invalid);
  });
  const StsFact bogus = make_sts(StsIs::bogus);
  CHECK(after_waiting(bogus, Seconds{86400}).state == StsFact::State::unknown);
}

TEST_CASE("STS-06: any other failed TXT look-up keeps a message back for its first 15 minutes") {
  const StsFact fact = make_sts(StsIs::unknown);
  CHECK(after_waiting(fact, Seconds{0}).state == StsFact::State::unknown);
  CHECK(after_waiting(fact, Seconds{899}).state == StsFact::State::unknown);
  const StsFact late = after_waiting(fact, Seconds{900});
  CHECK(late.state == StsFact::State::none);
  CHECK(late.problem == fact.problem);  // still to be told
  CHECK(after_waiting(make_sts(StsIs::enforce), Seconds{900}).state == StsFact::State::live);
  CHECK(after_waiting(make_sts(StsIs::none), Seconds{0}).state == StsFact::State::none);
  Facts facts = make_facts(TlsaIs::absent, HostIs::insecure_mx);
  facts.domain.sts = fact;
  CHECK(describe(decide(facts, {})) == "refuse sts dns-failure");
  facts.domain.sts = late;
  CHECK(describe(decide(facts, {})) == "opportunistic if-offered sni=host plaintext");
  facts.domain.sts = StsFact{StsFact::State::unknown, {}, {}, {}};  // nobody said why
  CHECK(describe(decide(facts, {})) == "refuse sts dns-failure");
}

TEST_CASE("STS-20, MX-08: the MX record's name counts, or the domain itself; never where aliases end") {
  Facts facts = make_facts(TlsaIs::absent, HostIs::insecure_mx);  // mx.ex, an alias of real.ex
  const auto plan = [&](const char* mx) {
    facts.domain.sts = {StsFact::State::live, "1", policy_text("enforce", mx), {}};
    return describe(decide(facts, {}));
  };
  CHECK(plan("mx: mx.ex\n") == "sts must pkix=host sni=host next-host");
  CHECK(plan("mx: *.ex\n") == "sts must pkix=host sni=host next-host");
  CHECK(plan("mx: real.ex\n") == "refuse sts mx-not-in-policy");
  facts = make_facts(TlsaIs::absent, HostIs::implicit_unsigned);  // dom.ex, without MX
  CHECK(plan("mx: dom.ex\n") == "sts must pkix=host sni=host next-host");
  CHECK(plan("mx: real.ex\n") == "refuse sts mx-not-in-policy");
}

TEST_CASE(
    "STS-23, MX-06: that a host has no address is not the last word where an enforced policy would have refused it") {
  Facts facts = make_facts(TlsaIs::absent, HostIs::insecure_mx);
  facts.host.addresses.clear();
  facts.host.address_failure.reset();
  const auto reason = [&](StsIs sts, const LocalRule& rule = {}) {
    facts.domain.sts = make_sts(sts);
    return std::get<Refuse>(decide(facts, rule)).reason;
  };
  CHECK(reason(StsIs::enforce_other) == Reason::mx_not_in_policy);
  CHECK(reason(StsIs::unknown) == Reason::dns_failure);
  CHECK_FALSE(reason(StsIs::enforce).has_value());
  CHECK_FALSE(reason(StsIs::testing_other).has_value());
  CHECK_FALSE(reason(StsIs::mode_none).has_value());
  LocalRule rule;
  rule.mta_sts = Mode::audit;
  CHECK_FALSE(reason(StsIs::enforce_other, rule).has_value());
  rule.mta_sts = Mode::off;
  CHECK_FALSE(reason(StsIs::enforce_other, rule).has_value());
}

TEST_CASE("a host without address is refused in the word of the policy that would have governed it") {
  Facts facts = make_facts(TlsaIs::absent, HostIs::insecure_mx);
  facts.host.addresses.clear();
  facts.host.address_failure = Reason::dns_failure;
  const auto plan = [&](StsIs sts, const LocalRule& rule = {}) {
    facts.domain.sts = make_sts(sts);
    return describe(decide(facts, rule));
  };
  CHECK(plan(StsIs::enforce) == "refuse sts dns-failure");
  CHECK(plan(StsIs::testing) == "refuse sts-testing dns-failure");
  CHECK(plan(StsIs::mode_none) == "refuse opportunistic dns-failure");
  CHECK(plan(StsIs::unfetched) == "refuse opportunistic dns-failure");
  LocalRule off;
  off.mta_sts = Mode::off;
  CHECK(plan(StsIs::enforce, off) == "refuse opportunistic dns-failure");
}

TEST_CASE("a host outside the policy is told what the policy names, shortly") {
  const auto refused = std::get<Refuse>(plan_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce_other));
  CHECK(refused.text == "the domain's MTA-STS policy names only real.ex, *.mx.ex, x.ex");
  Facts facts = make_facts(TlsaIs::absent, HostIs::insecure_mx);
  std::string many;
  for (int i = 0; i < 100; ++i) many += "mx: m" + std::to_string(i) + ".x.ex\n";
  facts.domain.sts = {StsFact::State::live, "1", policy_text("enforce", many), {}};
  CHECK(std::get<Refuse>(decide(facts, {})).text ==
        "the domain's MTA-STS policy names only m0.x.ex, m1.x.ex, m2.x.ex, m3.x.ex and 96 more");
}

TEST_CASE("TLS-08: plans under MTA-STS differ exactly when their digests differ") {
  std::map<std::string, Connect> by_digest;
  every_sts_corner([&](const StsCorner& at) {
    const Plan plan = decide(at.facts, at.rule);
    if (!connects(plan)) return;
    const auto [found, added] = by_digest.emplace(digest(*connects(plan)), *connects(plan));
    if (!added && !(found->second == *connects(plan))) FAIL("two plans, one digest: " << found->first);
  });
  CHECK(by_digest.size() > 60);
}

}  // namespace hop_sts_properties_test
