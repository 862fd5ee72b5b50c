// SPDX-License-Identifier: Apache-2.0
#include "hop/mandate.h"

#include <utility>

namespace hoplock::hop {

namespace {

bool is_bound(const Connect& plan) { return plan.on_failure == OnFailure::next_host; }

Refusal no_dane(const Connect& plan) {
  if (plan.tlsa_unusable)
    return {Reason::tlsa_invalid, "DANE is required of this partner, but no TLSA record is usable"};
  if (plan.dane)
    return {Reason::dane_required, "DANE is required of this partner, but the MX records are not secured by DNSSEC"};
  return {Reason::dane_required, "DANE is required of this partner, but no TLSA record is secured by DNSSEC"};
}

Plan with_tls(Connect plan) {
  if (plan.tls == Tls::must) return plan;
  plan.tls = Tls::must;  // under audit only what was watched is let pass, but in no case clear text
  if (plan.on_failure == OnFailure::plaintext) {
    plan.policy = Policy::route;
    plan.on_failure = OnFailure::next_host;
  }
  return plan;
}

// What audit let pass decides nothing any more: it is observed.
void make_observed(Connect& plan, const Facts& facts) {
  if (plan.on_failure != OnFailure::audit) return;
  const bool failed = facts.host.tlsa.state == TlsaFact::State::failed && plan.waived;
  if (plan.dane || failed) {
    plan.observed = Observed{Policy::dane, failed ? plan.waived : std::nullopt, std::move(plan.dane), std::nullopt};
  } else if (plan.policy == Policy::sts) {
    plan.observed = Observed{Policy::sts, plan.waived, std::nullopt, std::move(plan.pkix)};
  }
  plan.dane.reset();
  plan.waived.reset();
}

Plan verified(Connect plan, const Facts& facts) {
  if (is_bound(plan) && (plan.dane || plan.pkix)) return plan;
  if (facts.host.origin == HostFacts::Origin::literal) {
    return Refuse{
        Policy::route, Reason::certificate_host_mismatch,
        "a verified certificate is required of this partner, but an address has no name that it could be verified for"};
  }
  make_observed(plan, facts);
  plan.policy = Policy::route;
  plan.tls = Tls::must;
  plan.on_failure = OnFailure::next_host;
  plan.pkix = PkixCheck{{facts.host.name}};
  plan.sni = facts.host.name;
  return plan;
}

// decide() binds TLSA records under this mandate; here only what has none is left.
Plan required(Connect plan) {
  if (is_bound(plan) && plan.dane && plan.mx_security == dns::Security::secure) return plan;
  const Refusal why = no_dane(plan);
  return Refuse{plan.tlsa_unusable ? Policy::dane : Policy::route, why.reason, why.text};
}

Plan watched(Connect plan) {
  const bool fails = !plan.dane || plan.mx_security != dns::Security::secure;
  if (!fails || plan.waived) return plan;
  if (is_bound(plan)) {  // by another rule, which stands
    if (!plan.observed) plan.observed = Observed{Policy::dane, no_dane(plan), std::nullopt, std::nullopt};
    return plan;
  }
  plan.waived = no_dane(plan);
  if (plan.on_failure == OnFailure::plaintext) plan.policy = Policy::route;
  plan.on_failure = OnFailure::audit;
  return plan;
}

}  // namespace

Plan with_mandate(Plan plan, const Facts& facts, Mandate mandate) {
  auto* connect = std::get_if<Connect>(&plan);
  if (connect == nullptr || mandate == Mandate::none) return plan;
  if (connect->tls == Tls::never && mandate != Mandate::dane_audit) {
    return Refuse{Policy::route, Reason::starttls_not_supported,
                  "TLS is required of this partner, but the route to this host forbids it"};
  }
  switch (mandate) {
    case Mandate::none:
      break;
    case Mandate::encrypt:
      return with_tls(std::move(*connect));
    case Mandate::verify:
      return verified(std::move(*connect), facts);
    case Mandate::dane_audit:
      return watched(std::move(*connect));
    case Mandate::dane:
      return required(std::move(*connect));
  }
  return plan;
}

}  // namespace hoplock::hop
