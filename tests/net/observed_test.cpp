// SPDX-License-Identifier: Apache-2.0
// Checks that are only observed, against real handshakes: judged like those that bind, without a hand in the session.
#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include "tests/net/handshakes.h"

namespace net_observed_test {

using namespace hoplock;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
using Defects = std::vector<Reason>;

hop::Connect observing(hop::Connect plan, const std::vector<std::string>& accepted = {"mx.example"}) {
  plan.observed = hop::Observed{hop::Policy::sts, std::nullopt, std::nullopt, hop::PkixCheck{names(accepted)}};
  return plan;
}

hop::Connect testing_plan(const char* host) {
  hop::Connect plan = observing(opportunistic(host), {host});
  plan.policy = hop::Policy::sts_testing;
  plan.observed->policy = hop::Policy::sts_testing;
  return plan;
}

// What follows when nothing but the handshake was left to do.
hop::Next next_of(const hop::Connect& plan, const net::Handshake& made) {
  hop::Outcome outcome;
  outcome.stage = made.stage;
  outcome.failure = made.failure;
  outcome.tls = made.session;
  outcome.dane = made.dane;
  outcome.pkix = made.pkix;
  outcome.observed = made.observed;
  return hop::after(plan, outcome);
}

std::optional<Reason> observed_defect(const hop::Next& next) {
  const auto& defect = std::get<hop::Proceed>(next).observed.value().defect;
  return defect ? std::optional(defect->reason) : std::nullopt;
}
}  // namespace

TEST_CASE("STS-26, STS-35: an observed certificate check tells every defect and refuses nothing") {
  const Authority authority;
  const Certificate stranger({.cn = "Stranger", .ca = true});
  const Certificate* ours = &authority.intermediate;
  const std::vector<std::string> good{"mx.mail.example"};
  struct Row {
    Recipe leaf;
    const Certificate* issuer;  // none: itself
    Defects defects;
    const char* why;
  };
  const std::vector<Row> rows{
      {{.dns = good}, ours, {}, "good"},
      {{.dns = {"*.mail.example"}}, ours, {}, "STS-21: a wildcard of one label"},
      {{.dns = {"mail.example"}}, ours, {Reason::certificate_host_mismatch}, "STS-21: the recipient domain"},
      {{.cn = "mx.mail.example"}, ours, {Reason::certificate_host_mismatch}, "STS-21: common name only"},
      {{.dns = good, .valid_from = -48h, .valid_to = -24h}, ours, {Reason::certificate_expired}, "expired"},
      {{.dns = good}, &stranger, {Reason::certificate_not_trusted}, "unknown authority"},
      {{.dns = good}, nullptr, {Reason::certificate_not_trusted}, "self-signed"},
      {{.dns = good, .key = Key::rsa1024}, ours, {Reason::certificate_not_trusted}, "RSA below 2048"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const hop::Connect plan = testing_plan("mx.mail.example");
    const Certificate leaf = row.issuer ? Certificate(row.leaf, *row.issuer) : Certificate(row.leaf);
    const auto made = shake(authority, leaf, {&authority.intermediate}, plan);
    REQUIRE(made.session);
    CHECK(!made.pkix);
    REQUIRE((made.observed && made.observed->pkix));
    CHECK(!made.observed->dane);
    CHECK(reasons(made.observed->pkix->defects) == row.defects);
    const hop::Next next = next_of(plan, made);
    REQUIRE(std::holds_alternative<hop::Proceed>(next));
    CHECK(std::get<hop::Proceed>(next).auth == hop::Auth::none);
    CHECK(observed_defect(next) == (row.defects.empty() ? std::nullopt : std::optional(row.defects.front())));
  }
}

TEST_CASE("STS-35: with a DANE-EE match the chain is still judged by PKIX, observed or binding") {
  const Authority authority;
  const Certificate self_signed({.cn = "mx.example", .dns = {"mx.example"}});
  const hop::Connect watched = observing(dane_plan({self_signed.tlsa(3, 1, 1)}));
  const auto made = shake(authority, self_signed, {}, watched);
  CHECK(passed(made.dane));
  REQUIRE((made.observed && made.observed->pkix));
  CHECK(reasons(made.observed->pkix->defects) == Defects{Reason::certificate_not_trusted});
  const hop::Next next = next_of(watched, made);
  REQUIRE(std::holds_alternative<hop::Proceed>(next));
  CHECK(std::get<hop::Proceed>(next).auth == hop::Auth::dane_ee);
  CHECK(observed_defect(next) == Reason::certificate_not_trusted);

  hop::Connect both = dane_plan({self_signed.tlsa(3, 1, 1)});
  both.policy = hop::Policy::sts;
  both.pkix = hop::PkixCheck{names({"mx.example"})};
  const auto bound = shake(authority, self_signed, {}, both);
  CHECK(passed(bound.dane));
  const hop::Next refused = next_of(both, bound);
  REQUIRE(std::holds_alternative<hop::NextHost>(refused));
  CHECK(std::get<hop::NextHost>(refused).why.reason == Reason::certificate_not_trusted);
  both.dane->records = {authority.leaf.tlsa(3, 1, 1)};
  const auto good = shake(authority, authority.leaf, {&authority.intermediate}, both);
  REQUIRE(std::holds_alternative<hop::Proceed>(next_of(both, good)));
  CHECK(std::get<hop::Proceed>(next_of(both, good)).auth == hop::Auth::pkix);
}

TEST_CASE("STS-34: a good observed check does not help where DANE refuses") {
  const Authority authority;
  const Certificate other({.cn = "other", .dns = {"mx.example"}});
  const hop::Connect plan = observing(dane_plan({other.tlsa(3, 1, 1)}));
  const auto made = shake(authority, authority.leaf, {&authority.intermediate}, plan);
  REQUIRE((made.observed && made.observed->pkix));
  CHECK(made.observed->pkix->defects.empty());
  REQUIRE(std::holds_alternative<hop::NextHost>(next_of(plan, made)));
  CHECK(std::get<hop::NextHost>(next_of(plan, made)).why.reason == Reason::tlsa_invalid);
}

TEST_CASE("STS-36: beside a policy that binds, a DANE that is only watched is judged by its own records") {
  const Authority authority;
  const auto plan_with = [](const dns::Tlsa& record) {
    hop::Connect plan = pkix_plan();
    plan.policy = hop::Policy::sts;
    plan.observed = hop::Observed{hop::Policy::dane, std::nullopt, dane_plan({record}).dane, std::nullopt};
    return plan;
  };
  const auto check = [&](const dns::Tlsa& record) {
    const hop::Connect plan = plan_with(record);
    const auto made = shake(authority, authority.leaf, {&authority.intermediate}, plan);
    CHECK(passed(made.pkix));
    CHECK(!made.dane);
    const hop::Next next = next_of(plan, made);
    CHECK(std::get<hop::Proceed>(next).auth == hop::Auth::pkix);
    return observed_defect(next);
  };
  CHECK(check(authority.leaf.tlsa(3, 1, 1)) == std::nullopt);
  CHECK(check(authority.intermediate.tlsa(2, 0, 1)) == std::nullopt);
  CHECK(check(authority.root.tlsa(3, 1, 1)) == Reason::tlsa_invalid);
}

TEST_CASE("STS-22: SNI under a policy is the MX host's name, and TLS is at least 1.2") {
  const Authority authority;
  hop::Connect plan = pkix_plan();
  plan.policy = hop::Policy::sts;
  const auto made = shake(authority, authority.leaf, {&authority.intermediate}, plan);
  REQUIRE(made.session);
  CHECK(made.session->sni == "mx.example");
  CHECK(made.session->version >= "TLSv1.2");
  const auto files = write_chain(authority.dir, "server", authority.leaf, {&authority.intermediate});
  const Script old = Script().start_tls({.files = files, .min_version = TLS1_VERSION, .max_version = TLS1_1_VERSION});
  const auto refused = shake(old, plan, {.ca_file = authority.ca_file}).handshake;
  REQUIRE(std::holds_alternative<hop::NextHost>(next_of(plan, refused)));
  CHECK(std::get<hop::NextHost>(next_of(plan, refused)).why.reason == Reason::validation_failure);
}

}  // namespace net_observed_test
