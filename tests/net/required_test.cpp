// SPDX-License-Identifier: Apache-2.0
// The name that REQUIRETLS wants in the certificate besides what proves it (RFC 8689 section 4.2.1).
#include <doctest/doctest.h>

#include "tests/net/handshakes.h"

namespace net_required_test {

using namespace hoplock;
using namespace hoplock::tests;

TEST_CASE("RTLS-06: the peer's own certificate carries the name, whoever vouches for the key") {
  const Authority authority;
  const struct {
    Recipe recipe;
    bool carried;
    const char* why;
  } rows[] = {
      {{.cn = "x", .dns = {"mx.dom.example"}}, true, "its DNS name"},
      {{.cn = "x", .dns = {"*.dom.example"}}, true, "a wildcard for one label"},
      {{.cn = "mx.dom.example"}, true, "the common name, where there is no DNS name"},
      {{.cn = "mx.dom.example", .dns = {"other.example"}}, false, "the common name beside a DNS name"},
      {{.cn = "x", .dns = {"other.example"}}, false, "another name"},
      {{.cn = "x", .dns = {"dom.example"}}, false, "the parent"},
      {{.cn = "x", .dns = {"m*.dom.example"}}, false, "a part of a label"},
      {{.cn = "x", .dns = {"*.mx.dom.example"}}, false, "a wildcard below it"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const Certificate leaf = authority.issue(row.recipe);
    hop::Connect plan = dane_plan({leaf.tlsa(3, 1, 1)});
    plan.policy = hop::Policy::requiretls;
    plan.required = hop::Required{hop::Policy::dane, names({"mx.dom.example"})};
    const auto result = shake(authority, leaf, {&authority.intermediate}, plan);
    REQUIRE(result.session);
    CHECK(passed(result.dane));
    REQUIRE(result.name);
    CHECK(result.name->defects.empty() == row.carried);
    if (!row.carried) CHECK(result.name->defects.at(0).reason == Reason::certificate_host_mismatch);
  }
}

TEST_CASE("RTLS-06: any of several names will do, the root is none, and without REQUIRETLS nobody asks") {
  const Authority authority;
  hop::Connect plan = pkix_plan();
  CHECK_FALSE(shake(authority, authority.leaf, {&authority.intermediate}, plan).name);
  plan.required = hop::Required{hop::Policy::route, {dns::Name(), name("other.example"), name("mx.example")}};
  CHECK(shake(authority, authority.leaf, {&authority.intermediate}, plan).name->defects.empty());
  plan.required->names = {dns::Name()};
  CHECK_FALSE(shake(authority, authority.leaf, {&authority.intermediate}, plan).name->defects.empty());
}

}  // namespace net_required_test
