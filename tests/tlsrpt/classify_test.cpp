// SPDX-License-Identifier: Apache-2.0
// The matrix: what DNS and the policy host say of a host, what the operator demands, what the connection met; and what of it goes
// into the report.
#include "tlsrpt/classify.h"

#include <doctest/doctest.h>

#include "tests/tlsrpt/corners.h"

namespace tlsrpt_classify_test {

using namespace hoplock;
using namespace hoplock::tlsrpt;
using namespace hoplock::tlsrpt::testing;

namespace {
struct Row {
  Corner at;
  Met met;
  const char* classified;
  const char* why;
};

void check(const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(describe(run(row.at, row.met)) == row.classified);
  }
}

hop::LocalRule rule(hop::Mode dane, hop::Mode sts = hop::Mode::enforce) {
  hop::LocalRule made;
  made.dane = dane;
  made.mta_sts = sts;
  return made;
}
constexpr auto secure = HostIs::secure_mx;
constexpr auto insecure = HostIs::insecure_mx;
using hop::Mode;
}  // namespace

TEST_CASE("RPT-08, RPT-12, RPT-20: without a policy any handshake is a success, and no STARTTLS a failure") {
  const auto bare = corner(TlsaIs::absent, StsIs::none);
  check({
      {bare, Met::good, "no-policy-found dom.ex 1/0", "TLS"},
      {bare, Met::wrong_key, "no-policy-found dom.ex 1/0", "whatever the certificate: nobody asked"},
      {bare, Met::no_starttls, "no-policy-found dom.ex 0/1 starttls-not-supported", "RPT-20: not offered"},
      {bare, Met::starttls_454, "no-policy-found dom.ex 0/1 starttls-not-supported(454)",
       "RPT-20: refused, the code as reason"},
      {bare, Met::no_handshake, "no-policy-found dom.ex 0/1 validation-failure(handshake-closed)", "TLS broke"},
      {corner(TlsaIs::not_asked, StsIs::none, insecure), Met::good, "no-policy-found dom.ex 1/0",
       "addresses without DNSSEC"},
      {corner(TlsaIs::absent, StsIs::mode_none), Met::good, "no-policy-found dom.ex 1/0",
       "RPT-12: mode none is no policy"},
      {corner(TlsaIs::usable, StsIs::none, secure, rule(Mode::off)), Met::wrong_key, "no-policy-found dom.ex 1/0",
       "DANE is off here"},
      {corner(TlsaIs::absent, StsIs::enforce, secure, rule(Mode::enforce, Mode::off)), Met::wrong_key,
       "no-policy-found dom.ex 1/0", "MTA-STS is off here"},
      {corner(TlsaIs::absent, StsIs::none, secure, make_rule(Demand::enforce_encrypt)), Met::no_starttls,
       "no-policy-found dom.ex 0/1 starttls-not-supported", "TLS is our own demand"},
      {corner(TlsaIs::absent, StsIs::none, secure, make_rule(Demand::verify)), Met::wrong_key,
       "no-policy-found dom.ex 1/0", "our own route verifies: no policy of theirs failed"},
      {corner(TlsaIs::absent, StsIs::none, secure, make_rule(Demand::none)), Met::no_starttls, "-",
       "our own route wants no TLS"},
      {corner(TlsaIs::absent, StsIs::unknown, secure, rule(Mode::enforce, Mode::audit)), Met::good,
       "no-policy-found dom.ex 1/0", "nobody knows whether there is a policy"},
  });
}

TEST_CASE("RPT-10: what happens before or after the TLS step is not counted") {
  for (const auto& at : {corner(TlsaIs::absent, StsIs::none), corner(TlsaIs::usable, StsIs::none),
                         corner(TlsaIs::absent, StsIs::enforce)}) {
    for (const auto met : {Met::connect_refused, Met::greeting_554, Met::lost_at_starttls}) {
      CHECK(describe(run(at, met)) == "-");
    }
  }
  check({
      {corner(TlsaIs::absent, StsIs::none), Met::late_550, "no-policy-found dom.ex 1/0", "refused after TLS"},
      {corner(TlsaIs::absent, StsIs::none), Met::lost_after_tls, "no-policy-found dom.ex 1/0", "gone after TLS"},
      {corner(TlsaIs::usable, StsIs::none), Met::late_550, "tlsa real.ex 1/0", "likewise under a policy"},
      {corner(TlsaIs::absent, StsIs::enforce), Met::lost_after_tls, "sts dom.ex 1/0", "likewise"},
      {corner(TlsaIs::absent, StsIs::none), Met::ehlo_502, "-", "refused EHLO and HELO: no mail server for us"},
      {corner(TlsaIs::usable, StsIs::none), Met::ehlo_502, "tlsa real.ex 0/1 starttls-not-supported(502)",
       "where TLS is a must, a server without EHLO has no STARTTLS"},
      {corner(TlsaIs::usable, StsIs::none), Met::late_alert,
       "tlsa real.ex 0/1 validation-failure(tlsv13-alert-certificate-required)",
       "TLS 1.3: the server's refusal comes after our handshake"},
      {corner(TlsaIs::usable, StsIs::none), Met::late_close, "tlsa real.ex 0/1 validation-failure(handshake-closed)",
       "TLS-14: with an alert or without"},
      {corner(TlsaIs::absent, StsIs::none), Met::late_close,
       "no-policy-found dom.ex 0/1 validation-failure(handshake-closed)", "TLS-14: no success is counted"},
  });
}

TEST_CASE("RPT-07: the second try in clear adds nothing to the handshake that failed") {
  for (const auto sts : {StsIs::none, StsIs::testing}) {
    const auto at = corner(TlsaIs::absent, sts);
    const auto connect = std::get<hop::Connect>(hop::decide(at.facts, at.rule));
    const auto broken = outcome_of(connect, Met::no_handshake);
    const auto next = hop::after(connect, broken);
    const auto& retry = std::get<hop::RetryInClear>(next);
    const auto clear = hop::in_clear(connect, retry);
    CHECK(classify({at.facts, at.rule}, connect, broken, {}).size() == 1);
    CHECK(classify({at.facts, at.rule}, clear, outcome_of(clear, Met::no_starttls), {}).empty());
  }
}

TEST_CASE("RPT-05, RPT-21, RPT-22: under DANE") {
  const auto dane = corner(TlsaIs::usable, StsIs::none);
  check({
      {dane, Met::good, "tlsa real.ex 1/0", "RPT-05: the TLSA base is the policy domain"},
      {dane, Met::wrong_key, "tlsa real.ex 0/1 tlsa-invalid(dane-no-match)", "RPT-22: no usable record matches"},
      {dane, Met::expired_misnamed,
       "tlsa real.ex 0/1 certificate-host-mismatch(X509_V_ERR_HOSTNAME_MISMATCH) "
       "certificate-expired(X509_V_ERR_CERT_HAS_EXPIRED)",
       "RPT-21, RPT-09: DANE-TA, two defects"},
      {dane, Met::not_yet_valid, "tlsa real.ex 0/1 certificate-not-trusted(X509_V_ERR_CERT_NOT_YET_VALID)",
       "RPT-21: not yet valid"},
      {dane, Met::no_starttls, "tlsa real.ex 0/1 starttls-not-supported", "not offered"},
      {dane, Met::starttls_454, "tlsa real.ex 0/1 starttls-not-supported(454)", "refused"},
      {dane, Met::old_tls, "tlsa real.ex 0/1 validation-failure(protocol-version)", "RPT-19"},
      {dane, Met::injected, "tlsa real.ex 0/1 validation-failure(clear text after STARTTLS)",
       "an attack, or a broken server"},
      {corner(TlsaIs::usable, StsIs::none, insecure), Met::good, "tlsa real.ex 1/0",
       "an unsigned MX RRset: the host still has its TLSA"},
      {corner(TlsaIs::mixed, StsIs::none), Met::wrong_key, "tlsa real.ex 0/1 tlsa-invalid(dane-no-match)",
       "one of them unusable"},
      {corner(TlsaIs::usable, StsIs::none, secure, make_rule(Demand::dane)), Met::good, "tlsa real.ex 1/0",
       "a route that wants DANE"},
  });
}

TEST_CASE("RPT-23: a set without a usable record is a failure, though mail may flow") {
  check({
      {corner(TlsaIs::unusable, StsIs::none), Met::good, "tlsa real.ex 0/1 tlsa-invalid(no-usable-record)", "over TLS"},
      {corner(TlsaIs::unusable, StsIs::none), Met::no_starttls,
       "tlsa real.ex 0/1 tlsa-invalid(no-usable-record) starttls-not-supported", "and two defects without it"},
      {corner(TlsaIs::unusable, StsIs::none, secure, make_rule(Demand::dane_only)), Met::good,
       "tlsa real.ex 0/1 tlsa-invalid(no-usable-record)", "DANE is required: refused before connecting"},
      {corner(TlsaIs::unusable, StsIs::none, secure, rule(Mode::audit)), Met::good,
       "tlsa real.ex 0/1 tlsa-invalid(no-usable-record)", "only watched"},
  });
}

TEST_CASE("RPT-10, RPT-24: a TLSA look-up that fails is a failed session, with and without a connection") {
  check({
      {corner(TlsaIs::failed, StsIs::none), Met::good, "tlsa real.ex 0/1 dnssec-invalid(SERVFAIL)",
       "refused before connecting"},
      {corner(TlsaIs::failed, StsIs::enforce), Met::good, "tlsa real.ex 0/1 dnssec-invalid(SERVFAIL)",
       "no connection was made for the STS policy to judge"},
      {corner(TlsaIs::failed, StsIs::none, secure, rule(Mode::audit)), Met::good,
       "tlsa real.ex 0/1 dnssec-invalid(SERVFAIL)", "audit: mail goes, and it is a failure all the same"},
      {corner(TlsaIs::failed, StsIs::none, secure, rule(Mode::audit)), Met::no_starttls,
       "tlsa real.ex 0/1 dnssec-invalid(SERVFAIL) starttls-not-supported", "two defects"},
  });
  auto bogus = corner(TlsaIs::failed, StsIs::none);
  bogus.facts.host.tlsa.why =
      "validation failure <_25._tcp.real.ex. TLSA IN>: signature expired from 10.0.0.53 for key real.ex.";
  CHECK(describe(run(bogus, Met::good)) ==
        "tlsa real.ex 0/1 dnssec-invalid(signature expired)");  // RPT-45: no address of ours
  const auto refused = run(bogus, Met::good);
  CHECK_FALSE(refused[0].details[0].receiving_ip);
  CHECK(refused[0].details[0].receiving_host == "mx.ex");
  CHECK(refused[0].policy.text.empty());

  // Other look-ups than that of TLSA are no matter of TLS.
  auto no_address = corner(TlsaIs::usable, StsIs::enforce);
  no_address.facts.host.addresses.clear();
  no_address.facts.host.address_failure = Reason::dnssec_invalid;
  CHECK(describe(run(no_address, Met::good)) == "-");
  no_address.facts.host.address_failure.reset();
  CHECK(describe(run(no_address, Met::good)) == "-");
  auto bogus_mx = corner(TlsaIs::usable, StsIs::enforce);
  bogus_mx.facts.domain.mx_security = dns::Security::bogus;
  CHECK(describe(run(bogus_mx, Met::good)) == "-");
  CHECK(describe(run(corner(TlsaIs::absent, StsIs::bogus), Met::good)) == "-");
}

TEST_CASE("RPT-25: dane-required only where the operator demands DANE") {
  check({
      {corner(TlsaIs::absent, StsIs::none, secure, make_rule(Demand::dane_only)), Met::good,
       "tlsa mx.ex 0/1 dane-required", "no TLSA"},
      {corner(TlsaIs::usable, StsIs::none, insecure, make_rule(Demand::dane_only)), Met::good,
       "tlsa real.ex 0/1 dane-required", "the MX records are not signed"},
      {corner(TlsaIs::not_asked, StsIs::none, insecure, make_rule(Demand::dane_only)), Met::good,
       "tlsa mx.ex 0/1 dane-required", "nothing is signed"},
      {corner(TlsaIs::not_asked, StsIs::none, insecure), Met::good, "no-policy-found dom.ex 1/0",
       "without the setting"},
      {corner(TlsaIs::absent, StsIs::none, secure, make_rule(Demand::dane)), Met::good, "no-policy-found dom.ex 1/0",
       "wanted, not demanded"},
  });
}

TEST_CASE("RPT-09, RPT-19, RPT-21: under MTA-STS") {
  const auto sts = corner(TlsaIs::absent, StsIs::enforce);
  check({
      {sts, Met::good, "sts dom.ex 1/0", "all is well"},
      {sts, Met::wrong_key, "sts dom.ex 0/1 certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)",
       "RPT-22: an unknown CA"},
      {sts, Met::expired_misnamed,
       "sts dom.ex 0/1 certificate-host-mismatch(X509_V_ERR_HOSTNAME_MISMATCH) "
       "certificate-expired(X509_V_ERR_CERT_HAS_EXPIRED)",
       "RPT-09: one session, one failure, two details"},
      {sts, Met::not_yet_valid, "sts dom.ex 0/1 certificate-not-trusted(X509_V_ERR_CERT_NOT_YET_VALID)", "RPT-21"},
      {sts, Met::no_starttls, "sts dom.ex 0/1 starttls-not-supported", "RPT-20"},
      {sts, Met::starttls_454, "sts dom.ex 0/1 starttls-not-supported(454)", "RPT-20"},
      {sts, Met::old_tls, "sts dom.ex 0/1 validation-failure(protocol-version)", "RPT-19: TLS 1.0 only"},
      {corner(TlsaIs::absent, StsIs::enforce_other), Met::good, "sts dom.ex 0/1 validation-failure(sts-mx-mismatch)",
       "RPT-19, RPT-10: refused before connecting"},
      {corner(TlsaIs::absent, StsIs::enforce, HostIs::implicit), Met::good, "sts dom.ex 1/0",
       "the domain is its own host"},
  });
}

TEST_CASE("RPT-28: testing and audit are judged like enforce, though mail goes") {
  const auto watched = [](StsIs sts) { return corner(TlsaIs::absent, sts, secure, rule(Mode::audit, Mode::audit)); };
  check({
      {corner(TlsaIs::absent, StsIs::testing), Met::good, "sts dom.ex 1/0", "testing, and all is well"},
      {corner(TlsaIs::absent, StsIs::testing), Met::wrong_key,
       "sts dom.ex 0/1 certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)", "testing"},
      {corner(TlsaIs::absent, StsIs::testing), Met::no_starttls, "sts dom.ex 0/1 starttls-not-supported",
       "delivered in clear"},
      {corner(TlsaIs::absent, StsIs::testing), Met::no_handshake, "sts dom.ex 0/1 validation-failure(handshake-closed)",
       "delivered in clear next"},
      {corner(TlsaIs::absent, StsIs::testing_other), Met::good, "sts dom.ex 0/1 validation-failure(sts-mx-mismatch)",
       "the name alone"},
      {corner(TlsaIs::absent, StsIs::testing_other), Met::wrong_key,
       "sts dom.ex 0/1 validation-failure(sts-mx-mismatch) "
       "certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)",
       "the name and the certificate"},
      {corner(TlsaIs::absent, StsIs::testing_other), Met::no_handshake,
       "sts dom.ex 0/1 validation-failure(sts-mx-mismatch)", "RPT-09: a session and a type make one pair"},
      {watched(StsIs::enforce), Met::wrong_key,
       "sts dom.ex 0/1 certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)", "audit"},
      {watched(StsIs::enforce), Met::good, "sts dom.ex 1/0", "audit, and all is well"},
      {watched(StsIs::enforce), Met::no_starttls, "sts dom.ex 0/1 starttls-not-supported", "audit"},
      {watched(StsIs::enforce_other), Met::good, "sts dom.ex 0/1 validation-failure(sts-mx-mismatch)", "audit"},
      {corner(TlsaIs::usable, StsIs::none, secure, rule(Mode::audit)), Met::wrong_key,
       "tlsa real.ex 0/1 tlsa-invalid(dane-no-match)", "audit of DANE"},
      {corner(TlsaIs::usable, StsIs::none, secure, rule(Mode::audit)), Met::good, "tlsa real.ex 1/0",
       "likewise, and all is well"},
  });
}

TEST_CASE("RPT-11, RPT-12: DANE and STS over one session are two elements, each with its own verdict") {
  const std::string bad_sts = "certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)";
  check({
      {corner(TlsaIs::usable, StsIs::enforce), Met::good, "tlsa real.ex 1/0; sts dom.ex 1/0",
       "DANE decides, STS is observed"},
      {corner(TlsaIs::usable, StsIs::enforce), Met::expired_misnamed,
       "tlsa real.ex 0/1 certificate-host-mismatch(X509_V_ERR_HOSTNAME_MISMATCH) "
       "certificate-expired(X509_V_ERR_CERT_HAS_EXPIRED); "
       "sts dom.ex 0/1 certificate-host-mismatch(X509_V_ERR_HOSTNAME_MISMATCH) "
       "certificate-expired(X509_V_ERR_CERT_HAS_EXPIRED)",
       "both fail"},
      {corner(TlsaIs::usable, StsIs::enforce_other), Met::good,
       "tlsa real.ex 1/0; sts dom.ex 0/1 validation-failure(sts-mx-mismatch)", "DANE passes, STS would have refused"},
      {corner(TlsaIs::usable, StsIs::testing_other), Met::good,
       "tlsa real.ex 1/0; sts dom.ex 0/1 validation-failure(sts-mx-mismatch)", "likewise in testing mode"},
      {corner(TlsaIs::usable, StsIs::enforce, insecure), Met::good, "tlsa real.ex 1/0; sts dom.ex 1/0", "both bind"},
      {corner(TlsaIs::usable, StsIs::enforce_other, insecure), Met::good,
       "sts dom.ex 0/1 validation-failure(sts-mx-mismatch)",
       "refused by STS before a connection that DANE could judge"},
      {corner(TlsaIs::usable, StsIs::enforce, secure, rule(Mode::audit)), Met::wrong_key,
       "tlsa real.ex 0/1 tlsa-invalid(dane-no-match); sts dom.ex 0/1 "
       "certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)",
       "STS binds, DANE is watched"},
      {corner(TlsaIs::failed, StsIs::enforce, secure, rule(Mode::audit)), Met::good,
       "tlsa real.ex 0/1 dnssec-invalid(SERVFAIL); sts dom.ex 1/0", "likewise, and DANE cannot even be asked"},
      {corner(TlsaIs::usable, StsIs::enforce, secure, rule(Mode::audit, Mode::audit)), Met::wrong_key,
       "tlsa real.ex 0/1 tlsa-invalid(dane-no-match); sts dom.ex 0/1 "
       "certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)",
       "both watched"},
      {corner(TlsaIs::usable, StsIs::enforce, insecure, rule(Mode::audit, Mode::audit)), Met::good,
       "tlsa real.ex 1/0; sts dom.ex 1/0", "both watched, without DNSSEC for the MX"},
      {corner(TlsaIs::usable, StsIs::enforce, insecure, rule(Mode::enforce, Mode::audit)), Met::wrong_key,
       "tlsa real.ex 0/1 tlsa-invalid(dane-no-match); sts dom.ex 0/1 "
       "certificate-not-trusted(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)",
       "DANE binds, STS is watched"},
      {corner(TlsaIs::unusable, StsIs::enforce), Met::good,
       "tlsa real.ex 0/1 tlsa-invalid(no-usable-record); sts dom.ex 1/0",
       "STS authenticates where the TLSA records cannot"},
      {corner(TlsaIs::usable, StsIs::enforce), Met::no_starttls,
       "tlsa real.ex 0/1 starttls-not-supported; sts dom.ex 0/1 starttls-not-supported", "no TLS fails both"},
      {corner(TlsaIs::usable, StsIs::mode_none), Met::good, "tlsa real.ex 1/0",
       "RPT-12: mode none; and no no-policy-found beside DANE"},
  });
}

TEST_CASE("RPT-26, RPT-27: a policy that cannot be had is a failure; beside one that is live only a detail") {
  const auto problem = [](StsIs sts, Reason reason, const char* text) {
    auto at = corner(TlsaIs::absent, sts);
    at.facts.domain.sts.problem = Refusal{reason, text};
    return at;
  };
  check({
      {problem(StsIs::none, Reason::sts_policy_fetch_error, "HTTP status 503"), Met::good,
       "sts dom.ex 0/1 sts-policy-fetch-error(HTTP status 503)", "nothing cached"},
      {problem(StsIs::none, Reason::sts_policy_invalid, "no mode"), Met::good,
       "sts dom.ex 0/1 sts-policy-invalid(no mode)", "RPT-27"},
      {problem(StsIs::none, Reason::sts_webpki_invalid, "certificate expired"), Met::good,
       "sts dom.ex 0/1 sts-webpki-invalid(certificate expired)", "RPT-27: not certificate-expired"},
      {problem(StsIs::none, Reason::sts_policy_fetch_error, "x"), Met::no_starttls,
       "sts dom.ex 0/1 sts-policy-fetch-error(x) starttls-not-supported", "and no TLS"},
      {problem(StsIs::none, Reason::sts_policy_fetch_error, "x"), Met::connect_refused, "-", "no session"},
      {problem(StsIs::enforce, Reason::sts_policy_fetch_error, "HTTP status 503"), Met::good,
       "sts dom.ex 1/0 sts-policy-fetch-error(HTTP status 503)",
       "with a live policy the verdict stands, the detail is added"},
      {problem(StsIs::enforce, Reason::sts_policy_fetch_error, "x"), Met::old_tls,
       "sts dom.ex 0/1 validation-failure(protocol-version) sts-policy-fetch-error(x)", "likewise for a failure"},
      {problem(StsIs::enforce_other, Reason::sts_policy_fetch_error, "x"), Met::good,
       "sts dom.ex 0/1 validation-failure(sts-mx-mismatch) sts-policy-fetch-error(x)", "and for a refusal"},
      {problem(StsIs::mode_none, Reason::sts_policy_fetch_error, "x"), Met::good, "no-policy-found dom.ex 1/0",
       "mode none is no policy"},
      {problem(StsIs::none, Reason::dns_failure, "SERVFAIL"), Met::good, "no-policy-found dom.ex 1/0",
       "a TXT record that cannot be looked up says nothing"},
  });
  auto beside = problem(StsIs::none, Reason::sts_policy_fetch_error, "x");
  beside.facts.host.tlsa = make_tlsa(TlsaIs::usable);
  CHECK(describe(run(beside, Met::good)) == "tlsa real.ex 1/0; sts dom.ex 0/1 sts-policy-fetch-error(x)");
  CHECK(run(beside, Met::good)[1].policy.text.empty());
}

TEST_CASE("RPT-17, RPT-26: a detail about fetching has type, count and reason only") {
  auto at = corner(TlsaIs::absent, StsIs::unfetched);
  Ends ends{Ip::parse("198.51.100.1").value(), Ip::parse("192.0.2.1").value()};
  const auto sessions = run(at, Met::no_starttls, ends, "mx.ex");
  REQUIRE(sessions.size() == 1);
  REQUIRE(sessions[0].details.size() == 2);
  const Failure& fetch = sessions[0].details[0];
  CHECK_FALSE(fetch.sending_ip);
  CHECK_FALSE(fetch.receiving_ip);
  CHECK(fetch.receiving_host.empty());
  CHECK(fetch.receiving_helo.empty());
  CHECK(fetch.reason == "HTTP 500");
  const Failure& clear = sessions[0].details[1];
  CHECK(clear.sending_ip == ends.sending_ip);
  CHECK(clear.receiving_ip == ends.receiving_ip);
  CHECK(clear.receiving_host == "mx.ex");
  CHECK(clear.receiving_helo == "mx.ex");
}

TEST_CASE("RPT-05: the report of a configured host is that of its own name, and of a literal nobody's") {
  const auto routed = corner(TlsaIs::absent, StsIs::enforce, HostIs::routed);
  CHECK(report_domain(routed.facts)->text() == "mx.ex");
  CHECK(describe(run(routed, Met::no_starttls)) ==
        "no-policy-found mx.ex 0/1 starttls-not-supported");  // STS does not apply
  const auto literal = corner(TlsaIs::absent, StsIs::none, HostIs::literal);
  CHECK_FALSE(report_domain(literal.facts));
  CHECK(describe(run(literal, Met::no_starttls)) == "-");
  CHECK(report_domain(corner(TlsaIs::usable, StsIs::none).facts)->text() == "dom.ex");
}

TEST_CASE("RPT-05: a configured host with a name of an inner network is reported to nobody") {
  auto routed = corner(TlsaIs::absent, StsIs::none, HostIs::routed);
  for (const char* inner : {"exch01.contoso.local", "exch01", "mx.corp", "a.b.internal", "mx.home.arpa", "mail.lan"}) {
    routed.facts.host.name = dns::Name::parse(inner).value();
    CHECK_FALSE(report_domain(routed.facts));
    CHECK(describe(run(routed, Met::good)) == "-");
  }
  for (const char* outer : {"relay.example", "local.example.org", "mx.test"}) {
    routed.facts.host.name = dns::Name::parse(outer).value();
    CHECK(report_domain(routed.facts)->text() == outer);
  }
}

TEST_CASE("RPT-46: policy-string of a policy that could not be accepted is its lines as served") {
  auto at = corner(TlsaIs::absent, StsIs::none);
  at.facts.domain.sts.problem = hop::Refusal{hop::Reason::sts_policy_invalid, "mode"};
  at.facts.domain.sts.refused = "version: STSv1\r\nmode: live\r\n\r\nmx: mx.ex\nmax_age: 1\n";
  const auto policy = run(at, Met::good)[0].policy;
  CHECK(policy.type == PolicyType::sts);
  CHECK(policy.text == std::vector<std::string>{"version: STSv1", "mode: live", "mx: mx.ex", "max_age: 1"});
  CHECK(policy.mx_host.empty());
}

TEST_CASE("RPT-13: policy-string for tlsa is every record of the set, unusable ones too") {
  auto at = corner(TlsaIs::usable, StsIs::none);
  at.facts.host.tlsa.records = {ee(), {255, 255, 255, std::string("\xab", 1)}, pkix_ee()};
  const auto text = run(at, Met::good)[0].policy.text;
  CHECK(text == std::vector<std::string>{pkix_ee().text(), "255 255 255 ab", ee().text()});
  CHECK(ee().text() == "3 1 1 6565656565656565656565656565656565656565656565656565656565656565");
}

TEST_CASE("RPT-11: a TLSA set is one policy in whatever order name servers give it") {
  auto at = corner(TlsaIs::usable, StsIs::none);
  at.facts.host.tlsa.records = {ee(), pkix_ee()};
  const auto one = run(at, Met::good)[0].policy;
  at.facts.host.tlsa.records = {pkix_ee(), ee()};
  CHECK(run(at, Met::good)[0].policy == one);
}

TEST_CASE("RPT-14, RPT-15: policy-string for sts is the policy's lines as served, mx-host its patterns") {
  auto at = corner(TlsaIs::absent, StsIs::none);
  const std::string served =
      "version: STSv1\r\nmode: enforce\r\nmx: mx.ex\r\nmx: *.Mail.ex\r\nwhat: ever\r\nno key\r\nmax_age: 1\r\n";
  at.facts.domain.sts = {
      hop::StsFact::State::live,
      "1",
      mtasts::parse_policy("version: STSv1\nmode: enforce\nmx: mx.ex\nmx: *.Mail.ex\nmax_age: 1").value(),
      {},
      served};
  const auto policy = run(at, Met::good)[0].policy;
  CHECK(policy.text == std::vector<std::string>{"version: STSv1", "mode: enforce", "mx: mx.ex", "mx: *.Mail.ex",
                                                "what: ever", "no key", "max_age: 1"});
  CHECK(policy.mx_host == std::vector<std::string>{"mx.ex", "*.mail.ex"});
  at.facts.domain.sts.text.clear();
  CHECK(run(at, Met::good)[0].policy.text.size() == 5);  // as we read it
}

TEST_CASE("RPT-16, RPT-19, RPT-45: what a server says of itself, and reasons, become one short printable line") {
  const auto said = [](const std::string& helo) {
    return run(corner(TlsaIs::absent, StsIs::none), Met::no_starttls, {}, helo)[0].details[0].receiving_helo;
  };
  CHECK(said("mx.ex") == "mx.ex");
  CHECK(said("mx\x01\r\n.ex\t\xff \xc3\xa9") == "mx? .ex ? ??");
  CHECK(said(std::string(1000, 'x')) == std::string(100, 'x'));
  CHECK(said("") == "");
  const auto reason = [](std::string text) {
    auto at = corner(TlsaIs::absent, StsIs::none);
    at.facts.domain.sts.problem = Refusal{Reason::sts_policy_fetch_error, std::move(text)};
    return run(at, Met::good)[0].details[0].reason;
  };
  CHECK(reason(std::string(1000, 'y')) == std::string(100, 'y'));
  CHECK(reason("a\nb\xc3\xa9") == "a b??");
}

TEST_CASE(
    "every corner counts at most one session an element, and a failure exactly when hop finds fault or nothing asks") {
  every_sts_corner([](const StsCorner& at) {
    const Corner corner{at.facts, at.rule};
    for (int met = 0; met <= static_cast<int>(Met::lost_at_starttls); ++met) {
      const auto all = run(corner, static_cast<Met>(met));
      for (const auto& one : all) {
        CHECK(one.successes + one.failures == 1);
        CHECK((one.failures == 0 || !one.details.empty()));
        for (const auto& detail : one.details) CHECK(detail.sessions == 1);
      }
      CHECK(all.size() <= 2);
      CHECK((all.size() < 2 || all[0].policy.type != all[1].policy.type));
      for (const auto& one : all) CHECK((all.size() == 1 || one.policy.type != PolicyType::no_policy_found));
    }
    // a session that hop refuses after its handshake is a failure in some element
    const auto plan = hop::decide(at.facts, at.rule);
    const auto* connect = std::get_if<hop::Connect>(&plan);
    if (connect == nullptr || at.facts.host.origin == hop::HostFacts::Origin::literal) return;
    const auto outcome = outcome_of(*connect, Met::wrong_key);
    if (!std::holds_alternative<hop::NextHost>(hop::after(*connect, outcome))) return;
    std::uint64_t failures = 0;
    for (const auto& one : classify({at.facts, at.rule}, *connect, outcome, {})) failures += one.failures;
    CHECK_MESSAGE(failures > 0, text_of(at));
  });
}

}  // namespace tlsrpt_classify_test
