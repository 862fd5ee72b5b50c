// SPDX-License-Identifier: Apache-2.0
// The corners of the decision, by name: what DNS says of a host, how the host was selected, what the operator demands; and plans
// and verdicts as one line of text, so that a table of them reads like the specification.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "hop/outcome.h"
#include "hop/plan.h"
#include "tests/hop/digest.h"

namespace hoplock::hop::testing {

enum class TlsaIs { not_asked, absent, failed, unusable, mixed, usable };
enum class HostIs { secure_mx, insecure_mx, implicit, implicit_unsigned, routed, literal };
// `security` with default_tls opportunistic or (…_encrypt) encrypt; or a route's `tls`.
enum class Demand {
  enforce,
  enforce_encrypt,
  audit,
  audit_encrypt,
  off,
  off_encrypt,
  none,
  opportunistic,
  encrypt,
  verify,
  dane,
  dane_only,
};

inline constexpr std::array all_tlsa{TlsaIs::not_asked, TlsaIs::absent, TlsaIs::failed,
                                     TlsaIs::unusable,  TlsaIs::mixed,  TlsaIs::usable};
inline constexpr std::array all_hosts{HostIs::secure_mx,         HostIs::insecure_mx, HostIs::implicit,
                                      HostIs::implicit_unsigned, HostIs::routed,      HostIs::literal};
inline constexpr std::array all_demands{Demand::enforce, Demand::enforce_encrypt, Demand::audit, Demand::audit_encrypt,
                                        Demand::off,     Demand::off_encrypt,     Demand::none,  Demand::opportunistic,
                                        Demand::encrypt, Demand::verify,          Demand::dane,  Demand::dane_only};

inline dns::Name name(const char* text) { return dns::Name::parse(text).value(); }
inline dns::Tlsa ee() { return {3, 1, 1, std::string(32, 'e')}; }
inline dns::Tlsa ta() { return {2, 0, 1, std::string(32, 't')}; }
inline dns::Tlsa pkix_ee() { return {1, 1, 1, std::string(32, 'p')}; }

inline TlsaFact make_tlsa(TlsaIs is) {
  using State = TlsaFact::State;
  switch (is) {
    case TlsaIs::not_asked:
      return {State::not_asked, {}, {}, {}};
    case TlsaIs::absent:
      return {State::absent, {}, {}, {}};
    case TlsaIs::failed:
      return {State::failed, name("real.ex"), {}, "SERVFAIL"};
    case TlsaIs::unusable:
      return {State::present, name("real.ex"), {pkix_ee()}, {}};
    case TlsaIs::mixed:
      return {State::present, name("real.ex"), {pkix_ee(), ee()}, {}};
    case TlsaIs::usable:
      return {State::present, name("real.ex"), {ee(), ta()}, {}};
  }
  return {};
}

// mx.ex, an alias of real.ex where TLSA stands, for dom.ex; the same pair of names when dom.ex is its own host or when a route
// names the host.
inline Facts make_facts(TlsaIs tlsa, HostIs host) {
  using Origin = HostFacts::Origin;
  Facts facts;
  facts.domain.domain = facts.domain.expanded = name("dom.ex");
  const bool secure = host != HostIs::insecure_mx && host != HostIs::implicit_unsigned;
  facts.domain.mx_security = secure ? dns::Security::secure : dns::Security::insecure;
  facts.host.name = name("mx.ex");
  facts.host.expanded = name("real.ex");
  if (host == HostIs::implicit || host == HostIs::implicit_unsigned) {
    facts.host.origin = Origin::implicit_mx;
    facts.host.name = name("dom.ex");
  } else if (host == HostIs::routed) {
    facts.host.origin = Origin::route_name;
  } else if (host == HostIs::literal) {
    facts.host.origin = Origin::literal;
    facts.host.name = facts.host.expanded = dns::Name();
  }
  facts.host.addresses = {Ip::parse("192.0.2.1").value()};
  facts.host.tlsa = make_tlsa(tlsa);
  return facts;
}

inline LocalRule make_rule(Demand demand) {
  LocalRule rule;
  switch (demand) {
    case Demand::enforce:
      break;
    case Demand::enforce_encrypt:
      rule.default_tls = DefaultTls::encrypt;
      break;
    case Demand::audit:
      rule.dane = Mode::audit;
      break;
    case Demand::audit_encrypt:
      rule.dane = Mode::audit;
      rule.default_tls = DefaultTls::encrypt;
      break;
    case Demand::off:
      rule.dane = Mode::off;
      break;
    case Demand::off_encrypt:
      rule.dane = Mode::off;
      rule.default_tls = DefaultTls::encrypt;
      break;
    case Demand::none:
      rule.route_tls = RouteTls::none;
      break;
    case Demand::opportunistic:
      rule.route_tls = RouteTls::opportunistic;
      break;
    case Demand::encrypt:
      rule.route_tls = RouteTls::encrypt;
      break;
    case Demand::verify:
      rule.route_tls = RouteTls::verify;
      break;
    case Demand::dane:
      rule.route_tls = RouteTls::dane;
      break;
    case Demand::dane_only:
      rule.route_tls = RouteTls::dane_only;
      break;
  }
  return rule;
}

inline Plan plan_for(TlsaIs tlsa, HostIs host, Demand demand) {
  return decide(make_facts(tlsa, host), make_rule(demand));
}
// A corner that is refused gives a plan that no row expects.
inline Connect connect_for(TlsaIs tlsa, HostIs host, Demand demand) {
  const Plan plan = plan_for(tlsa, host, demand);
  if (const auto* connect = std::get_if<Connect>(&plan)) return *connect;
  Connect refused;
  refused.policy = Policy::requiretls;
  return refused;
}

inline std::string joined(const std::vector<dns::Name>& names) {
  std::string text;
  for (const auto& one : names) text += (text.empty() ? "" : " ") + one.text();
  return text;
}

// The part that a name of make_facts plays.
inline std::string part(const dns::Name& name) {
  return name.is_root() ? "none" : name.text() == "real.ex" ? "base" : "host";
}

inline std::string to_text(Tls tls) { return tls == Tls::never ? "never" : tls == Tls::must ? "must" : "if-offered"; }
inline std::string to_text(OnFailure rule) {
  return rule == OnFailure::next_host ? "next-host" : rule == OnFailure::plaintext ? "plaintext" : "audit";
}

// " observes=sts+pkix" · " observes=sts:mx-not-in-policy+pkix" · " observes=dane+tlsa"
inline std::string describe(const Observed& observed) {
  std::string text = " observes=" + std::string(hop::to_text(observed.policy));
  if (observed.known) text += ":" + std::string(hop::to_text(observed.known->reason));
  if (observed.dane) text += "+tlsa";
  if (observed.pkix) text += "+pkix";
  return text;
}

// "refuse dane dnssec-invalid" · "dane must tlsa sni=base next-host" · "… unusable …" · "… waived=dnssec-invalid"
inline std::string describe(const Plan& plan) {
  using hop::to_text;
  if (const auto* refuse = std::get_if<Refuse>(&plan)) {
    return "refuse " + std::string(to_text(refuse->policy)) + " " +
           std::string(refuse->reason ? to_text(*refuse->reason) : "-");
  }
  const auto& connect = std::get<Connect>(plan);
  std::string text = std::string(to_text(connect.policy)) + " " + testing::to_text(connect.tls);
  if (connect.dane) text += " tlsa";
  if (connect.tlsa_unusable) text += " unusable";
  if (connect.pkix) text += " pkix=" + part(connect.pkix->names.front());
  text += " sni=" + part(connect.sni) + " " + testing::to_text(connect.on_failure);
  if (connect.waived) text += " waived=" + std::string(to_text(connect.waived->reason));
  if (connect.observed) text += describe(*connect.observed);
  return text;
}

// "sts satisfied" · "sts-testing mx-not-in-policy" · "nothing"
inline std::string describe(const std::optional<Observation>& seen) {
  if (!seen) return "nothing";
  return std::string(hop::to_text(seen->policy)) + " " +
         std::string(seen->defect ? hop::to_text(seen->defect->reason) : "satisfied");
}

// "proceed dane dane-ee" · "proceed dane none waived=tlsa-invalid" · "in clear (plaintext) validation-failure" · "next host tlsa-invalid"
inline std::string describe(const Next& next) {
  using hop::to_text;
  if (const auto* retry = std::get_if<RetryInClear>(&next)) {
    return "in clear (" + testing::to_text(retry->rule) + ") " + std::string(to_text(retry->why.reason));
  }
  if (const auto* gone = std::get_if<NextHost>(&next)) return "next host " + std::string(to_text(gone->why.reason));
  const auto& proceed = std::get<Proceed>(next);
  std::string text = "proceed " + std::string(to_text(proceed.policy)) + " " + std::string(to_text(proceed.auth));
  if (proceed.waived) text += " waived=" + std::string(to_text(proceed.waived->reason));
  if (proceed.observed) text += " " + describe(proceed.observed);
  return text;
}

}  // namespace hoplock::hop::testing
