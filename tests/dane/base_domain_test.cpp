// SPDX-License-Identifier: Apache-2.0
#include "dane/base_domain.h"

#include <doctest/doctest.h>

namespace dane_base_domain_test {

using namespace hoplock;
using dane::AddressState;
using dane::NameState;
using dns::Security;
using From = NameState::From;

namespace {
dns::Name name(const char* text) { return dns::Name::parse(text).value(); }

std::string joined(const std::vector<dns::Name>& names) {
  std::string text;
  for (const auto& one : names) text += (text.empty() ? "" : " ") + one.text();
  return text;
}
}  // namespace

TEST_CASE("DANE-03, DANE-23, DANE-27, DANE-28: where TLSA may stand, by the security of the address answers") {
  struct Row {
    const char* host;
    const char* expanded;
    Security addresses;
    bool first_cname_secure;
    const char* bases;
    const char* why;
  };
  const std::vector<Row> rows{
      {"mx.ex", "mx.ex", Security::secure, false, "mx.ex", "no alias: the name itself"},
      {"mx.ex", "mx.ex", Security::secure, true, "mx.ex", "the CNAME question does not matter"},
      {"a.ex", "c.ex", Security::secure, false, "c.ex a.ex", "DANE-27: expanded first; DANE-23: nothing between"},
      {"mx.ex", "mx.ex", Security::insecure, false, "", "DANE-03: unsigned addresses: TLSA is not asked"},
      {"mx.ex", "mx.ex", Security::insecure, true, "", "without an alias there is no first CNAME"},
      {"mx.signed", "x.unsigned", Security::insecure, true, "mx.signed", "DANE-28: the initial name only"},
      {"mx.unsigned", "x.signed", Security::insecure, false, "", "DANE-28: an unsigned first alias ends it"},
      {"mx.ex", "mx.ex", Security::bogus, false, "", "bogus data is never used"},
      {"a.ex", "c.ex", Security::bogus, true, "", "bogus data is never used"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const AddressState state{name(row.host), name(row.expanded), row.addresses, row.first_cname_secure};
    CHECK(joined(dane::base_candidates(state)) == row.bases);
  }
}

TEST_CASE("DANE-05, DANE-21, DANE-22, DANE-32, DANE-33: the names that a DANE-TA certificate may carry") {
  struct Row {
    NameState state;
    const char* names;
    const char* why;
  };
  const std::vector<Row> rows{
      {{name("mx.ex"), name("mx.ex"), From::secure_mx, {name("dom.ex"), name("dom.ex")}},
       "mx.ex dom.ex",
       "DANE-21: base, next hop"},
      {{name("real.ex"), name("mx.ex"), From::secure_mx, {name("dom.ex"), name("dom.ex")}},
       "real.ex dom.ex",
       "DANE-21: not the MX name when the base is its expansion"},
      {{name("mx.ex"), name("mx.ex"), From::secure_mx, {name("alias.ex"), name("dom.ex")}},
       "mx.ex alias.ex dom.ex",
       "DANE-32: both names of an aliased recipient domain"},
      {{name("dom.ex"), name("dom.ex"), From::secure_mx, {name("dom.ex"), name("dom.ex")}}, "dom.ex", "each name once"},
      {{name("mx.ex"), name("mx.ex"), From::insecure_mx, {name("dom.ex"), name("dom.ex")}},
       "mx.ex",
       "DANE-05: never the recipient domain"},
      {{name("real.ex"), name("mx.ex"), From::insecure_mx, {name("dom.ex")}}, "real.ex", "DANE-05: the base only"},
      {{name("real.ex"), name("host.ex"), From::no_mx, {}}, "real.ex host.ex", "DANE-22: base and the name it expands"},
      {{name("host.ex"), name("host.ex"), From::no_mx, {}}, "host.ex", "DANE-22: TLSA at the initial name: that alone"},
      {{name("dom.ex"), name("dom.ex"), From::no_mx, {name("alias.ex")}},
       "dom.ex alias.ex",
       "DANE-32: implicit MX of an alias"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(joined(dane::reference_names(row.state)) == row.names);
  }
}

}  // namespace dane_base_domain_test
