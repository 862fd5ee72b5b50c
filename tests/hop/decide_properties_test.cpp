// SPDX-License-Identifier: Apache-2.0
// What must hold in every corner of Facts × LocalRule, whatever the table says: the promises, walked exhaustively.
#include <doctest/doctest.h>

#include <functional>
#include <map>

#include "dane/usable.h"
#include "tests/hop/corners.h"

namespace hop_decide_properties_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
struct Corner {
  Facts facts;
  LocalRule rule;
};

using Visit = std::function<void(const Corner&)>;

void with_every_rule(const Facts& facts, const Visit& visit) {
  for (const auto dane : {Mode::enforce, Mode::audit, Mode::off}) {
    for (const auto sts : {Mode::enforce, Mode::audit, Mode::off}) {
      for (const auto tls : {DefaultTls::opportunistic, DefaultTls::encrypt}) {
        for (int route = -1; route <= static_cast<int>(RouteTls::dane_only); ++route) {
          for (const bool names : {false, true}) {
            LocalRule rule{dane, sts, tls, std::nullopt, {}};
            if (route >= 0) rule.route_tls = static_cast<RouteTls>(route);
            if (names) rule.verify_names = {name("verify.ex")};
            visit({facts, rule});
          }
        }
      }
    }
  }
}

void every_corner(const Visit& visit) {
  for (const auto tlsa : all_tlsa) {
    for (const auto host : all_hosts) {
      for (const auto security : {dns::Security::secure, dns::Security::insecure, dns::Security::bogus}) {
        for (int address = 0; address < 4; ++address) {
          Facts facts = make_facts(tlsa, host);
          facts.domain.mx_security = security;
          if (address > 0) facts.host.addresses.clear();
          if (address == 1) facts.host.address_failure = Reason::dnssec_invalid;
          if (address == 2) facts.host.address_failure = Reason::dns_failure;
          with_every_rule(facts, visit);
        }
      }
    }
  }
}

bool enforces_dane(const Corner& corner) {
  return needs_tlsa(corner.facts.host.origin, corner.rule) &&
         (corner.rule.route_tls || corner.rule.dane == Mode::enforce);
}

const Connect* connects(const Plan& plan) { return std::get_if<Connect>(&plan); }
}  // namespace

TEST_CASE(
    "DANE-06, DANE-09, DANE-10: under enforce, in every corner: failed TLSA never connects, present TLSA never goes "
    "without TLS") {
  int looked_at = 0;
  every_corner([&](const Corner& corner) {
    if (!enforces_dane(corner)) return;
    const Plan plan = decide(corner.facts, corner.rule);
    const auto& tlsa = corner.facts.host.tlsa;
    bool kept = true;
    if (tlsa.state == TlsaFact::State::failed) kept = !connects(plan);
    if (tlsa.state == TlsaFact::State::present && connects(plan)) {
      const auto usable = dane::usable(tlsa.records);
      kept = connects(plan)->tls == Tls::must && connects(plan)->on_failure == OnFailure::next_host &&
             connects(plan)->policy == Policy::dane && !connects(plan)->waived;
      kept = kept && connects(plan)->dane.has_value() == !usable.empty() &&
             connects(plan)->tlsa_unusable == usable.empty();
      if (!usable.empty())
        kept = kept && connects(plan)->dane->records == usable && !connects(plan)->dane->names.empty();
    }
    if (!kept) FAIL("broken by: " << describe(plan));
    ++looked_at;
  });
  CHECK(looked_at > 10000);
}

TEST_CASE("DANE-02, DNS-06: in every corner: no address or bogus MX records, no connection") {
  every_corner([](const Corner& corner) {
    const auto& host = corner.facts.host;
    const bool configured = host.origin == HostFacts::Origin::route_name || host.origin == HostFacts::Origin::literal;
    const bool bogus = corner.facts.domain.mx_security == dns::Security::bogus && !configured;
    if (!bogus && !host.addresses.empty()) return;
    if (connects(decide(corner.facts, corner.rule))) FAIL("connects without an address");
  });
}

TEST_CASE("DANE-33, DANE-36: in every corner: where needs_tlsa says no, TLSA changes nothing") {
  every_corner([](const Corner& corner) {
    if (needs_tlsa(corner.facts.host.origin, corner.rule)) return;
    Facts without = corner.facts;
    without.host.tlsa = make_tlsa(TlsaIs::not_asked);
    if (decide(corner.facts, corner.rule) != decide(without, corner.rule)) FAIL("TLSA counts where it must not");
  });
}

TEST_CASE("the shape of every plan holds together, in every corner") {
  every_corner([](const Corner& corner) {
    const Plan plan = decide(corner.facts, corner.rule);
    if (!connects(plan)) return;
    const Connect& connect = *connects(plan);
    const bool checks = connect.dane || connect.pkix;
    bool sound = true;
    // a check without the means to refuse exists only where the operator watches
    if (checks) sound = sound && connect.on_failure != OnFailure::plaintext && connect.tls != Tls::never;
    if (connect.tls == Tls::must) sound = sound && connect.on_failure != OnFailure::plaintext;
    if (connect.on_failure == OnFailure::next_host) sound = sound && connect.tls == Tls::must;
    // only audit waives, and only TLSA of `security.dane: audit` makes an audit plan
    if (connect.waived) sound = sound && connect.on_failure == OnFailure::audit;
    if (connect.on_failure == OnFailure::audit) {
      sound = sound && corner.rule.dane == Mode::audit && !corner.rule.route_tls && connect.policy == Policy::dane;
    }
    if (connect.dane)
      sound = sound && !connect.dane->records.empty() && connect.sni == connect.dane->base && !connect.tlsa_unusable;
    if (connect.dane) sound = sound && connect.dane->names.front() == connect.dane->base;
    if (connect.pkix) sound = sound && !connect.pkix->names.empty();
    if (corner.facts.host.origin == HostFacts::Origin::literal) sound = sound && connect.sni.is_root() && !connect.dane;
    if (connect.mx_security == dns::Security::bogus) sound = false;
    // the operator's own demand for TLS stands whatever DNS says
    const bool encrypt = corner.rule.route_tls == RouteTls::encrypt || corner.rule.route_tls == RouteTls::verify;
    const bool by_default = !corner.rule.route_tls && corner.rule.default_tls == DefaultTls::encrypt &&
                            corner.facts.host.origin < HostFacts::Origin::route_name;
    if (encrypt || by_default) sound = sound && connect.tls == Tls::must;
    if (!sound) FAIL("unsound: " << describe(plan));
  });
}

TEST_CASE("DANE-38: decide depends on nothing but its arguments, and mta_sts changes nothing yet") {
  every_corner([](const Corner& corner) {
    LocalRule other = corner.rule;
    other.mta_sts = Mode::off;
    if (decide(corner.facts, corner.rule) != decide(corner.facts, other)) FAIL("two answers");
  });
}

TEST_CASE("TLS-08: plans differ exactly when their digests differ, in every corner") {
  std::map<std::string, Connect> by_digest;
  every_corner([&](const Corner& corner) {
    const Plan plan = decide(corner.facts, corner.rule);
    if (!connects(plan)) return;
    const auto [at, added] = by_digest.emplace(digest(*connects(plan)), *connects(plan));
    if (!added && !(at->second == *connects(plan))) FAIL("two plans, one digest: " << at->first);
  });
  CHECK(by_digest.size() > 30);
}

}  // namespace hop_decide_properties_test
