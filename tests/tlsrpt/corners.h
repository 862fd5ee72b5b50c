// SPDX-License-Identifier: Apache-2.0
// What can become of a connection, for tests of classify: outcomes that fit their plan, and what was classified as one line of text.
#pragma once
#include <string>

#include "tests/hop/sts_corners.h"
#include "tlsrpt/classify.h"

namespace hoplock::tlsrpt::testing {

using namespace hop::testing;
using hop::Reason;
using hop::Refusal;
using hop::Stage;

enum class Met {
  good,              // TLS, and every check passed
  late_550,          // likewise; then the server refused the second EHLO
  late_close,        // likewise; then it was gone before it answered EHLO
  late_alert,        // likewise; then it refused the session with a TLS 1.3 alert
  lost_after_tls,    // likewise; then it was gone
  no_starttls,       // not offered
  starttls_454,      // offered, but refused
  no_handshake,      // a broken handshake
  old_tls,           // a handshake that failed over the protocol version
  injected,          // clear text after the 220
  wrong_key,         // the TLSA records do not match, PKIX does not trust
  expired_misnamed,  // PKIX and DANE-TA find two defects
  not_yet_valid,
  connect_refused,
  greeting_554,
  ehlo_502,
  lost_at_starttls,
};

inline hop::Refusal misnamed() {
  return {Reason::certificate_host_mismatch, "certificate is for x.ex, not mx.ex", "X509_V_ERR_HOSTNAME_MISMATCH"};
}
inline hop::Refusal expired() {
  return {Reason::certificate_expired, "certificate expired 2025-01-01", "X509_V_ERR_CERT_HAS_EXPIRED"};
}
inline hop::Refusal too_young() {
  return {Reason::certificate_not_trusted, "certificate is not valid before 2027-01-01",
          "X509_V_ERR_CERT_NOT_YET_VALID"};
}
inline hop::Refusal untrusted() {
  return {Reason::certificate_not_trusted, "certificate is self-signed", "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"};
}
inline hop::Refusal unmatched() { return {Reason::tlsa_invalid, "no TLSA record matches the certificate"}; }

struct Verdicts {
  std::optional<hop::DaneVerdict> dane;
  std::optional<hop::PkixVerdict> pkix;
};

template <class Rule>
Verdicts verdicts_of(const Rule& rule, Met met) {
  Verdicts made;
  if (rule.dane) made.dane.emplace();
  if (rule.pkix) made.pkix.emplace();
  const auto both = [&](const std::vector<Refusal>& dane, const std::vector<Refusal>& pkix) {
    if (made.dane) made.dane->defects = dane;
    if (made.pkix) made.pkix->defects = pkix;
  };
  if (met == Met::wrong_key) both({unmatched()}, {untrusted()});
  if (met == Met::expired_misnamed) both({misnamed(), expired()}, {misnamed(), expired()});
  if (met == Met::not_yet_valid) both({too_young()}, {too_young()});
  if (made.dane && made.dane->defects.empty()) made.dane->matched = rule.dane->records.front();
  return made;
}

// With a handshake that completed.
inline hop::Outcome in_tls(const hop::Connect& plan, Met met) {
  hop::Outcome outcome;
  outcome.stage = Stage::ready;
  outcome.tls = hop::TlsSession{"TLSv1.3", "TLS_AES_256_GCM_SHA384", "", ""};
  const Verdicts made = verdicts_of(plan, met);
  outcome.dane = made.dane;
  outcome.pkix = made.pkix;
  if (plan.observed) {
    const Verdicts watched = verdicts_of(*plan.observed, met);
    outcome.observed = hop::ObservedVerdict{watched.dane, watched.pkix};
  }
  return outcome;
}

inline hop::Outcome ended(Stage stage, Refusal why, int reply = 0) {
  hop::Outcome outcome;
  outcome.stage = stage;
  outcome.failure = std::move(why);
  if (reply != 0) outcome.reply = hop::PeerReply{reply, "no"};
  return outcome;
}

inline hop::Outcome outcome_of(const hop::Connect& plan, Met met) {
  hop::Outcome good = in_tls(plan, met);
  good.stage = Stage::ehlo;
  switch (met) {
    case Met::late_550:
      good.failure = Refusal{Reason::smtp_reply, "550 no"};
      good.reply = hop::PeerReply{550, "550 no"};
      return good;
    case Met::late_alert:
      good.stage = Stage::handshake;
      good.failure =
          Refusal{Reason::validation_failure, "tlsv13 alert certificate required", "tlsv13-alert-certificate-required"};
      return good;
    case Met::late_close:
      good.stage = Stage::handshake;
      good.failure = Refusal{Reason::validation_failure, "the server closed the connection", "handshake-closed"};
      return good;
    case Met::lost_after_tls:
      good.failure = Refusal{Reason::connection_lost, "the server closed the connection"};
      return good;
    case Met::no_starttls:
      if (plan.tls == hop::Tls::must) return ended(Stage::starttls, {Reason::starttls_not_supported, "not offered"});
      return [] {
        hop::Outcome clear;
        clear.stage = Stage::ready;
        return clear;
      }();
    case Met::starttls_454:
      return ended(Stage::starttls, {Reason::starttls_not_supported, "refused"}, 454);
    case Met::no_handshake:
      return ended(Stage::handshake, {Reason::validation_failure,
                                      "the server closed the connection during the TLS handshake", "handshake-closed"});
    case Met::old_tls:
      return ended(Stage::handshake,
                   {Reason::validation_failure, "the TLS handshake failed: unsupported protocol", "protocol-version"});
    case Met::injected:
      return ended(Stage::starttls, {Reason::validation_failure, "clear text after STARTTLS"});
    case Met::connect_refused:
      return ended(Stage::connect, {Reason::connect_refused, "refused"});
    case Met::greeting_554:
      return ended(Stage::greeting, {Reason::smtp_reply, "554 no"}, 554);
    case Met::ehlo_502:
      return ended(Stage::ehlo, {Reason::smtp_reply, "502 no"}, 502);
    case Met::lost_at_starttls:
      return ended(Stage::starttls, {Reason::connection_lost, "gone"});
    default:
      return in_tls(plan, met);
  }
}

// "tlsa real.ex 0/1 tlsa-invalid(dane-no-match); sts dom.ex 1/0"; nothing is "-".
inline std::string describe(const std::vector<Sessions>& all) {
  std::string text;
  for (const auto& one : all) {
    text += (text.empty() ? "" : "; ") + std::string(to_text(one.policy.type)) + " " + one.policy.domain.text() + " " +
            std::to_string(one.successes) + "/" + std::to_string(one.failures);
    for (const auto& detail : one.details) {
      text += " " + std::string(to_text(detail.type));
      if (!detail.reason.empty()) text += "(" + detail.reason + ")";
      if (detail.sessions != 1) text += "!";
    }
  }
  return text.empty() ? "-" : text;
}

struct Corner {
  hop::Facts facts;
  hop::LocalRule rule;
};

inline Corner corner(TlsaIs tlsa, StsIs sts, HostIs host = HostIs::secure_mx, hop::LocalRule rule = {}) {
  Corner made{make_facts(tlsa, host), std::move(rule)};
  made.facts.domain.sts = make_sts(sts);
  return made;
}

inline std::vector<Sessions> run(const Corner& at, Met met, const Ends& ends = {}, const std::string& helo = {}) {
  const hop::Plan plan = hop::decide(at.facts, at.rule);
  if (const auto* refused = std::get_if<hop::Refuse>(&plan)) return classify({at.facts, at.rule}, *refused);
  const auto& connect = std::get<hop::Connect>(plan);
  hop::Outcome outcome = outcome_of(connect, met);
  outcome.helo = helo;
  return classify({at.facts, at.rule}, connect, outcome, ends);
}

}  // namespace hoplock::tlsrpt::testing
