// SPDX-License-Identifier: Apache-2.0
// What follows from what happened: one row per way that a connection can go, under each kind of plan that `decide` makes.
#include <doctest/doctest.h>

#include "tests/hop/corners.h"

namespace hop_after_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
const Connect opportunistic = connect_for(TlsaIs::absent, HostIs::secure_mx, Demand::enforce);
const Connect encrypt = connect_for(TlsaIs::absent, HostIs::secure_mx, Demand::enforce_encrypt);
const Connect dane = connect_for(TlsaIs::usable, HostIs::secure_mx, Demand::enforce);
const Connect unusable = connect_for(TlsaIs::unusable, HostIs::secure_mx, Demand::enforce);
const Connect audit = connect_for(TlsaIs::usable, HostIs::secure_mx, Demand::audit);
const Connect audit_failed = connect_for(TlsaIs::failed, HostIs::secure_mx, Demand::audit);
const Connect audit_unusable = connect_for(TlsaIs::unusable, HostIs::secure_mx, Demand::audit);
const Connect audit_encrypt = connect_for(TlsaIs::usable, HostIs::secure_mx, Demand::audit_encrypt);
const Connect never = connect_for(TlsaIs::absent, HostIs::routed, Demand::none);
const Connect verify = connect_for(TlsaIs::absent, HostIs::routed, Demand::verify);

// What a later issue's policies need: DANE and PKIX, both to pass.
Connect both() {
  Connect plan = dane;
  plan.pkix = PkixCheck{{name("mx.ex")}};
  return plan;
}

Outcome failed(Stage stage, Reason reason) {
  Outcome outcome;
  outcome.stage = stage;
  outcome.failure = Refusal{reason, "as told"};
  return outcome;
}

Outcome ehlo_refused(int code) {
  Outcome outcome = failed(Stage::ehlo, Reason::smtp_reply);
  outcome.reply = PeerReply{code, std::to_string(code) + " no"};
  return outcome;
}

Outcome clear() {
  Outcome outcome;
  outcome.stage = Stage::ready;
  return outcome;
}

Outcome secured() {
  Outcome outcome = clear();
  outcome.tls = TlsSession{"TLSv1.3", "TLS_AES_256_GCM_SHA384", "00", "real.ex"};
  return outcome;
}

Outcome matched(const dns::Tlsa& record) {
  Outcome outcome = secured();
  outcome.dane = DaneVerdict{record, {}};
  return outcome;
}

std::vector<Refusal> defects(std::initializer_list<Reason> reasons) {
  std::vector<Refusal> all;
  for (const auto reason : reasons) all.push_back({reason, "as told"});
  return all;
}

Outcome mismatched(std::initializer_list<Reason> reasons) {
  Outcome outcome = secured();
  outcome.dane = DaneVerdict{std::nullopt, defects(reasons)};
  return outcome;
}

Outcome verified(Outcome outcome, std::initializer_list<Reason> reasons) {
  outcome.pkix = PkixVerdict{defects(reasons)};
  return outcome;
}

struct Row {
  Connect plan;
  Outcome outcome;
  const char* next;
  const char* why;
};

void check(const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CAPTURE(describe(Plan(row.plan)));
    CHECK(describe(after(row.plan, row.outcome)) == row.next);
  }
}
}  // namespace

TEST_CASE(
    "DANE-09, DANE-13, DANE-15: a session is used only when the plan's checks passed, and told by what proved it") {
  check({
      {dane, matched(ee()), "proceed dane dane-ee", "3 x x matched"},
      {dane, matched(ta()), "proceed dane dane-ta", "2 x x matched"},
      {dane, mismatched({Reason::tlsa_invalid}), "next host tlsa-invalid", "no record matches"},
      {dane, mismatched({Reason::certificate_expired}), "next host certificate-expired", "DANE-TA: chain out of date"},
      {dane, clear(), "next host starttls-not-supported", "ready in clear though TLS is a must: not to be used"},
      {dane, secured(), "next host validation-failure", "the check was not made: fails closed"},
      {dane, matched({3, 1, 1, std::string(32, 'z')}), "next host tlsa-invalid",
       "matched a record that is not the plan's"},
      {dane, mismatched({}), "next host tlsa-invalid", "no match and no defect: fails closed"},
      {unusable, secured(), "proceed dane none", "DANE-10: TLS without authentication"},
      {unusable, clear(), "next host starttls-not-supported", "DANE-10: clear text is forbidden"},
      {verify, verified(secured(), {}), "proceed route pkix", "route verify"},
      {verify, verified(secured(), {Reason::certificate_not_trusted}), "next host certificate-not-trusted",
       "route verify"},
      {verify, secured(), "next host validation-failure", "the check was not made: fails closed"},
      {verify, clear(), "next host starttls-not-supported", "route verify"},
      {encrypt, secured(), "proceed opportunistic none", "default_tls encrypt: any certificate"},
      {encrypt, clear(), "next host starttls-not-supported", "default_tls encrypt: TLS or no delivery"},
      {opportunistic, secured(), "proceed opportunistic none", "any certificate"},
      {opportunistic, clear(), "proceed opportunistic none", "STARTTLS not offered: nothing binds"},
      {never, clear(), "proceed route none", "route none"},
  });
}

TEST_CASE("a plan that decide never makes, TLS a must and yet plaintext on failure, still lets nothing go in clear") {
  Connect odd = opportunistic;
  odd.tls = Tls::must;
  check({
      {odd, clear(), "next host starttls-not-supported", "must is must"},
      {odd, failed(Stage::handshake, Reason::validation_failure), "next host validation-failure", "must is must"},
  });
}

TEST_CASE("where DANE and PKIX both stand in the plan, both must pass, and DANE is the proof") {
  check({
      {both(), verified(matched(ee()), {}), "proceed dane dane-ee", "both passed"},
      {both(), verified(matched(ee()), {Reason::certificate_host_mismatch}), "next host certificate-host-mismatch",
       "PKIX failed"},
      {both(), verified(mismatched({Reason::tlsa_invalid}), {}), "next host tlsa-invalid", "DANE failed"},
      {both(), verified(mismatched({Reason::tlsa_invalid}), {Reason::certificate_expired}), "next host tlsa-invalid",
       "both failed"},
      {both(), matched(ee()), "next host validation-failure", "PKIX was not checked: fails closed"},
      {both(), verified(secured(), {}), "next host validation-failure", "DANE was not checked: fails closed"},
  });
}

TEST_CASE(
    "several defects of one certificate: tlsa-invalid, then not-trusted, host-mismatch, expired, in whatever order "
    "they came") {
  const auto expired = Reason::certificate_expired;
  const auto mismatch = Reason::certificate_host_mismatch;
  const auto untrusted = Reason::certificate_not_trusted;
  check({
      {dane, mismatched({expired, mismatch, untrusted, Reason::tlsa_invalid}), "next host tlsa-invalid",
       "first of all"},
      {dane, mismatched({expired, mismatch, untrusted}), "next host certificate-not-trusted", "before host-mismatch"},
      {dane, mismatched({expired, mismatch}), "next host certificate-host-mismatch", "before expired"},
      {dane, mismatched({Reason::validation_failure, expired}), "next host certificate-expired",
       "a named defect before the general one"},
      {verify, verified(secured(), {expired, mismatch, untrusted}), "next host certificate-not-trusted",
       "PKIX likewise"},
  });
}

TEST_CASE(
    "DANE-38, TLS-10: TLS that does not come about: the next host where a rule binds, else one connection in clear") {
  const auto broken = failed(Stage::handshake, Reason::validation_failure);
  const auto lost = failed(Stage::handshake, Reason::connection_lost);
  const auto stalled = failed(Stage::handshake, Reason::connect_timeout);
  const auto refused = failed(Stage::starttls, Reason::starttls_not_supported);
  check({
      {dane, broken, "next host validation-failure", "never a second connection in clear"},
      {dane, lost, "next host connection-lost", "nor when the peer just went away"},
      {dane, refused, "next host starttls-not-supported", "stripped keyword or 454"},
      {unusable, broken, "next host validation-failure", "DANE-10: clear text is forbidden"},
      {unusable, refused, "next host starttls-not-supported", "DANE-10: clear text is forbidden"},
      {encrypt, broken, "next host validation-failure", "TLS-10: the global option"},
      {encrypt, refused, "next host starttls-not-supported", "TLS-10: the global option"},
      {verify, broken, "next host validation-failure", "a local rule binds"},
      {verify, refused, "next host starttls-not-supported", "a local rule binds"},
      {opportunistic, broken, "in clear (plaintext) validation-failure", "nothing binds"},
      {opportunistic, lost, "in clear (plaintext) connection-lost", "broken in the handshake"},
      {opportunistic, stalled, "in clear (plaintext) connect-timeout", "stalled in the handshake"},
      {opportunistic, refused, "in clear (plaintext) starttls-not-supported", "offered, then 454"},
      {audit, broken, "in clear (audit) validation-failure", "watched only"},
      {audit, refused, "in clear (audit) starttls-not-supported", "watched only"},
      {audit_failed, broken, "in clear (audit) validation-failure", "watched only"},
      {audit_encrypt, broken, "next host validation-failure", "audit waives DANE, not the operator's encrypt"},
      {audit_encrypt, refused, "next host starttls-not-supported", "likewise"},
      {audit_encrypt, clear(), "next host starttls-not-supported", "likewise"},
      {never, broken, "next host validation-failure", "cannot happen; goes nowhere"},
  });
}

TEST_CASE("TLS-14: clear text waits until the message has waited, and never comes beside a login") {
  const auto broken = failed(Stage::handshake, Reason::validation_failure);
  const auto refused = failed(Stage::starttls, Reason::starttls_not_supported);
  auto late = broken;  // TLS 1.3: no client certificate, no answer to EHLO
  late.tls = TlsSession{};
  const struct {
    const Connect& plan;
    Fallback fallback;
    bool clear;
  } rows[] = {
      {opportunistic, Fallback::now, true},    {opportunistic, Fallback::not_yet, false},
      {opportunistic, Fallback::never, false}, {audit, Fallback::not_yet, true},
      {audit, Fallback::never, false},         {dane, Fallback::now, false},
      {encrypt, Fallback::now, false},
  };
  for (const auto& row : rows) {
    for (const auto& outcome : {broken, refused, late}) {
      const Next next = after(row.plan, outcome, row.fallback);
      CHECK(std::holds_alternative<RetryInClear>(next) == row.clear);
      CHECK(std::holds_alternative<NextHost>(next) == !row.clear);
    }
  }
  CHECK(fallback_after(Seconds(299), Seconds(300)) == Fallback::not_yet);
  CHECK(fallback_after(Seconds(300), Seconds(300)) == Fallback::now);
}

TEST_CASE("TLS-09: clear text injected after the 220 ends the attempt at this host under every plan") {
  const auto injected = failed(Stage::starttls, Reason::validation_failure);
  for (const auto& plan : {opportunistic, encrypt, dane, unusable, audit, verify}) {
    CHECK(describe(after(plan, injected)) == "next host validation-failure");
  }
}

TEST_CASE("transport failures and the server's refusals mean the next host, whatever the plan") {
  struct Failure {
    Stage stage;
    Reason reason;
    const char* next;
  };
  for (const auto& one : {
           Failure{Stage::connect, Reason::connect_timeout, "next host connect-timeout"},
           Failure{Stage::connect, Reason::connect_refused, "next host connect-refused"},
           Failure{Stage::greeting, Reason::smtp_reply, "next host smtp-reply"},
           Failure{Stage::greeting, Reason::connection_lost, "next host connection-lost"},
           Failure{Stage::greeting, Reason::connect_timeout, "next host connect-timeout"},
           Failure{Stage::ehlo, Reason::connection_lost, "next host connection-lost"},
           Failure{Stage::ehlo, Reason::smtp_reply, "next host smtp-reply"},
           Failure{Stage::starttls, Reason::connection_lost, "next host connection-lost"},
           Failure{Stage::starttls, Reason::smtp_reply, "next host smtp-reply"},
           Failure{Stage::ready, Reason::connection_lost, "next host connection-lost"},
       }) {
    for (const auto& plan : {opportunistic, encrypt, dane, unusable, audit, audit_failed, never, verify}) {
      CHECK(describe(after(plan, failed(one.stage, one.reason))) == one.next);
    }
  }
}

TEST_CASE("MX-14: EHLO refused where TLS is a must is a lack of STARTTLS, not the server's word about the mail") {
  auto inside_tls = ehlo_refused(550);
  inside_tls.tls = TlsSession{};
  check({
      {dane, ehlo_refused(502), "next host starttls-not-supported",
       "no HELO where TLS is a must; deferred, not bounced"},
      {encrypt, ehlo_refused(550), "next host starttls-not-supported", "likewise"},
      {dane, ehlo_refused(421), "next host smtp-reply", "the server is not available"},
      {dane, inside_tls, "next host smtp-reply", "the second EHLO: TLS was there"},
      {opportunistic, ehlo_refused(502), "next host smtp-reply", "HELO was refused too"},
  });
  const auto next = std::get<NextHost>(after(dane, ehlo_refused(502)));
  CHECK(next.why.text == "the server refuses EHLO, which STARTTLS needs: 502 no");
}

TEST_CASE("DANE-36: under audit mail goes on over a hop that failed its rule, with the reason and auth=none") {
  check({
      {audit, matched(ee()), "proceed dane dane-ee", "passed: nothing to waive"},
      {audit, mismatched({Reason::tlsa_invalid}), "proceed dane none waived=tlsa-invalid", "mismatch"},
      {audit, mismatched({Reason::certificate_expired, Reason::certificate_not_trusted}),
       "proceed dane none waived=certificate-not-trusted", "the gravest is told"},
      {audit, secured(), "proceed dane none waived=validation-failure", "the check was not made"},
      {audit, clear(), "proceed dane none waived=starttls-not-supported", "no STARTTLS: goes in clear"},
      {audit_failed, secured(), "proceed dane none waived=dnssec-invalid", "the look-up had failed"},
      {audit_failed, clear(), "proceed dane none waived=dnssec-invalid", "the look-up's failure is the reason"},
      {audit_unusable, secured(), "proceed dane none", "what enforce demands was met"},
      {audit_unusable, clear(), "proceed dane none waived=starttls-not-supported", "enforce would demand TLS"},
      {audit_encrypt, mismatched({Reason::tlsa_invalid}), "proceed dane none waived=tlsa-invalid",
       "encrypted, as encrypt demands"},
  });
}

TEST_CASE("TLS-10: the retry in clear asks for no TLS, keeps the policy, and under audit carries what was waived") {
  const auto retry = [](const Connect& plan, Stage stage, Reason reason) {
    return in_clear(plan, std::get<RetryInClear>(after(plan, failed(stage, reason))));
  };
  const auto plain = retry(opportunistic, Stage::handshake, Reason::validation_failure);
  CHECK(describe(Plan(plain)) == "opportunistic never sni=none plaintext");
  CHECK(plain.mx_security == opportunistic.mx_security);
  CHECK(describe(after(plain, clear())) == "proceed opportunistic none");
  CHECK(digest(plain) != digest(opportunistic));

  const auto watched = retry(audit, Stage::starttls, Reason::starttls_not_supported);
  CHECK(describe(Plan(watched)) == "dane never sni=none audit waived=starttls-not-supported");
  CHECK(describe(after(watched, clear())) == "proceed dane none waived=starttls-not-supported");
  CHECK(describe(after(watched, failed(Stage::connect, Reason::connect_refused))) == "next host connect-refused");

  const auto twice = retry(audit_failed, Stage::handshake, Reason::validation_failure);
  CHECK(describe(after(twice, clear())) == "proceed dane none waived=dnssec-invalid");
  const auto no_record = retry(audit_unusable, Stage::handshake, Reason::validation_failure);
  CHECK(no_record.tlsa_unusable);
  CHECK(describe(after(no_record, clear())) == "proceed dane none waived=validation-failure");
}

TEST_CASE("TLS-12, DANE-01: DANE, DANE under insecure MX, verify and opportunistic are told apart") {
  const auto insecure = connect_for(TlsaIs::usable, HostIs::insecure_mx, Demand::enforce);
  const auto told = [](const Connect& plan, const Outcome& outcome) {
    return describe(after(plan, outcome)) + " " + std::string(dns::to_text(plan.mx_security));
  };
  CHECK(told(dane, matched(ee())) == "proceed dane dane-ee secure");
  CHECK(told(insecure, matched(ee())) == "proceed dane dane-ee insecure");
  CHECK(told(verify, verified(secured(), {})) == "proceed route pkix secure");
  CHECK(told(opportunistic, secured()) == "proceed opportunistic none secure");
}

TEST_CASE(
    "DANE-07: refusal_text is CONTRACT's line: 4.x.x while the message is kept, 5.x.x when the failure is final") {
  const Refusal mismatch{Reason::tlsa_invalid, "no TLSA record matches the certificate"};
  CHECK(refusal_text(mismatch, "mx1.example.org[192.0.2.1]", Kept::yes) ==
        "450 4.7.323 tlsa-invalid: mx1.example.org[192.0.2.1]: no TLSA record matches the certificate");
  CHECK(refusal_text(mismatch, "mx1.example.org", Kept::no) ==
        "550 5.7.323 tlsa-invalid: mx1.example.org: no TLSA record matches the certificate");
  CHECK(refusal_text({Reason::connect_refused, "Connection refused"}, "h[::1]", Kept::yes) ==
        "450 4.4.1 connect-refused: h[::1]: Connection refused");
  CHECK(refusal_text({Reason::smtp_reply, "no"}, "h", Kept::yes) == "450 4.0.0 smtp-reply: h: no");
}

}  // namespace hop_after_test
