// SPDX-License-Identifier: Apache-2.0
#include "hop/with_sts.h"

#include <algorithm>

#include "mtasts/match.h"

namespace hoplock::hop {

namespace {
using StsState = StsFact::State;

std::string named_by(const mtasts::Policy& policy) {
  constexpr std::size_t shown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(shown, policy.mx.size()); ++i) {
    text += (i == 0 ? "" : ", ") + mtasts::to_text(policy.mx[i]);
  }
  if (policy.mx.size() > shown) text += " and " + std::to_string(policy.mx.size() - shown) + " more";
  return text;
}

// What would refuse the host before any connection. STS-20: the MX record's name counts, not where its aliases end.
std::optional<Refusal> known_defect(const Facts& facts) {
  const StsFact& sts = facts.domain.sts;
  if (sts.state == StsState::unknown) {  // STS-06
    return sts.problem.value_or(Refusal{Reason::dns_failure, "the MTA-STS record could not be looked up"});
  }
  if (mtasts::matches(sts.policy, facts.host.name)) return std::nullopt;
  return Refusal{Reason::mx_not_in_policy, "the domain's MTA-STS policy names only " + named_by(sts.policy)};
}

PkixCheck check_of(const Facts& facts) { return {{facts.host.name}}; }  // STS-21: no other reference name

Observed observed(Policy word, const Facts& facts) {
  return {word, known_defect(facts), std::nullopt, check_of(facts)};
}

// Whether DANE is more than watched; also when all its records are unusable.
bool dane_binds(const Connect& plan) { return plan.policy == Policy::dane && plan.on_failure == OnFailure::next_host; }
bool dane_watched(const Connect& plan) { return plan.policy == Policy::dane && plan.on_failure == OnFailure::audit; }

// STS-35: with a secure MX RRset a spoofed host is excluded and the TLSA match authenticates the peer.
bool dane_decides(const Connect& plan) { return plan.dane && plan.mx_security == dns::Security::secure; }

// A policy that binds lets a watched DANE be no more than an observation.
void make_dane_observed(Connect& plan) {
  if (plan.dane || plan.waived) plan.observed = Observed{Policy::dane, plan.waived, std::move(plan.dane), std::nullopt};
  plan.dane.reset();
  plan.waived.reset();
}

void demand(Connect& plan, const Facts& facts) {
  plan.policy = Policy::sts;
  plan.pkix = check_of(facts);
  if (!plan.dane) plan.sni = facts.host.name;  // STS-22; with a DANE check the base domain stays (TLS-03)
}

// `mta_sts: enforce`.
Plan enforced(Connect plan, const Facts& facts) {
  if (auto defect = known_defect(facts)) return Refuse{Policy::sts, defect->reason, std::move(defect->text)};
  if (dane_watched(plan)) make_dane_observed(plan);
  demand(plan, facts);
  plan.tls = Tls::must;
  plan.on_failure = OnFailure::next_host;
  return plan;
}

// `mta_sts: audit`: the same checks; failing them is told and mail goes on, but for what binds besides.
Plan watched(Connect plan, const Facts& facts) {
  if (dane_binds(plan)) {
    if (facts.domain.sts.state == StsState::live) plan.observed = observed(Policy::sts, facts);
    return plan;
  }
  plan.policy = Policy::sts;
  plan.on_failure = OnFailure::audit;
  if (facts.domain.sts.state == StsState::live) demand(plan, facts);
  if (!plan.waived) plan.waived = known_defect(facts);
  return plan;
}

Plan layered(Connect plan, const Facts& facts, Mode mode) {
  const StsFact& sts = facts.domain.sts;
  const bool live = sts.state == StsState::live;
  if (live && sts.policy.mode == mtasts::Mode::testing) {
    if (plan.policy == Policy::opportunistic) plan.policy = Policy::sts_testing;
    plan.observed = observed(Policy::sts_testing, facts);
    return plan;
  }
  if (dane_decides(plan) && (dane_binds(plan) || mode == Mode::audit)) {
    if (live) plan.observed = observed(Policy::sts, facts);
    return plan;
  }
  return mode == Mode::enforce ? enforced(std::move(plan), facts) : watched(std::move(plan), facts);
}
}  // namespace

std::optional<Policy> sts_policy(const StsFact& fact) {
  if (fact.state == StsState::none || (fact.state == StsState::live && fact.policy.mode == mtasts::Mode::none)) {
    return std::nullopt;
  }
  return fact.state == StsState::live && fact.policy.mode == mtasts::Mode::testing ? Policy::sts_testing : Policy::sts;
}

std::optional<Refuse> refused_by_sts(const Facts& facts, Mode mode) {
  if (mode != Mode::enforce || sts_policy(facts.domain.sts) != Policy::sts) return std::nullopt;
  auto defect = known_defect(facts);
  if (!defect) return std::nullopt;
  return Refuse{Policy::sts, defect->reason, std::move(defect->text)};
}

Plan with_sts(Plan plan, const Facts& facts, Mode mode) {
  auto* connect = std::get_if<Connect>(&plan);
  if (connect == nullptr || !sts_policy(facts.domain.sts)) return plan;
  return layered(std::move(*connect), facts, mode);
}

}  // namespace hoplock::hop
