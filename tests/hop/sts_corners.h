// SPDX-License-Identifier: Apache-2.0
// The corners that MTA-STS adds to those of corners.h.
#pragma once
#include <functional>

#include "tests/hop/corners.h"

namespace hoplock::hop::testing {

// What holds for the domain; `…_other`: the policy names other hosts only.
enum class StsIs { none, unfetched, mode_none, testing, testing_other, enforce, enforce_other, unknown, bogus };

inline constexpr std::array all_sts{StsIs::none,          StsIs::unfetched,     StsIs::mode_none,
                                    StsIs::testing,       StsIs::testing_other, StsIs::enforce,
                                    StsIs::enforce_other, StsIs::unknown,       StsIs::bogus};

inline mtasts::Policy policy_text(const std::string& mode, const std::string& mx) {
  return mtasts::parse_policy("version: STSv1\nmax_age: 604800\nmode: " + mode + "\n" + mx).value();
}

inline StsFact make_sts(StsIs is) {
  using State = StsFact::State;
  const std::string ours = "mx: mx.ex\nmx: dom.ex\n";  // the hosts of make_facts, as MX records name them
  const std::string others = "mx: real.ex\nmx: *.mx.ex\nmx: x.ex\n";  // the alias's target is another host (STS-20)
  switch (is) {
    case StsIs::none:
      return {};
    case StsIs::unfetched:
      return {State::none, {}, {}, Refusal{Reason::sts_policy_fetch_error, "HTTP 500"}};
    case StsIs::mode_none:
      return {State::live, "1", policy_text("none", ""), {}};
    case StsIs::testing:
      return {State::live, "1", policy_text("testing", ours), {}};
    case StsIs::testing_other:
      return {State::live, "1", policy_text("testing", others), {}};
    case StsIs::enforce:
      return {State::live, "1", policy_text("enforce", ours), {}};
    case StsIs::enforce_other:
      return {State::live, "1", policy_text("enforce", others), {}};
    case StsIs::unknown:
      return {State::unknown, {}, {}, Refusal{Reason::dns_failure, "SERVFAIL"}};
    case StsIs::bogus:
      return {State::unknown, {}, {}, Refusal{Reason::dnssec_invalid, "bogus"}};
  }
  return {};
}

struct StsCorner {
  TlsaIs tlsa;
  HostIs host;
  StsIs sts;
  Facts facts;
  LocalRule rule;
};

inline std::string text_of(const StsCorner& at) {
  const auto number = [](auto value) { return std::to_string(static_cast<int>(value)); };
  return "tlsa " + number(at.tlsa) + " host " + number(at.host) + " sts " + number(at.sts) + " dane " +
         number(at.rule.dane) + " mta_sts " + number(at.rule.mta_sts);
}

// Every corner without a route's `tls`.
inline void every_sts_corner(const std::function<void(const StsCorner&)>& visit) {
  for (const auto tlsa : all_tlsa) {
    for (const auto host : all_hosts) {
      for (const auto sts : all_sts) {
        Facts facts = make_facts(tlsa, host);
        facts.domain.sts = make_sts(sts);
        for (const auto dane : {Mode::enforce, Mode::audit, Mode::off}) {
          for (const auto mta_sts : {Mode::enforce, Mode::audit, Mode::off}) {
            for (const auto tls : {DefaultTls::opportunistic, DefaultTls::encrypt}) {
              visit({tlsa, host, sts, facts, LocalRule{dane, mta_sts, tls, std::nullopt, {}}});
            }
          }
        }
      }
    }
  }
}

inline Plan plan_with(TlsaIs tlsa, HostIs host, StsIs sts, const LocalRule& rule = {}) {
  Facts facts = make_facts(tlsa, host);
  facts.domain.sts = make_sts(sts);
  return decide(facts, rule);
}

}  // namespace hoplock::hop::testing
