// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/classify.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "mtasts/match.h"
#include "tlsrpt/reason.h"

namespace hoplock::tlsrpt {

namespace {
using hop::Reason;
using hop::Refusal;
using hop::Stage;
using StsState = hop::StsFact::State;
using TlsaState = hop::TlsaFact::State;

// What was wrong with a session under one policy.
struct Defect {
  ResultType type = ResultType::validation_failure;
  std::string reason;
};
using Defects = std::vector<Defect>;

// --- the TLS step ---

struct TlsStep {
  enum class End : std::uint8_t { not_reached, failed, done };
  End end = End::not_reached;
  Defect defect;  // for failed
};
TlsStep failed(ResultType type, std::string reason) { return {TlsStep::End::failed, {type, std::move(reason)}}; }

std::string reply_code(const hop::Outcome& outcome) { return outcome.reply ? std::to_string(outcome.reply->code) : ""; }

TlsStep tls_step(const hop::Connect& plan, const hop::Outcome& outcome) {
  // TLS 1.3: a server may refuse the session only after our side of the handshake completed (TLS-14; PEERS: success -1, failure +1)
  if (outcome.tls && outcome.stage != Stage::handshake) return {TlsStep::End::done, {}};
  if (!outcome.failure) {
    return outcome.stage == Stage::ready ? failed(ResultType::starttls_not_supported, "") : TlsStep{};
  }
  const Refusal& why = *outcome.failure;
  if (outcome.stage == Stage::handshake) return failed(ResultType::validation_failure, short_reason(why));
  // As hop::after reads it: where TLS is a must, a server that refuses EHLO offers no STARTTLS.
  const bool refuses_ehlo = outcome.stage == Stage::ehlo && why.reason == Reason::smtp_reply && outcome.reply &&
                            outcome.reply->code >= 500 && plan.tls == hop::Tls::must;
  if (refuses_ehlo || why.reason == Reason::starttls_not_supported) {
    return failed(ResultType::starttls_not_supported, reply_code(outcome));  // RPT-20
  }
  if (outcome.stage == Stage::starttls && why.reason == Reason::validation_failure) {
    return failed(ResultType::validation_failure, short_reason(why));
  }
  return {};
}

// --- defects ---

Defect defect_of(const Refusal& refusal) {
  switch (refusal.reason) {
    case Reason::certificate_host_mismatch:
      return {ResultType::certificate_host_mismatch, short_code(refusal)};
    case Reason::certificate_expired:
      return {ResultType::certificate_expired, short_code(refusal)};
    case Reason::certificate_not_trusted:
      return {ResultType::certificate_not_trusted, short_reason(refusal)};
    case Reason::tlsa_invalid:
      return {ResultType::tlsa_invalid, "dane-no-match"};  // RPT-22
    case Reason::sts_policy_fetch_error:
      return {ResultType::sts_policy_fetch_error, short_reason(refusal)};
    case Reason::sts_policy_invalid:
      return {ResultType::sts_policy_invalid, short_reason(refusal)};
    case Reason::sts_webpki_invalid:
      return {ResultType::sts_webpki_invalid, short_reason(refusal)};
    case Reason::mx_not_in_policy:
      return {ResultType::validation_failure, "sts-mx-mismatch"};  // RPT-19
    default:
      return {ResultType::validation_failure, short_reason(refusal)};
  }
}

// A check whose verdict is missing was not passed.
template <class Verdict>
void add_verdict(Defects& defects, const std::optional<Verdict>& verdict) {
  if (!verdict) return defects.push_back({ResultType::validation_failure, "not-verified"});
  for (const auto& refusal : verdict->defects) defects.push_back(defect_of(refusal));
}

// Failure-details count pairs of session and type (RPT-09).
void keep_first_of_each_type(Defects& defects) {
  for (auto at = defects.begin(); at != defects.end();) {
    const bool seen = std::any_of(defects.begin(), at, [&](const Defect& one) { return one.type == at->type; });
    at = seen ? defects.erase(at) : at + 1;
  }
}

bool is_about_fetching(ResultType type) {
  return type == ResultType::sts_policy_fetch_error || type == ResultType::sts_policy_invalid ||
         type == ResultType::sts_webpki_invalid;
}

// What every detail of a session tells of the hop.
struct Where {
  const hop::Facts& facts;
  const Ends& ends;
  std::string helo;
};

Failure failure_of(const Defect& defect, const Where& where) {
  Failure failure;
  failure.type = defect.type;
  failure.reason = defect.reason;
  failure.sessions = 1;
  if (is_about_fetching(defect.type)) return failure;  // RPT-17: the hosts of the mail have no part in it
  failure.sending_ip = where.ends.sending_ip;
  failure.receiving_ip = where.ends.receiving_ip;
  failure.receiving_host = where.facts.host.name.text();
  failure.receiving_helo = where.helo;
  return failure;
}

enum class Verdict : std::uint8_t { success, failure };

Sessions one_session(Policy policy, Verdict verdict, std::vector<Failure> details) {
  Sessions one;
  one.policy = std::move(policy);
  (verdict == Verdict::success ? one.successes : one.failures) = 1;
  one.details = std::move(details);
  return one;
}

Sessions judged(Policy policy, Defects defects, const Where& where) {
  keep_first_of_each_type(defects);
  std::vector<Failure> details;
  for (const auto& defect : defects) details.push_back(failure_of(defect, where));
  return one_session(std::move(policy), defects.empty() ? Verdict::success : Verdict::failure, std::move(details));
}

// --- policies ---

Policy tlsa_policy(const hop::HostFacts& host) {
  Policy policy;
  policy.type = PolicyType::tlsa;
  for (const auto& record : host.tlsa.records) policy.text.push_back(record.text());  // RPT-13
  std::sort(policy.text.begin(), policy.text.end());  // a set: name servers give it in any order
  policy.domain = host.tlsa.base.is_root() ? host.name : host.tlsa.base;
  return policy;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (const auto part : split(text, '\n')) {
    std::string line(part);
    std::erase(line, '\r');
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

Policy sts_policy(const hop::StsFact& sts, const dns::Name& domain) {
  Policy policy;
  policy.type = PolicyType::sts;
  policy.domain = domain;
  if (sts.state != StsState::live) {
    policy.text = lines_of(sts.refused);  // RPT-46
    return policy;
  }
  policy.text = lines_of(sts.text.empty() ? mtasts::to_text(sts.policy) : sts.text);             // RPT-14: as served
  for (const auto& pattern : sts.policy.mx) policy.mx_host.push_back(mtasts::to_text(pattern));  // RPT-15
  return policy;
}

bool is_live(const hop::StsFact& sts) {
  return sts.state == StsState::live && sts.policy.mode != mtasts::Mode::none;  // RPT-12
}

// A policy that is published and could not be had (RPT-26, RPT-27); a TXT record that could not be looked up says nothing.
std::optional<Defect> fetch_defect(const hop::StsFact& sts) {
  if (!sts.problem) return std::nullopt;
  const Defect defect = defect_of(*sts.problem);
  return is_about_fetching(defect.type) ? std::optional(defect) : std::nullopt;
}

bool names_host(const hop::Facts& facts) { return mtasts::matches(facts.domain.sts.policy, facts.host.name); }

bool is_dane_observed(const hop::Connect& plan) { return plan.observed && plan.observed->policy == hop::Policy::dane; }
bool is_sts_observed(const hop::Connect& plan) { return plan.observed && !is_dane_observed(plan); }

class Classifier {
 public:
  Classifier(const Question& question, const dns::Name& domain, const Ends& ends, std::string helo)
      : facts_(question.facts), domain_(domain), where_{question.facts, ends, std::move(helo)} {
    const auto origin = facts_.host.origin;
    const auto tlsa = facts_.host.tlsa.state;
    has_tlsa_ = hop::needs_tlsa(origin, question.rule) && (tlsa == TlsaState::present || tlsa == TlsaState::failed);
    asks_sts_ = hop::needs_sts(origin, question.rule);
  }

  std::vector<Sessions> connection(const hop::Connect& plan, const hop::Outcome& outcome) const {
    if (plan.tls == hop::Tls::never) return {};
    const TlsStep step = tls_step(plan, outcome);
    if (step.end == TlsStep::End::not_reached) return {};
    const hop::StsFact& sts = facts_.domain.sts;
    std::vector<Sessions> all;
    if (has_tlsa_) all.push_back(judged(tlsa_policy(facts_.host), tlsa_defects(plan, outcome, step), where_));
    if (asks_sts_ && is_live(sts)) {
      all.push_back(with_fetch_detail(judged(sts_policy(sts, domain_), sts_defects(plan, outcome, step), where_)));
    } else if (asks_sts_ && sts.state != StsState::live && fetch_defect(sts)) {
      Defects defects = step_defects(step);
      defects.insert(defects.begin(), *fetch_defect(sts));
      all.push_back(judged(sts_policy(sts, domain_), std::move(defects), where_));
    }
    if (!all.empty()) return all;
    Policy none;
    none.domain = domain_;
    return {judged(std::move(none), step_defects(step), where_)};  // RPT-08, RPT-20
  }

  std::vector<Sessions> refusal(const hop::Refuse& refused) const {
    if (!refused.reason) return {};
    switch (*refused.reason) {
      case Reason::dnssec_invalid:  // of the TLSA records; that of others is no matter of TLS
        if (refused.policy != hop::Policy::dane) return {};
        return {judged(tlsa_policy(facts_.host), {lookup_defect()}, where_)};
      case Reason::tlsa_invalid:
        return {judged(tlsa_policy(facts_.host), {unusable_defect()}, where_)};
      case Reason::dane_required:
        return {judged(tlsa_policy(facts_.host), {{ResultType::dane_required, ""}}, where_)};
      case Reason::mx_not_in_policy:
        return {with_fetch_detail(judged(sts_policy(facts_.domain.sts, domain_), {mx_defect()}, where_))};
      default:
        return {};
    }
  }

 private:
  static Defects step_defects(const TlsStep& step) {
    return step.end == TlsStep::End::failed ? Defects{step.defect} : Defects{};
  }
  static Defect unusable_defect() { return {ResultType::tlsa_invalid, "no-usable-record"}; }  // RPT-23
  static Defect mx_defect() { return {ResultType::validation_failure, "sts-mx-mismatch"}; }
  Defect lookup_defect() const { return {ResultType::dnssec_invalid, dnssec_reason(facts_.host.tlsa.why)}; }  // RPT-24

  Defects tlsa_defects(const hop::Connect& plan, const hop::Outcome& outcome, const TlsStep& step) const {
    Defects defects;
    if (facts_.host.tlsa.state == TlsaState::failed) defects.push_back(lookup_defect());
    if (plan.tlsa_unusable) defects.push_back(unusable_defect());
    if (step.end == TlsStep::End::failed) {
      defects.push_back(step.defect);
    } else if (is_dane_observed(plan)) {
      if (plan.observed->dane) add_verdict(defects, outcome.observed.value_or(hop::ObservedVerdict{}).dane);
    } else if (plan.dane) {
      add_verdict(defects, outcome.dane);
    }
    return defects;
  }

  Defects sts_defects(const hop::Connect& plan, const hop::Outcome& outcome, const TlsStep& step) const {
    Defects defects;
    if (!names_host(facts_)) defects.push_back(mx_defect());
    if (step.end == TlsStep::End::failed) {
      defects.push_back(step.defect);
    } else if (is_sts_observed(plan)) {
      add_verdict(defects, outcome.observed.value_or(hop::ObservedVerdict{}).pkix);
    } else {
      add_verdict(defects, outcome.pkix);
    }
    return defects;
  }

  // RPT-26: sessions under a policy that is live keep their own verdict.
  Sessions with_fetch_detail(Sessions sessions) const {
    if (const auto defect = fetch_defect(facts_.domain.sts)) {
      sessions.details.push_back(failure_of(*defect, where_));
    }
    return sessions;
  }

  const hop::Facts& facts_;
  const dns::Name& domain_;
  const Where where_;
  bool has_tlsa_ = false;
  bool asks_sts_ = false;
};

// A name that the public DNS has no say about (RFC 6761, RFC 6762, RFC 8375; ICANN's .internal; what inner networks are called):
// nobody there asks for reports, and nobody outside is to hear it.
bool is_inner_name(const dns::Name& name) {
  constexpr std::array<std::string_view, 12> inner{"local",    "localhost", "localdomain", "internal",
                                                   "intranet", "private",   "lan",         "home",
                                                   "corp",     "invalid",   "onion",       "alt"};
  if (name.labels() < 2) return true;
  const std::string_view text = name.text();
  return text == "home.arpa" || text.ends_with(".home.arpa") ||
         std::find(inner.begin(), inner.end(), text.substr(text.rfind('.') + 1)) != inner.end();
}
}  // namespace

std::optional<dns::Name> report_domain(const hop::Facts& facts) {
  using Origin = hop::HostFacts::Origin;
  switch (facts.host.origin) {
    case Origin::mx:
    case Origin::implicit_mx:
      return facts.domain.domain;
    case Origin::route_name:
      if (is_inner_name(facts.host.name)) break;
      return facts.host.name;
    case Origin::literal:
      break;
  }
  return std::nullopt;
}

std::vector<Sessions> classify(const Question& question, const hop::Connect& plan, const hop::Outcome& outcome,
                               const Ends& ends) {
  const auto domain = report_domain(question.facts);
  if (!domain) return {};
  return Classifier(question, *domain, ends, clean_helo(outcome.helo)).connection(plan, outcome);
}

std::vector<Sessions> classify(const Question& question, const hop::Refuse& refused) {
  const auto domain = report_domain(question.facts);
  if (!domain) return {};
  const Ends nowhere;
  return Classifier(question, *domain, nowhere, {}).refusal(refused);
}

}  // namespace hoplock::tlsrpt
