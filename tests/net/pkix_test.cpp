// SPDX-License-Identifier: Apache-2.0
// The WebPKI check of a `verify` route or an STS policy, against real handshakes.
#include <doctest/doctest.h>

#include "tests/net/handshakes.h"

namespace net_pkix_test {

using namespace hoplock;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
using Defects = std::vector<Reason>;

net::Handshake shake_leaf(const Authority& authority, const Recipe& recipe, const hop::Connect& plan = pkix_plan()) {
  return shake(authority, authority.issue(recipe), {&authority.intermediate}, plan);
}
}  // namespace

TEST_CASE("TLS-05: a chain to a CA of ca_file with the right name passes, with or without the root sent") {
  const Authority authority;
  CHECK(passed(shake(authority, authority.leaf, {&authority.intermediate}, pkix_plan()).pkix));
  CHECK(passed(shake(authority, authority.leaf, {&authority.intermediate, &authority.root}, pkix_plan()).pkix));
}

TEST_CASE("TLS-05: path validation refuses every broken chain") {
  const Authority authority;
  struct Row {
    Recipe recipe;
    Defects defects;
    const char* why;
  };
  const std::vector<std::string> good{"mx.example"};
  const std::vector<Row> rows{
      {{.dns = good, .valid_from = -48h, .valid_to = -24h}, {Reason::certificate_expired}, "expired"},
      {{.dns = good, .valid_from = 24h, .valid_to = 48h}, {Reason::certificate_not_trusted}, "not yet valid"},
      {{.dns = good, .extended_key_usage = "clientAuth"}, {Reason::certificate_not_trusted}, "purpose"},
      {{.dns = good, .extended_key_usage = "serverAuth"}, {}, "purpose"},
      {{.dns = good, .key_usage = "cRLSign"}, {Reason::certificate_not_trusted}, "key usage"},
      {{.dns = good, .key = Key::rsa1024}, {Reason::certificate_not_trusted}, "RSA below 2048"},
      {{.dns = good, .key = Key::rsa2048}, {}, "RSA 2048"},
      {{.dns = good, .digest = "SHA1"}, {Reason::certificate_not_trusted}, "SHA-1"},
      {{.dns = good, .unknown_critical = true}, {Reason::certificate_not_trusted}, "unknown critical extension"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto result = shake_leaf(authority, row.recipe);
    REQUIRE(result.pkix);
    CAPTURE(texts(result.pkix));
    CHECK(reasons(result.pkix->defects) == row.defects);
  }
}

TEST_CASE(
    "RPT-19, RPT-21: each defect carries OpenSSL's name for it, which tells an expired from a not yet valid "
    "certificate") {
  const Authority authority;
  const std::vector<std::string> good{"mx.example"};
  struct Row {
    Recipe recipe;
    const char* code;
  };
  const std::vector<Row> rows{{{.dns = good, .valid_from = -48h, .valid_to = -24h}, "X509_V_ERR_CERT_HAS_EXPIRED"},
                              {{.dns = good, .valid_from = 24h, .valid_to = 48h}, "X509_V_ERR_CERT_NOT_YET_VALID"},
                              {{.dns = {"x.example"}}, "X509_V_ERR_HOSTNAME_MISMATCH"},
                              {{.dns = good, .key = Key::rsa1024}, "X509_V_ERR_EE_KEY_TOO_SMALL"},
                              {{.dns = good, .unknown_critical = true}, "X509_V_ERR_34"}};
  for (const auto& row : rows) {
    const auto result = shake_leaf(authority, row.recipe);
    REQUIRE(result.pkix);
    REQUIRE(result.pkix->defects.size() == 1);
    CHECK(result.pkix->defects[0].code == row.code);
  }
}

TEST_CASE("TLS-05: issuers are held to their constraints") {
  const Authority authority;
  const Recipe good{.cn = "mx.example", .dns = {"mx.example"}};
  const Certificate no_ca({.cn = "No CA", .dns = {"ca.example"}}, authority.root);
  const Certificate narrow({.cn = "N", .ca = true, .name_constraints = "permitted;DNS:other.example"}, authority.root);
  const Certificate shallow({.cn = "Shallow", .ca = true, .path_length = 0}, authority.root);
  const Certificate below({.cn = "Below", .ca = true}, shallow);
  const Certificate no_sign({.cn = "No signing", .ca = true, .key_usage = "cRLSign"}, authority.root);
  struct Row {
    const Certificate* issuer;
    std::vector<const Certificate*> chain;
    const char* why;
  };
  const std::vector<Row> rows{{&no_ca, {&no_ca}, "basicConstraints"},
                              {&narrow, {&narrow}, "name constraints"},
                              {&below, {&below, &shallow}, "path length"},
                              {&no_sign, {&no_sign}, "keyCertSign"}};
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto result = shake(authority, Certificate(good, *row.issuer), row.chain, pkix_plan());
    REQUIRE(result.pkix);
    CHECK(reasons(result.pkix->defects) == Defects{Reason::certificate_not_trusted});
  }
}

TEST_CASE("TLS-05: an unknown issuer, a missing intermediate and a self-signed leaf are not trusted") {
  const Authority authority;
  const Certificate stranger({.cn = "Stranger", .ca = true});
  const Certificate theirs({.cn = "mx.example", .dns = {"mx.example"}}, stranger);
  const Certificate self_signed({.cn = "mx.example", .dns = {"mx.example"}});
  const auto unknown = shake(authority, theirs, {&stranger}, pkix_plan());
  CHECK(texts(unknown.pkix) == "[certificate chain ends at an unknown authority]");
  const auto missing = shake(authority, authority.leaf, {}, pkix_plan());
  CHECK(texts(missing.pkix) == "[certificate's issuer is unknown, or its certificate is missing from the chain]");
  const auto alone = shake(authority, self_signed, {}, pkix_plan());
  CHECK(texts(alone.pkix) == "[certificate is self-signed]");
  for (const auto* result : {&unknown, &missing, &alone}) {
    CHECK(reasons(result->pkix->defects) == Defects{Reason::certificate_not_trusted});
  }
}

TEST_CASE("TLS-05: all defects are told, not-trusted before host-mismatch before expired") {
  const Authority authority;
  const Certificate worst({.dns = {"other.example"}, .valid_from = -48h, .valid_to = -24h});
  const auto result = shake(authority, worst, {}, pkix_plan());
  REQUIRE(result.pkix);
  CHECK(reasons(result.pkix->defects) ==
        Defects{Reason::certificate_not_trusted, Reason::certificate_host_mismatch, Reason::certificate_expired});
}

TEST_CASE("TLS-04: names are DNS-IDs only: no common name, no address, no e-mail, no partial wildcard") {
  const Authority authority;
  struct Row {
    Recipe recipe;
    bool good;
    const char* why;
  };
  const std::vector<Row> rows{
      {{.dns = {"a.example", "mx.mail.example"}}, true, "one of several"},
      {{.dns = {"*.mail.example"}}, true, "whole-label wildcard"},
      {{.cn = "mx.mail.example"}, false, "common name only"},
      {{.dns = {"m*.mail.example"}}, false, "partial wildcard"},
      {{.dns = {"*.mx.mail.example"}}, false, "a wildcard below the name"},
      {{.san = "IP:127.0.0.1"}, false, "address"},
      {{.san = "email:postmaster@mx.mail.example"}, false, "e-mail"},
      {{.san = "URI:https://mx.mail.example/"}, false, "URI"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto result = shake_leaf(authority, row.recipe, pkix_plan({"mx.mail.example"}));
    REQUIRE(result.pkix);
    CAPTURE(texts(result.pkix));
    CHECK(result.pkix->defects.empty() == row.good);
    if (!row.good) CHECK(reasons(result.pkix->defects) == Defects{Reason::certificate_host_mismatch});
  }
}

TEST_CASE("TLS-04: a NUL in a DNS-ID hides nothing and is not printed") {
  const Authority authority;
  // IA5String "mx.example\0.evil.example"
  const std::string hidden = "DER:301a82186d782e6578616d706c65002e6576696c2e6578616d706c65";
  const auto result = shake_leaf(authority, {.san = "", .extra = {{"2.5.29.17", hidden}}});
  REQUIRE(result.pkix);
  CHECK(reasons(result.pkix->defects).front() == Reason::certificate_host_mismatch);
  CHECK(texts(result.pkix).find('\0') == std::string::npos);
}

TEST_CASE("TLS-04: without any name to look for nothing passes") {
  const Authority authority;
  const auto none = shake(authority, authority.leaf, {&authority.intermediate}, pkix_plan({}));
  CHECK_FALSE(passed(none.pkix));
  hop::Connect root_only = pkix_plan();
  root_only.pkix->names = {dns::Name()};
  CHECK_FALSE(passed(shake(authority, authority.leaf, {&authority.intermediate}, root_only).pkix));
}

TEST_CASE("DANE and PKIX are checked side by side, each with its own names (STS-35)") {
  const Authority authority;
  hop::Connect plan = dane_plan({authority.leaf.tlsa(3, 1, 1)}, {"base.example"});
  plan.pkix = hop::PkixCheck{names({"mx.example"})};
  const auto result = shake(authority, authority.leaf, {&authority.intermediate}, plan);
  CHECK(passed(result.dane));
  CHECK(passed(result.pkix));
  plan.pkix = hop::PkixCheck{names({"base.example"})};
  const auto split = shake(authority, authority.leaf, {&authority.intermediate}, plan);
  CHECK(passed(split.dane));
  CHECK_FALSE(passed(split.pkix));
}

TEST_CASE("Foreign names in texts are printable and bounded") {
  const Authority authority;
  std::vector<std::string> many;
  for (int i = 0; i < 40; ++i) many.push_back("host" + std::to_string(i) + "." + std::string(60, 'x') + ".example");
  const auto result = shake_leaf(authority, {.dns = many});
  const std::string text = texts(result.pkix);
  CHECK(text.find(" and 37 more, not mx.example") != std::string::npos);
  CHECK(text.size() < 300);
}

}  // namespace net_pkix_test
