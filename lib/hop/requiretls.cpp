// SPDX-License-Identifier: Apache-2.0
#include "hop/requiretls.h"

#include <utility>

#include "mtasts/match.h"

namespace hoplock::hop {

namespace {
using Origin = HostFacts::Origin;

Refuse unfit(std::string text) {
  return {Policy::requiretls, Reason::requiretls_not_supported, std::move(text), "7.10"};
}

bool is_named_by_sts(const Facts& facts) {
  const StsFact& sts = facts.domain.sts;
  return sts.state == StsFact::State::live && sts.policy.mode == mtasts::Mode::enforce &&
         mtasts::matches(sts.policy, facts.host.name);
}

// RTLS-04: whether the host's name is trusted input. Nothing: it is.
std::optional<Refuse> untrusted_name(const Facts& facts) {
  const bool chosen_by_dns = facts.host.origin == Origin::mx;
  if (!chosen_by_dns || facts.domain.mx_security == dns::Security::secure || is_named_by_sts(facts)) return {};
  const StsFact& sts = facts.domain.sts;
  if (sts.state != StsFact::State::live && sts.problem) {
    return Refuse{Policy::requiretls, sts.problem->reason,
                  "the MX records are not signed, and whether an MTA-STS policy names the host is not known: " +
                      sts.problem->text};
  }
  return unfit("REQUIRETLS: the MX records are not signed, and no MTA-STS policy in force names the host");
}

std::vector<dns::Name> names_of(const Facts& facts, const LocalRule& rule) {
  const bool configured = facts.host.origin == Origin::route_name || facts.host.origin == Origin::literal;
  const bool given = rule.route_tls == RouteTls::verify && !rule.verify_names.empty();
  if (configured && given) return rule.verify_names;
  if (facts.host.origin == Origin::literal) return {};
  return {facts.host.name};
}

// What the operator only watches binds this message.
LocalRule with_audit_enforced(LocalRule rule) {
  if (rule.dane == Mode::audit) rule.dane = Mode::enforce;
  if (rule.mta_sts == Mode::audit) rule.mta_sts = Mode::enforce;
  if (rule.mandate == Mandate::dane_audit) rule.mandate = Mandate::dane;
  return rule;
}

Plan required(const Facts& facts, const LocalRule& rule) {
  Plan plan = decide(facts, rule);
  auto* connect = std::get_if<Connect>(&plan);
  if (connect == nullptr) return plan;
  if (connect->tls == Tls::never) return unfit("REQUIRETLS: the route to this host forbids TLS");
  if (auto refused = untrusted_name(facts)) return *std::move(refused);
  auto names = names_of(facts, rule);
  if (names.empty()) return unfit("REQUIRETLS: an address has no name that a certificate could be verified for");
  if (!connect->dane && !connect->pkix) connect->pkix = PkixCheck{names};
  connect->required = Required{connect->policy, std::move(names)};
  connect->policy = Policy::requiretls;
  connect->tls = Tls::must;
  connect->on_failure = OnFailure::next_host;
  connect->waived.reset();
  return plan;
}

LocalRule without_published(LocalRule rule) {
  rule.dane = Mode::off;
  rule.mta_sts = Mode::off;
  if (rule.route_tls == RouteTls::dane) rule.route_tls = RouteTls::opportunistic;
  return rule;
}

// Whether a policy that the domain published decides here.
bool is_bound(const Plan& plan) {
  const auto* connect = std::get_if<Connect>(&plan);
  if (connect == nullptr) return true;
  const bool published = connect->policy == Policy::dane || connect->policy == Policy::sts;
  return published && connect->on_failure == OnFailure::next_host;
}

Plan relaxed(const Facts& facts, const LocalRule& rule) {
  Plan strict = decide(facts, rule);
  const bool mandated = rule.mandate >= Mandate::verify;
  if (mandated || !is_bound(strict)) return strict;  // what the domain publishes is the proof that the operator demands
  Plan plan = decide(facts, without_published(rule));
  if (auto* connect = std::get_if<Connect>(&plan)) {
    connect->waived = Refusal{Reason::tls_required_no, "the sender waives the policy of the recipient's domain"};
  }
  return plan;
}
}  // namespace

Plan decide(const Facts& facts, const LocalRule& rule, TlsRequest request) {
  switch (request) {
    case TlsRequest::require_tls:
      return required(facts, with_audit_enforced(rule));
    case TlsRequest::tls_not_required:
      return relaxed(facts, rule);
    case TlsRequest::nothing:
      break;
  }
  return decide(facts, rule);
}

}  // namespace hoplock::hop
