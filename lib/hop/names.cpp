// SPDX-License-Identifier: Apache-2.0
#include "hop/names.h"

#include <array>

#include "hop/facts.h"

namespace hoplock::hop {

namespace {
struct ReasonWord {
  Reason reason;
  std::string_view text;
  std::string_view code;
  Kind kind;
};

// CONTRACT: "Enhanced status codes for a refused hop"; in the order of Reason.
constexpr auto reason_words = [] {
  using enum Kind;
  return std::array<ReasonWord, 19>{{
      {Reason::starttls_not_supported, "starttls-not-supported", "7.321", policy},
      {Reason::certificate_host_mismatch, "certificate-host-mismatch", "7.325", policy},
      {Reason::certificate_expired, "certificate-expired", "7.322", policy},
      {Reason::certificate_not_trusted, "certificate-not-trusted", "7.5", policy},
      {Reason::validation_failure, "validation-failure", "7.5", policy},
      {Reason::tlsa_invalid, "tlsa-invalid", "7.323", policy},
      {Reason::dnssec_invalid, "dnssec-invalid", "7.324", policy},
      {Reason::dane_required, "dane-required", "7.5", policy},
      {Reason::sts_policy_fetch_error, "sts-policy-fetch-error", "7.5", policy},
      {Reason::sts_policy_invalid, "sts-policy-invalid", "7.5", policy},
      {Reason::sts_webpki_invalid, "sts-webpki-invalid", "7.5", policy},
      {Reason::mx_not_in_policy, "mx-not-in-policy", "4.8", policy},
      {Reason::requiretls_not_supported, "requiretls-not-supported", "7.30", policy},
      {Reason::tls_required_no, "tls-required-no", "", waived},
      {Reason::connect_timeout, "connect-timeout", "4.1", transport},
      {Reason::connect_refused, "connect-refused", "4.1", transport},
      {Reason::connection_lost, "connection-lost", "4.2", transport},
      {Reason::dns_failure, "dns-failure", "4.3", lookup},
      {Reason::smtp_reply, "smtp-reply", "", reply},
  }};
}();

constexpr bool in_order() {
  for (std::size_t i = 0; i < reason_words.size(); ++i) {
    if (static_cast<std::size_t>(reason_words[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_order() && static_cast<std::size_t>(Reason::smtp_reply) + 1 == reason_words.size());

const ReasonWord& word(Reason reason) { return reason_words.at(static_cast<std::size_t>(reason)); }
}  // namespace

std::string_view to_text(Mandate mandate) {
  switch (mandate) {
    case Mandate::none:
      return "none";
    case Mandate::encrypt:
      return "encrypt";
    case Mandate::verify:
      return "verify";
    case Mandate::dane_audit:
      return "dane-audit";
    case Mandate::dane:
      return "dane";
  }
  return "none";
}

std::string_view to_text(Policy policy) {
  switch (policy) {
    case Policy::opportunistic:
      return "opportunistic";
    case Policy::dane:
      return "dane";
    case Policy::sts:
      return "sts";
    case Policy::sts_testing:
      return "sts-testing";
    case Policy::route:
      return "route";
    case Policy::requiretls:
      return "requiretls";
  }
  return "?";
}

std::string_view to_text(Auth auth) {
  switch (auth) {
    case Auth::none:
      return "none";
    case Auth::dane_ee:
      return "dane-ee";
    case Auth::dane_ta:
      return "dane-ta";
    case Auth::pkix:
      return "pkix";
  }
  return "?";
}

std::string_view to_text(Reason reason) { return word(reason).text; }

std::optional<Reason> parse_reason(std::string_view text) {
  for (const auto& one : reason_words) {
    if (one.text == text) return one.reason;
  }
  return std::nullopt;
}

std::string_view code(Reason reason) { return word(reason).code; }

std::string code(const Refusal& refusal) {
  return refusal.status.empty() ? std::string(code(refusal.reason)) : refusal.status;
}

Kind kind(Reason reason) { return word(reason).kind; }

std::vector<Reason> all_reasons() {
  std::vector<Reason> all;
  for (const auto& one : reason_words) all.push_back(one.reason);
  return all;
}

}  // namespace hoplock::hop
