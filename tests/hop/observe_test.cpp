// SPDX-License-Identifier: Apache-2.0
// What becomes of MTA-STS once a connection was made: what binds decides, what is only observed is told and nothing more.
#include <doctest/doctest.h>

#include "tests/hop/sts_corners.h"

namespace hop_observe_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
Connect connect_with(TlsaIs tlsa, HostIs host, StsIs sts, const LocalRule& rule = {}) {
  return std::get<Connect>(plan_with(tlsa, host, sts, rule));
}

LocalRule rule_of(Mode dane, Mode mta_sts, DefaultTls tls = DefaultTls::opportunistic) {
  return {dane, mta_sts, tls, std::nullopt, {}};
}

const Connect enforce = connect_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce);
const Connect both = connect_with(TlsaIs::usable, HostIs::insecure_mx, StsIs::enforce);
const Connect unusable = connect_with(TlsaIs::unusable, HostIs::secure_mx, StsIs::enforce);
const Connect beside_dane = connect_with(TlsaIs::usable, HostIs::secure_mx, StsIs::enforce);
const Connect outside_dane = connect_with(TlsaIs::usable, HostIs::secure_mx, StsIs::enforce_other);
const Connect testing_in = connect_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::testing);
const Connect testing_out = connect_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::testing_other);
const Connect testing_encrypt = connect_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::testing,
                                             rule_of(Mode::enforce, Mode::enforce, DefaultTls::encrypt));
const Connect audit =
    connect_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce, rule_of(Mode::enforce, Mode::audit));
const Connect audit_out =
    connect_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce_other, rule_of(Mode::enforce, Mode::audit));
const Connect audit_encrypt = connect_with(TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce,
                                           rule_of(Mode::enforce, Mode::audit, DefaultTls::encrypt));
const Connect dane_watched =
    connect_with(TlsaIs::usable, HostIs::secure_mx, StsIs::enforce, rule_of(Mode::audit, Mode::enforce));
const Connect dane_failed =
    connect_with(TlsaIs::failed, HostIs::secure_mx, StsIs::enforce, rule_of(Mode::audit, Mode::enforce));

using Reasons = std::vector<Reason>;
const Reasons none{};
const Reasons untrusted{Reason::certificate_not_trusted};
const Reasons misnamed{Reason::certificate_host_mismatch};
const Reasons no_match{Reason::tlsa_invalid};

std::vector<Refusal> defects(const Reasons& reasons) {
  std::vector<Refusal> all;
  for (const auto reason : reasons) all.push_back({reason, "as told"});
  return all;
}

Outcome clear() {
  Outcome outcome;
  outcome.stage = Stage::ready;
  return outcome;
}

// A completed handshake and the verdicts that the plan's own checks and its observed ones come to.
Outcome session(const Connect& plan, const Reasons& dane, const Reasons& pkix) {
  Outcome outcome = clear();
  outcome.tls = TlsSession{};
  const DaneVerdict match{dane.empty() ? std::optional(ee()) : std::nullopt, defects(dane)};
  const PkixVerdict chain{defects(pkix)};
  if (plan.dane) outcome.dane = match;
  if (plan.pkix) outcome.pkix = chain;
  if (!plan.observed) return outcome;
  outcome.observed = ObservedVerdict{};
  if (plan.observed->dane) outcome.observed->dane = match;
  if (plan.observed->pkix) outcome.observed->pkix = chain;
  return outcome;
}

Outcome failed(Stage stage, Reason reason, int code = 0) {
  Outcome outcome;
  outcome.stage = stage;
  outcome.failure = Refusal{reason, "as told"};
  if (code != 0) outcome.reply = PeerReply{code, "as told"};
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

TEST_CASE("STS-21, STS-23, STS-36, DANE-10, TLS-10: under enforce a session is used only when its certificate passed") {
  check({
      {enforce, session(enforce, none, none), "proceed sts pkix", "the chain and the name are good"},
      {enforce, session(enforce, none, untrusted), "next host certificate-not-trusted", "unknown authority"},
      {enforce, session(enforce, none, misnamed), "next host certificate-host-mismatch", "another name"},
      {enforce, clear(), "next host starttls-not-supported", "no STARTTLS"},
      {enforce, failed(Stage::starttls, Reason::starttls_not_supported), "next host starttls-not-supported", "refused"},
      {enforce, failed(Stage::handshake, Reason::validation_failure), "next host validation-failure", "never in clear"},
      {enforce, failed(Stage::ehlo, Reason::smtp_reply, 502), "next host starttls-not-supported", "no EHLO"},
      {unusable, session(unusable, none, none), "proceed sts pkix", "DANE-10: STS proves what TLSA could not"},
      {unusable, session(unusable, none, untrusted), "next host certificate-not-trusted", "DANE-10"},
  });
}

TEST_CASE("STS-34, STS-35: with an unsigned MX, DANE and STS both must pass") {
  check({
      {both, session(both, none, none), "proceed sts pkix", "both"},
      {both, session(both, none, untrusted), "next host certificate-not-trusted", "DANE-EE matches a self-signed one"},
      {both, session(both, no_match, none), "next host tlsa-invalid", "a good WebPKI certificate does not help"},
      {both, session(both, no_match, untrusted), "next host tlsa-invalid", "the gravest is told"},
      {both, clear(), "next host starttls-not-supported", "no STARTTLS"},
  });
}

TEST_CASE("STS-34, STS-35: with a signed MX DANE alone decides, STS is told") {
  check({
      {beside_dane, session(beside_dane, none, none), "proceed dane dane-ee sts satisfied", "both"},
      {beside_dane, session(beside_dane, none, untrusted), "proceed dane dane-ee sts certificate-not-trusted",
       "DANE-EE with a self-signed certificate"},
      {outside_dane, session(outside_dane, none, none), "proceed dane dane-ee sts mx-not-in-policy", "DANE decides"},
      {beside_dane, session(beside_dane, no_match, none), "next host tlsa-invalid", "STS does not help"},
      {beside_dane, clear(), "next host starttls-not-supported", "TLS is DANE's demand"},
  });
  CHECK(describe(observe(beside_dane, session(beside_dane, no_match, none))) == "sts satisfied");
  CHECK(describe(observe(beside_dane, clear())) == "sts starttls-not-supported");
}

TEST_CASE("STS-26: testing hinders nothing, proves nothing, and is told in full") {
  check({
      {testing_in, session(testing_in, none, none), "proceed sts-testing none sts-testing satisfied", "good"},
      {testing_in, session(testing_in, none, misnamed),
       "proceed sts-testing none sts-testing certificate-host-mismatch", "bad"},
      {testing_in, clear(), "proceed sts-testing none sts-testing starttls-not-supported", "in clear"},
      {testing_out, clear(), "proceed sts-testing none sts-testing mx-not-in-policy", "in clear to another host"},
      {testing_out, session(testing_out, none, none), "proceed sts-testing none sts-testing mx-not-in-policy", "TLS"},
      {testing_in, failed(Stage::handshake, Reason::validation_failure), "in clear (plaintext) validation-failure",
       "TLS-10: nothing binds"},
      {testing_encrypt, session(testing_encrypt, none, untrusted),
       "proceed sts-testing none sts-testing certificate-not-trusted", "TLS was had"},
      {testing_encrypt, clear(), "next host starttls-not-supported", "the operator's own demand stands"},
  });
}

TEST_CASE("STS-26, TLS-10: the connection in clear still tells what the observed rule found on the first one") {
  const Outcome broken = failed(Stage::handshake, Reason::validation_failure);
  const Connect second = in_clear(testing_in, std::get<RetryInClear>(after(testing_in, broken)));
  CHECK(second.tls == Tls::never);
  CHECK(describe(after(second, clear())) == "proceed sts-testing none sts-testing validation-failure");
  CHECK((second.observed && !second.observed->pkix));
  const Connect other = in_clear(testing_out, std::get<RetryInClear>(after(testing_out, broken)));
  CHECK(describe(after(other, clear())) == "proceed sts-testing none sts-testing mx-not-in-policy");
}

TEST_CASE("STS-37: an observed failure is told of a connection that came to nothing, if TLS came into it") {
  CHECK(describe(observe(testing_in, failed(Stage::handshake, Reason::validation_failure))) ==
        "sts-testing validation-failure");
  CHECK(describe(observe(testing_in, failed(Stage::starttls, Reason::starttls_not_supported))) ==
        "sts-testing starttls-not-supported");
  CHECK(describe(observe(testing_in, failed(Stage::ehlo, Reason::smtp_reply, 502))) ==
        "sts-testing starttls-not-supported");
  CHECK(describe(observe(testing_in, failed(Stage::connect, Reason::connect_timeout))) == "nothing");
  CHECK(describe(observe(testing_in, failed(Stage::starttls, Reason::connection_lost))) == "nothing");
  CHECK(describe(observe(testing_out, failed(Stage::connect, Reason::connect_timeout))) ==
        "sts-testing mx-not-in-policy");
  CHECK(describe(observe(testing_in, Outcome{})) == "nothing");
  CHECK(describe(observe(enforce, session(enforce, none, none))) == "nothing");  // it binds: no observation
  Outcome unchecked = session(testing_in, none, none);
  unchecked.observed.reset();
  CHECK(describe(observe(testing_in, unchecked)) == "sts-testing validation-failure");  // not made: not satisfied
}

TEST_CASE("audit: failing a watched policy is told and waived, and proves nothing") {
  check({
      {audit, session(audit, none, none), "proceed sts pkix", "satisfied"},
      {audit, session(audit, none, misnamed), "proceed sts none waived=certificate-host-mismatch", "not satisfied"},
      {audit, clear(), "proceed sts none waived=starttls-not-supported", "no TLS"},
      {audit, failed(Stage::handshake, Reason::validation_failure), "in clear (audit) validation-failure", "no TLS"},
      {audit_out, session(audit_out, none, none), "proceed sts none waived=mx-not-in-policy", "another host"},
      {audit_encrypt, clear(), "next host starttls-not-supported", "the operator's own demand stands"},
      {audit_encrypt, session(audit_encrypt, none, misnamed), "proceed sts none waived=certificate-host-mismatch",
       "TLS"},
  });
}

TEST_CASE("DANE-36, STS-36: a DANE that is only watched is told beside the policy that binds") {
  check({
      {dane_watched, session(dane_watched, none, none), "proceed sts pkix dane satisfied", "both"},
      {dane_watched, session(dane_watched, no_match, none), "proceed sts pkix dane tlsa-invalid", "DANE told"},
      {dane_watched, session(dane_watched, none, untrusted), "next host certificate-not-trusted", "STS binds"},
      {dane_failed, session(dane_failed, none, none), "proceed sts pkix dane dnssec-invalid", "the look-up failed"},
  });
}

}  // namespace hop_observe_test
