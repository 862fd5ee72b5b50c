// SPDX-License-Identifier: Apache-2.0
// DANE as OpenSSL checks it under our settings: every record kind against real handshakes.
#include <doctest/doctest.h>

#include "base/time.h"
#include "tests/net/handshakes.h"

namespace net_dane_test {

using namespace hoplock;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
using Defects = std::vector<Reason>;

net::Handshake shake_leaf(const Authority& authority, const Certificate& leaf, std::vector<dns::Tlsa> records) {
  return shake(authority, leaf, {&authority.intermediate}, dane_plan(std::move(records)));
}
}  // namespace

TEST_CASE("DANE-14: DANE-EE(3) is compared with the leaf, over both selectors and every matching type") {
  const Authority authority;
  for (int selector : {0, 1}) {
    for (int matching : {0, 1, 2}) {
      CAPTURE(selector);
      CAPTURE(matching);
      const dns::Tlsa record = authority.leaf.tlsa(3, selector, matching);
      const auto result = shake_leaf(authority, authority.leaf, {record});
      REQUIRE(result.session);
      CHECK(passed(result.dane));
      CHECK(result.dane->matched == record);
      CHECK(result.session->key == authority.leaf.key_digest());
    }
  }
}

TEST_CASE("DANE-14: a DANE-EE(3) record of an issuer, of another key or of the other selector does not match") {
  const Authority authority;
  const Certificate other({.cn = "mx.example", .dns = {"mx.example"}});
  dns::Tlsa crossed = authority.leaf.tlsa(3, 0, 1);
  crossed.selector = 1;
  const std::vector<std::pair<dns::Tlsa, const char*>> rows{
      {authority.intermediate.tlsa(3, 1, 1), "the issuer's key"},
      {authority.intermediate.tlsa(3, 0, 0), "the issuer's certificate"},
      {other.tlsa(3, 1, 1), "another key"},
      {crossed, "the digest of the certificate under the selector of the key"},
  };
  for (const auto& [record, why] : rows) {
    CAPTURE(why);
    const auto result = shake_leaf(authority, authority.leaf, {record});
    REQUIRE(result.dane);
    CHECK_FALSE(result.dane->matched);
    CHECK(reasons(result.dane->defects) == Defects{Reason::tlsa_invalid});
    CHECK(texts(result.dane) == "[no TLSA record matches the certificate]");
    CHECK(result.session);  // the facts are there for reports
  }
}

TEST_CASE("DANE-15: DANE-EE(3) ignores names, dates, issuer, key usage and purpose (PEERS 11)") {
  const Authority authority;
  const std::vector<std::pair<Recipe, const char*>> rows{
      {{.cn = "other.example", .dns = {"other.example"}}, "wrong name"},
      {{.cn = ""}, "no name"},
      {{.dns = {"mx.example"}, .valid_from = -48h, .valid_to = -24h}, "expired"},
      {{.dns = {"mx.example"}, .valid_from = 24h, .valid_to = 48h}, "not yet valid"},
      {{.dns = {"mx.example"}, .extended_key_usage = "clientAuth"}, "not for servers"},
      {{.dns = {"mx.example"}, .key_usage = "cRLSign"}, "key usage"},
      {{.dns = {"mx.example"}, .ca = true}, "a CA"},
      {{.dns = {"mx.example"}, .digest = "SHA1"}, "SHA-1"},
      {{.dns = {"mx.example"}, .unknown_critical = true}, "unknown critical extension"},
  };
  for (const auto& [recipe, why] : rows) {
    CAPTURE(why);
    const Certificate self_signed(recipe);
    const auto result = shake(authority, self_signed, {}, dane_plan({self_signed.tlsa(3, 1, 1)}));
    CAPTURE(texts(result.dane));
    CHECK(passed(result.dane));
  }
}

TEST_CASE("TLS-02: a matching DANE-EE(3) with a key of RSA 1024 passes, a DANE-TA(2) chain with one does not") {
  const Authority authority;
  const Certificate weak = authority.issue({.cn = "mx.example", .dns = {"mx.example"}, .key = Key::rsa1024});
  const auto ee = shake_leaf(authority, weak, {weak.tlsa(3, 1, 1)});
  CHECK(passed(ee.dane));
  const auto ta = shake_leaf(authority, weak, {authority.intermediate.tlsa(2, 0, 1)});
  REQUIRE(ta.dane);
  CHECK(reasons(ta.dane->defects) == Defects{Reason::certificate_not_trusted});
}

TEST_CASE("DANE-13: one matching record is enough, and EE and TA records stand beside each other (PEERS 9)") {
  const Authority authority;
  const Certificate other({.cn = "other", .dns = {"mx.example"}});
  const dns::Tlsa good_ee = authority.leaf.tlsa(3, 1, 1);
  const dns::Tlsa good_ta = authority.intermediate.tlsa(2, 0, 1);
  const dns::Tlsa bad_ee = other.tlsa(3, 1, 1);
  const dns::Tlsa bad_ta = other.tlsa(2, 0, 1);
  struct Row {
    std::vector<dns::Tlsa> records;
    std::optional<dns::Tlsa> matched;
    const char* why;
  };
  const std::vector<Row> rows{
      {{bad_ee, good_ee}, good_ee, "the second EE"},
      {{bad_ta, good_ee}, good_ee, "EE, though no TA"},
      {{bad_ee, good_ta}, good_ta, "no EE, then TA is still tried"},
      {{good_ta, bad_ee, bad_ta}, good_ta, "TA among bad ones"},
      {{bad_ee, bad_ta}, std::nullopt, "none"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto result = shake_leaf(authority, authority.leaf, row.records);
    REQUIRE(result.dane);
    CAPTURE(texts(result.dane));
    CHECK(result.dane->matched == row.matched);
    CHECK(result.dane->defects.empty() == row.matched.has_value());
  }
}

TEST_CASE("DANE-13: a record that OpenSSL cannot use is ignored beside a good one, and alone never matches") {
  const Authority authority;
  const dns::Tlsa broken{2, 0, 0, "this is no certificate"};
  const auto beside = shake_leaf(authority, authority.leaf, {broken, authority.leaf.tlsa(3, 1, 1)});
  CHECK(passed(beside.dane));
  const auto alone = shake_leaf(authority, authority.leaf, {broken});
  REQUIRE(alone.dane);
  CHECK(reasons(alone.dane->defects) == Defects{Reason::tlsa_invalid});
}

TEST_CASE("DANE-16: DANE-TA(2) anchors a chain at any CA of it, without any public root (PEERS 10)") {
  const Authority authority;
  const std::vector<const Certificate*> whole{&authority.intermediate, &authority.root};
  for (const Certificate* anchor : {&authority.intermediate, &authority.root}) {
    for (int selector : {0, 1}) {
      for (int matching : {0, 1, 2}) {
        CAPTURE(selector);
        CAPTURE(matching);
        const dns::Tlsa record = anchor->tlsa(2, selector, matching);
        const auto result = shake(authority, authority.leaf, whole, dane_plan({record}));
        CAPTURE(texts(result.dane));
        CHECK(passed(result.dane));
        CHECK(result.dane->matched == record);
      }
    }
  }
  // PEERS 10: an intermediate that is not self-signed, and nothing above it sent
  CHECK(passed(shake_leaf(authority, authority.leaf, {authority.intermediate.tlsa(2, 0, 1)}).dane));
}

TEST_CASE("DANE-16: dates, signatures and CA constraints count up to the anchor, each defect under its own name") {
  const Authority authority;
  const Certificate expired_ca({.cn = "Expired CA", .ca = true, .valid_from = -48h, .valid_to = -24h}, authority.root);
  const Certificate no_ca({.cn = "No CA", .dns = {"ca.example"}}, authority.root);
  const Recipe good{.cn = "mx.example", .dns = {"mx.example"}};
  const dns::Tlsa anchor = authority.root.tlsa(2, 1, 1);
  struct Row {
    Certificate leaf;
    const Certificate* above;
    Defects defects;
    const char* why;
  };
  std::vector<Row> rows;
  const Recipe expired{.dns = {"mx.example"}, .valid_from = -48h, .valid_to = -24h};
  const Recipe both{.dns = {"other.example"}, .valid_from = -48h, .valid_to = -24h};
  rows.push_back({authority.issue(expired), &authority.intermediate, {Reason::certificate_expired}, "expired leaf"});
  rows.push_back({Certificate(good, expired_ca), &expired_ca, {Reason::certificate_expired}, "expired issuer"});
  rows.push_back({Certificate(good, no_ca), &no_ca, {Reason::certificate_not_trusted}, "an issuer that is no CA"});
  rows.push_back({authority.issue(both),
                  &authority.intermediate,
                  {Reason::certificate_host_mismatch, Reason::certificate_expired},
                  "wrong name and expired, in order"});
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto result = shake(authority, row.leaf, {row.above, &authority.root}, dane_plan({anchor}));
    REQUIRE(result.dane);
    CAPTURE(texts(result.dane));
    CHECK_FALSE(result.dane->matched);
    CHECK(reasons(result.dane->defects) == row.defects);
  }
}

TEST_CASE("DANE-16: the defects' texts name dates and names") {
  const Authority authority;
  const Certificate leaf = authority.issue({.dns = {"a.example", "b.example"}, .valid_from = -48h, .valid_to = -24h});
  const auto result = shake_leaf(authority, leaf, {authority.intermediate.tlsa(2, 0, 1)});
  REQUIRE(result.dane);
  REQUIRE(result.dane->defects.size() == 2);
  CHECK(result.dane->defects[0].text == "certificate is for a.example, b.example, not mx.example");
  const Time yesterday = std::chrono::floor<Milliseconds>(std::chrono::system_clock::now() - 24h);
  const Time tolerant = yesterday - 1h;  // the test may run over midnight
  const std::string text = result.dane->defects[1].text;
  const bool dated = text == "certificate expired " + to_rfc3339(yesterday).substr(0, 10) ||
                     text == "certificate expired " + to_rfc3339(tolerant).substr(0, 10);
  CAPTURE(text);
  CHECK(dated);
}

TEST_CASE("DANE-17: a 2 x x record that equals only the leaf does not authenticate") {
  const Authority authority;
  const Certificate self_signed({.cn = "mx.example", .dns = {"mx.example"}});
  const Certificate self_signed_ca({.cn = "mx.example", .dns = {"mx.example"}, .ca = true});
  for (int matching : {0, 1}) {
    CAPTURE(matching);
    for (const Certificate* leaf : {&authority.leaf, &self_signed, &self_signed_ca}) {
      const auto result = shake(authority, *leaf, {}, dane_plan({leaf->tlsa(2, 0, matching)}));
      REQUIRE(result.dane);
      CHECK_FALSE(result.dane->matched);
    }
  }
}

TEST_CASE("DANE-18: a digest anchor that the server does not send is not taken from the trust store") {
  const Authority authority;  // its root is in ca_file
  const auto result = shake_leaf(authority, authority.leaf, {authority.root.tlsa(2, 0, 1)});
  REQUIRE(result.dane);
  CHECK(reasons(result.dane->defects) == Defects{Reason::tlsa_invalid});
}

TEST_CASE("DANE-19: a full anchor works though the server does not send it: 2 0 0 and 2 1 0") {
  const Authority authority;
  for (int selector : {0, 1}) {
    CAPTURE(selector);
    const dns::Tlsa record = authority.root.tlsa(2, selector, 0);
    const auto result = shake_leaf(authority, authority.leaf, {record});
    CAPTURE(texts(result.dane));
    CHECK(passed(result.dane));
    CHECK(result.dane->matched == record);
  }
  const Certificate direct({.cn = "mx.example", .dns = {"mx.example"}}, authority.root);
  CHECK(passed(shake(authority, direct, {}, dane_plan({authority.root.tlsa(2, 0, 0)})).dane));
}

TEST_CASE("DANE-20: the anchor's own path length and name constraints hold with selector Cert(0)") {
  const Authority authority;
  const Certificate narrow({.cn = "Narrow", .ca = true, .name_constraints = "permitted;DNS:other.example"});
  const Certificate shallow({.cn = "Shallow", .ca = true, .path_length = 0});
  const Certificate below_shallow({.cn = "Below", .ca = true}, shallow);
  const Recipe good{.cn = "mx.example", .dns = {"mx.example"}};
  const Certificate in_narrow(good, narrow);
  const Certificate too_deep(good, below_shallow);
  const auto named = shake(authority, in_narrow, {&narrow}, dane_plan({narrow.tlsa(2, 0, 1)}));
  REQUIRE(named.dane);
  CHECK(reasons(named.dane->defects) == Defects{Reason::certificate_not_trusted});
  const auto deep = shake(authority, too_deep, {&below_shallow, &shallow}, dane_plan({shallow.tlsa(2, 0, 1)}));
  REQUIRE(deep.dane);
  CHECK(reasons(deep.dane->defects) == Defects{Reason::certificate_not_trusted});
}

TEST_CASE("DANE-21, DANE-22: DANE-TA(2) takes any of the reference names and no other (PEERS 10)") {
  const Authority authority;
  const std::vector<std::string> accepted{"base.example", "next-hop.example", "alias-of-next-hop.example"};
  for (const auto& shown : accepted) {
    CAPTURE(shown);
    const Certificate leaf = authority.issue({.dns = {shown}});
    const auto plan = dane_plan({authority.intermediate.tlsa(2, 1, 1)}, accepted);
    CHECK(passed(shake(authority, leaf, {&authority.intermediate}, plan).dane));
  }
  const Certificate mx = authority.issue({.dns = {"mx.example"}});
  const auto plan = dane_plan({authority.intermediate.tlsa(2, 1, 1)}, accepted);
  const auto result = shake(authority, mx, {&authority.intermediate}, plan);
  REQUIRE(result.dane);
  CHECK(reasons(result.dane->defects) == Defects{Reason::certificate_host_mismatch});
  CHECK(result.dane->defects[0].text ==
        "certificate is for mx.example, not base.example, next-hop.example, alias-of-next-hop.example");
}

TEST_CASE("DANE-24: DNS-IDs win over the common name, and a wildcard is one whole left-most label") {
  const Authority authority;
  struct Row {
    Recipe recipe;
    bool good;
    const char* why;
  };
  const std::vector<Row> rows{
      {{.cn = "mx.mail.example"}, true, "common name without any DNS-ID"},
      {{.cn = "mx.mail.example", .dns = {"other.example"}}, false, "common name beside a DNS-ID"},
      {{.cn = "mx.mail.example", .san = "email:a@mx.mail.example"}, true, "an e-mail name is no DNS-ID"},
      {{.dns = {"*.mail.example"}}, true, "wildcard for one label"},
      {{.dns = {"m*.mail.example"}}, false, "partial wildcard"},
      {{.dns = {"*x.mail.example"}}, false, "partial wildcard"},
      {{.dns = {"*"}}, false, "bare wildcard"},
      {{.dns = {"MX.Mail.Example"}}, true, "case"},
      {{.dns = {"mx.mail.example.org"}}, false, "longer"},
      {{.san = "IP:127.0.0.1"}, false, "the address"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const Certificate leaf = authority.issue(row.recipe);
    const auto mail = dane_plan({authority.intermediate.tlsa(2, 0, 1)}, {"mx.mail.example"});
    const auto result = shake(authority, leaf, {&authority.intermediate}, mail);
    REQUIRE(result.dane);
    CHECK(result.dane->matched.has_value() == row.good);
    if (!row.good) CHECK(reasons(result.dane->defects) == Defects{Reason::certificate_host_mismatch});
  }
  const Certificate deep = authority.issue({.dns = {"*.mail.example"}});
  const auto plan = dane_plan({authority.intermediate.tlsa(2, 0, 1)}, {"a.mx.mail.example"});
  CHECK_FALSE(passed(shake(authority, deep, {&authority.intermediate}, plan).dane));
}

TEST_CASE("An anchor that is sent, but to which the chain does not lead, is not tlsa-invalid (RPT-22)") {
  const Authority authority;
  const Certificate stranger({.cn = "mx.example", .dns = {"mx.example"}});
  const auto sent = shake(authority, stranger, {&authority.root}, dane_plan({authority.root.tlsa(2, 0, 1)}));
  REQUIRE(sent.dane);
  CHECK(reasons(sent.dane->defects) == Defects{Reason::certificate_not_trusted});
  const Certificate worse({.dns = {"other.example"}, .valid_from = -48h, .valid_to = -24h});
  const auto all = shake(authority, worse, {&authority.root}, dane_plan({authority.root.tlsa(2, 0, 1)}));
  REQUIRE(all.dane);
  CHECK(reasons(all.dane->defects) ==
        Defects{Reason::certificate_not_trusted, Reason::certificate_host_mismatch, Reason::certificate_expired});
  const auto not_sent = shake(authority, stranger, {}, dane_plan({authority.root.tlsa(2, 0, 1)}));
  REQUIRE(not_sent.dane);
  CHECK(reasons(not_sent.dane->defects) == Defects{Reason::tlsa_invalid});
}

TEST_CASE("A failed check ends no handshake, so that audit can go on and reports know (DANE-36)") {
  const Authority authority;
  const Certificate other({.cn = "other"});
  const auto result = shake_leaf(authority, authority.leaf, {other.tlsa(3, 1, 1)});
  CHECK(result.stage == hop::Stage::ready);
  CHECK_FALSE(result.failure);
  REQUIRE(result.session);
  CHECK(result.session->version == "TLSv1.3");
  CHECK(result.session->key == authority.leaf.key_digest());
}

}  // namespace net_dane_test
