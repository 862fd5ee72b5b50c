// SPDX-License-Identifier: Apache-2.0
#include "hop/outcome.h"

#include <algorithm>
#include <iterator>

namespace hoplock::hop {

namespace {
// CONTRACT: several defects of one certificate: tlsa-invalid, then not-trusted, host-mismatch, expired; then anything
// else.
int rank(Reason reason) {
  switch (reason) {
    case Reason::tlsa_invalid:
      return 0;
    case Reason::certificate_not_trusted:
      return 1;
    case Reason::certificate_host_mismatch:
      return 2;
    case Reason::certificate_expired:
      return 3;
    default:
      return 4;
  }
}

std::optional<Refusal> gravest(const std::vector<Refusal>& defects) {
  const auto found = std::min_element(defects.begin(), defects.end(), [](const Refusal& a, const Refusal& b) {
    return rank(a.reason) < rank(b.reason);
  });
  if (found == defects.end()) return std::nullopt;
  return *found;
}

// What the DANE check found wrong; nothing exactly when one of the plan's own records matched. A check that was not
// made failed.
std::vector<Refusal> dane_defects(const DaneCheck& check, const std::optional<DaneVerdict>& verdict) {
  if (!verdict) return {{Reason::validation_failure, "the DANE check was not made"}};
  if (!verdict->defects.empty()) return verdict->defects;
  const auto& records = check.records;
  if (verdict->matched && std::find(records.begin(), records.end(), *verdict->matched) != records.end()) return {};
  return {{Reason::tlsa_invalid, "no TLSA record matches the certificate"}};
}

std::vector<Refusal> pkix_defects(const std::optional<PkixVerdict>& verdict) {
  if (!verdict) return {{Reason::validation_failure, "the certificate was not verified"}};
  return verdict->defects;
}

// Every check of the rule (a Connect with its Outcome, or an Observed with its verdict) must pass.
template <class Rule, class Verdict>
std::optional<Refusal> failed_check(const Rule& rule, const Verdict& verdict) {
  std::vector<Refusal> defects;
  if (rule.dane) defects = dane_defects(*rule.dane, verdict.dane);
  if (rule.pkix) {
    auto more = pkix_defects(verdict.pkix);
    std::move(more.begin(), more.end(), std::back_inserter(defects));
  }
  return gravest(defects);
}

// How the peer proved itself to a plan whose checks all passed. Where DANE and STS both had to, the MX records are not signed: TLSA
// proves the host, and only STS that it is a host of the domain.
Auth proof(const Connect& plan, const Outcome& outcome) {
  const Policy governing = plan.required ? plan.required->underlying : plan.policy;
  if (plan.dane && governing != Policy::sts) return outcome.dane->matched->usage == 3 ? Auth::dane_ee : Auth::dane_ta;
  return plan.pkix ? Auth::pkix : Auth::none;
}

Refusal no_starttls() { return {Reason::starttls_not_supported, "the server does not offer STARTTLS"}; }

// TLS was a must, or would have been if the operator did more than watch.
bool lacks_tls(const Connect& plan, const Outcome& outcome) {
  return !outcome.tls && (plan.tls == Tls::must || plan.on_failure != OnFailure::plaintext);
}

// The session stands: is it what the plan demands?
Next judge_session(const Connect& plan, const Outcome& outcome) {
  std::optional<Refusal> defect;
  if (lacks_tls(plan, outcome)) {
    defect = no_starttls();
  } else if (outcome.tls) {
    defect = failed_check(plan, outcome);
  }
  const bool clear_forbidden = plan.tls == Tls::must && !outcome.tls;
  if (defect && (plan.on_failure != OnFailure::audit || clear_forbidden)) return NextHost{*defect};
  auto observed = observe(plan, outcome);
  if (plan.waived) return Proceed{plan.policy, Auth::none, plan.waived, std::move(observed)};
  if (defect) return Proceed{plan.policy, Auth::none, defect, std::move(observed)};
  return Proceed{plan.policy, outcome.tls ? proof(plan, outcome) : Auth::none, std::nullopt, std::move(observed)};
}

// A server that refuses EHLO offers no STARTTLS; where TLS is a must there is no HELO (MX-14), and its 5yz says nothing
// about the mail.
bool refuses_ehlo(const Outcome& outcome) {
  return outcome.stage == Stage::ehlo && !outcome.tls && outcome.failure->reason == Reason::smtp_reply &&
         outcome.reply && outcome.reply->code >= 500;
}

// TLS itself did not come about: what a new connection in clear could avoid. Injected clear text is no such thing: that
// attempt is abandoned (TLS-09), like one that lost its connection before the handshake.
bool is_tls_failure(const Outcome& outcome) {
  if (outcome.stage == Stage::starttls) return outcome.failure->reason == Reason::starttls_not_supported;
  return outcome.stage == Stage::handshake;
}

Refusal ehlo_refusal(const Outcome& outcome) {
  return {Reason::starttls_not_supported, "the server refuses EHLO, which STARTTLS needs: " + outcome.reply->text};
}

Next judge_failure(const Connect& plan, const Outcome& outcome, Fallback fallback) {
  if (plan.tls == Tls::must && refuses_ehlo(outcome)) return NextHost{ehlo_refusal(outcome)};
  const bool in_time = plan.on_failure == OnFailure::audit ? fallback != Fallback::never : fallback == Fallback::now;
  const bool clear_allowed = plan.tls == Tls::if_offered && plan.on_failure != OnFailure::next_host && in_time;
  if (clear_allowed && is_tls_failure(outcome)) return RetryInClear{*outcome.failure, plan.on_failure};
  return NextHost{*outcome.failure};
}

Next judge(const Connect& plan, const Outcome& outcome, Fallback fallback) {
  if (outcome.failure) return judge_failure(plan, outcome, fallback);
  if (outcome.stage != Stage::ready) return NextHost{{Reason::connection_lost, "the session did not become ready"}};
  return judge_session(plan, outcome);
}

// Whether only REQUIRETLS refuses this host, and for good (RTLS-08). What the domain's own policy refuses, DANE or MTA-STS, keeps other
// mail waiting too; and a server that lacks TLS for the moment, or was lost on the way, is tried again.
bool is_final(const Connect& plan, const Outcome& outcome) {
  const Policy underlying = plan.required->underlying;
  const bool published = underlying == Policy::dane || underlying == Policy::sts;
  if (outcome.stage == Stage::ready && outcome.tls) {
    return !published || (underlying == Policy::dane && plan.tlsa_unusable);
  }
  if (published || outcome.stage == Stage::ready) return !published;
  const bool for_now = (outcome.reply && outcome.reply->code < 500) ||
                       outcome.failure->reason == Reason::connect_timeout ||
                       outcome.failure->code == "handshake-closed";
  return (is_tls_failure(outcome) || refuses_ehlo(outcome)) && !for_now;
}

// 5.7.10 (RFC 8689 section 4.2.1).
Refusal no_proof(const Refusal& why) {
  const std::string text = "REQUIRETLS asks for more: " + std::string(to_text(why.reason)) + ": " + why.text;
  return {Reason::requiretls_not_supported, text, "", "7.10"};
}

// The rules let this connection pass, or not; a message with REQUIRETLS asks for more.
Next judge_required(const Connect& plan, const Outcome& outcome) {
  Next next = judge(plan, outcome, Fallback::now);  // TLS is a must in any case
  if (const auto* refused = std::get_if<NextHost>(&next)) {
    return is_final(plan, outcome) ? Next(NextHost{no_proof(refused->why)}) : next;
  }
  if (!std::holds_alternative<Proceed>(next) || !outcome.tls) {
    return NextHost{no_proof({Reason::starttls_not_supported, "the session is not encrypted"})};
  }
  if (const auto defect = gravest(pkix_defects(outcome.name))) return NextHost{no_proof(*defect)};
  if (!outcome.offers_requiretls) {
    return NextHost{{Reason::requiretls_not_supported, "the server does not offer REQUIRETLS inside TLS"}};
  }
  return next;
}
}  // namespace

Fallback fallback_after(Milliseconds waited, Milliseconds interval) {
  return waited >= interval ? Fallback::now : Fallback::not_yet;
}

Next after(const Connect& plan, const Outcome& outcome, Fallback fallback) {
  return plan.required ? judge_required(plan, outcome) : judge(plan, outcome, fallback);
}

std::optional<Observation> observe(const Connect& plan, const Outcome& outcome) {
  if (!plan.observed) return std::nullopt;
  const Observed& rule = *plan.observed;
  const auto found = [&](std::optional<Refusal> defect) { return Observation{rule.policy, std::move(defect)}; };
  if (rule.known) return found(rule.known);
  if (outcome.failure) {
    if (refuses_ehlo(outcome)) return found(ehlo_refusal(outcome));
    return is_tls_failure(outcome) ? std::optional(found(outcome.failure)) : std::nullopt;
  }
  if (outcome.stage != Stage::ready) return std::nullopt;
  return found(outcome.tls ? failed_check(rule, outcome.observed.value_or(ObservedVerdict{})) : no_starttls());
}

Connect in_clear(const Connect& plan, const RetryInClear& retry) {
  Connect clear;
  clear.policy = plan.policy;
  clear.tls = Tls::never;
  clear.on_failure = plan.on_failure;
  clear.mx_security = plan.mx_security;
  clear.waived = plan.waived;
  if (!clear.waived && retry.rule == OnFailure::audit) clear.waived = retry.why;
  clear.tlsa_unusable = plan.tlsa_unusable;
  clear.required = plan.required;  // never asked for; and then it refuses
  if (plan.observed) {
    clear.observed = Observed{plan.observed->policy, plan.observed->known.value_or(retry.why), {}, {}};
  }
  return clear;
}

std::string refusal_text(const Refusal& refusal, const std::string& where, Kept kept) {
  const std::string own = code(refusal);
  const std::string detail = own.empty() ? "0.0" : own;
  const std::string status = kept == Kept::yes ? "450 4." + detail : "550 5." + detail;
  return status + " " + std::string(to_text(refusal.reason)) + ": " + where + ": " + refusal.text;
}

}  // namespace hoplock::hop
