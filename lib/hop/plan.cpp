// SPDX-License-Identifier: Apache-2.0
#include "hop/plan.h"

#include "dane/base_domain.h"
#include "dane/usable.h"
#include "hop/mandate.h"
#include "hop/with_sts.h"
#include "mtasts/match.h"

namespace hoplock::hop {

namespace {
using Origin = HostFacts::Origin;
using State = TlsaFact::State;

bool is_configured(Origin origin) { return origin == Origin::route_name || origin == Origin::literal; }

// Whether nobody but the domain's owner (RFC 7672 section 2.2.1) or our operator can have chosen this host.
dns::Security selection(const Facts& facts) {
  return is_configured(facts.host.origin) ? dns::Security::secure : facts.domain.mx_security;
}

// A route's `tls` replaces `security.dane`: only its two DANE levels ask for TLSA, and those mean it.
Mode own_dane_mode(Origin origin, const LocalRule& rule) {
  if (!rule.route_tls) return is_configured(origin) ? Mode::off : rule.dane;
  const bool wanted = *rule.route_tls == RouteTls::dane || *rule.route_tls == RouteTls::dane_only;
  return wanted ? Mode::enforce : Mode::off;
}

// A mandate for DANE binds whatever the operator's other rules make of it; under an exception from it a route's `tls` stands.
Mode dane_mode(Origin origin, const LocalRule& rule) {
  if (origin == Origin::literal) return Mode::off;
  if (rule.mandate == Mandate::dane) return Mode::enforce;
  const Mode own = own_dane_mode(origin, rule);
  const bool silent =
      !rule.route_tls || *rule.route_tls == RouteTls::none || *rule.route_tls == RouteTls::opportunistic;
  return own == Mode::off && silent && rule.mandate == Mandate::dane_audit ? Mode::audit : own;
}

Policy local_policy(const LocalRule& rule) { return rule.route_tls ? Policy::route : Policy::opportunistic; }

// What governs a host that is refused before DANE could.
Policy governing(const Facts& facts, const LocalRule& rule) {
  return needs_sts(facts.host.origin, rule) ? sts_policy(facts.domain.sts).value_or(local_policy(rule))
                                            : local_policy(rule);
}

Connect opportunistic(const Facts& facts) {
  Connect plan;
  plan.sni = facts.host.name;
  plan.mx_security = selection(facts);
  return plan;
}

void demand_tls(Connect& plan) {
  plan.tls = Tls::must;
  plan.on_failure = OnFailure::next_host;
}

// Data of a bogus answer is never used, whatever the operator waives (DNS-06).
std::optional<Refuse> without_address(const Facts& facts, const LocalRule& rule) {
  if (selection(facts) == dns::Security::bogus) {
    return Refuse{governing(facts, rule), Reason::dnssec_invalid, "the MX records failed DNSSEC validation"};
  }
  // One family's failure does not matter beside the other's addresses.
  if (!facts.host.addresses.empty()) return std::nullopt;
  if (!facts.host.address_failure && needs_sts(facts.host.origin, rule)) {
    if (auto refused = refused_by_sts(facts, rule.mta_sts)) return refused;
  }
  return Refuse{governing(facts, rule), facts.host.address_failure, facts.host.why_no_address};
}

// The base of a plan for a host that TLSA governs. Under audit the hop goes on as if DANE were off, so only the
// operator's own `default_tls` can make TLS a must.
Connect under_dane(const Facts& facts, const LocalRule& rule) {
  Connect plan = opportunistic(facts);
  plan.policy = Policy::dane;
  if (dane_mode(facts.host.origin, rule) == Mode::enforce) {
    demand_tls(plan);
  } else {
    plan.tls = rule.default_tls == DefaultTls::encrypt ? Tls::must : Tls::if_offered;
    plan.on_failure = OnFailure::audit;
  }
  return plan;
}

// Any failed TLSA look-up makes the host unreachable (DANE-06): no connection, no clear text, no fall to another
// policy.
Plan after_failed_tlsa(const Facts& facts, const LocalRule& rule) {
  const std::string text = "TLSA look-up failed: " + facts.host.tlsa.why;
  if (dane_mode(facts.host.origin, rule) == Mode::enforce) return Refuse{Policy::dane, Reason::dnssec_invalid, text};
  Connect plan = under_dane(facts, rule);
  plan.waived = Refusal{Reason::dnssec_invalid, text};
  return plan;
}

std::vector<dns::Name> reference_names(const Facts& facts) {
  using From = dane::NameState::From;
  const bool secure = selection(facts) == dns::Security::secure;
  dane::NameState state{facts.host.tlsa.base, facts.host.name, From::no_mx, {}};
  switch (facts.host.origin) {
    case Origin::mx:
      state.from = secure ? From::secure_mx : From::insecure_mx;
      state.next_hop = {facts.domain.domain, facts.domain.expanded};
      break;
    case Origin::implicit_mx:
      if (secure)
        state.next_hop = {facts.domain.domain};  // DANE-32: an alias without MX keeps its own name, if it is secure
      break;
    case Origin::route_name:
    case Origin::literal:
      break;  // DANE-33: recipient domains say nothing about a configured host
  }
  return dane::reference_names(state);
}

// A secure RRset stands at the host (DANE-09, DANE-10, DANE-35).
Plan bound_by_tlsa(const Facts& facts, const LocalRule& rule) {
  const bool mandatory = rule.route_tls == RouteTls::dane_only;
  if (mandatory && selection(facts) != dns::Security::secure) {
    return Refuse{Policy::route, Reason::dane_required,
                  "DANE is required, but the MX records are not secured by DNSSEC"};
  }
  auto records = dane::usable(facts.host.tlsa.records);
  if (mandatory && records.empty()) {
    return Refuse{Policy::dane, Reason::tlsa_invalid, "DANE is required, but no TLSA record is usable"};
  }
  Connect plan = under_dane(facts, rule);
  plan.sni = facts.host.tlsa.base;  // RFC 7672 section 8.1
  if (records.empty()) {
    plan.tlsa_unusable = true;
  } else {
    plan.dane = DaneCheck{facts.host.tlsa.base, std::move(records), reference_names(facts)};
  }
  return plan;
}

Plan verified(Connect plan, const Facts& facts, const LocalRule& rule) {
  PkixCheck check{rule.verify_names};
  if (check.names.empty()) {
    if (facts.host.origin == Origin::literal) {
      return Refuse{Policy::route, Reason::certificate_host_mismatch,
                    "an address has no name that a certificate could be verified for"};
    }
    check.names.push_back(facts.host.name);
  }
  demand_tls(plan);
  plan.pkix = std::move(check);
  return plan;
}

// No TLSA governs the host: the route's `tls`, else `default_tls`.
Plan by_local_rule(const Facts& facts, const LocalRule& rule) {
  Connect plan = opportunistic(facts);
  plan.policy = local_policy(rule);
  if (!rule.route_tls) {
    if (rule.default_tls == DefaultTls::encrypt && !is_configured(facts.host.origin)) demand_tls(plan);
    return plan;
  }
  switch (*rule.route_tls) {
    case RouteTls::none:
      plan.tls = Tls::never;
      plan.sni = {};
      return plan;
    case RouteTls::opportunistic:
    case RouteTls::dane:
      return plan;
    case RouteTls::encrypt:
      demand_tls(plan);
      return plan;
    case RouteTls::verify:
      return verified(std::move(plan), facts, rule);
    case RouteTls::dane_only:
      break;
  }
  return Refuse{Policy::route, Reason::dane_required, "DANE is required, but no TLSA record is secured by DNSSEC"};
}

// DANE, or where it is not in use the operator's own rule.
Plan without_sts(const Facts& facts, const LocalRule& rule) {
  if (needs_tlsa(facts.host.origin, rule)) {
    switch (facts.host.tlsa.state) {
      case State::failed:
        return after_failed_tlsa(facts, rule);
      case State::present:
        return bound_by_tlsa(facts, rule);
      case State::not_asked:
      case State::absent:
        break;  // DANE is not in use at this host (DANE-08)
    }
  }
  return by_local_rule(facts, rule);
}
}  // namespace

bool needs_tlsa(Origin origin, const LocalRule& rule) { return dane_mode(origin, rule) != Mode::off; }

LocalRule for_report(LocalRule rule, Origin origin) {
  rule.dane = Mode::off;
  rule.mta_sts = Mode::off;
  rule.default_tls = DefaultTls::opportunistic;
  if (!is_configured(origin) || rule.mandate > Mandate::verify) rule.mandate = Mandate::none;
  if (!rule.route_tls || *rule.route_tls == RouteTls::none) return rule;
  const bool own =
      is_configured(origin) && (*rule.route_tls == RouteTls::encrypt || *rule.route_tls == RouteTls::verify);
  if (!own) rule.route_tls = RouteTls::opportunistic;
  return rule;
}

bool needs_sts(Origin origin, const LocalRule& rule) {
  return !is_configured(origin) && !rule.route_tls && rule.mta_sts != Mode::off;
}

bool is_ruled_out(const DomainFacts& domain, const dns::Name& host, const LocalRule& rule) {
  const bool binds = needs_sts(Origin::mx, rule) && rule.mta_sts == Mode::enforce;
  const bool in_force = domain.sts.state == StsFact::State::live && domain.sts.policy.mode == mtasts::Mode::enforce;
  if (!binds || !in_force || mtasts::matches(domain.sts.policy, host)) return false;
  if (domain.mx_security == dns::Security::insecure) return true;
  return domain.mx_security == dns::Security::secure && dane_mode(Origin::mx, rule) == Mode::off;
}

StsFact after_waiting(StsFact fact, Seconds waited) {
  const bool bogus = fact.problem && fact.problem->reason == Reason::dnssec_invalid;
  if (fact.state == StsFact::State::unknown && !bogus && std::max(waited, fact.unknown_for) >= sts_patience)
    fact.state = StsFact::State::none;
  return fact;
}

Plan decide(const Facts& facts, const LocalRule& rule) {
  if (auto refused = without_address(facts, rule)) return *refused;
  Plan plan = without_sts(facts, rule);
  if (needs_sts(facts.host.origin, rule)) plan = with_sts(std::move(plan), facts, rule.mta_sts);
  return with_mandate(std::move(plan), facts, rule.mandate);
}

}  // namespace hoplock::hop
