// SPDX-License-Identifier: Apache-2.0
#include "mtasts/match.h"

#include <doctest/doctest.h>

namespace mtasts_match_test {

using namespace hoplock;

namespace {
dns::Name name(const char* text) { return dns::Name::parse(text).value(); }

bool matches(const std::string& patterns, const char* host) {
  const auto policy = mtasts::parse_policy("version: STSv1\nmode: enforce\nmax_age: 1\n" + patterns).value();
  return mtasts::matches(policy, name(host));
}
}  // namespace

TEST_CASE("STS-20: a pattern names one host, or exactly one label below a name, whatever the case") {
  struct Row {
    const char* patterns;
    const char* host;
    bool match;
    const char* why;
  };
  const std::vector<Row> rows{
      {"mx: a.ex", "a.ex", true, "the same"},
      {"mx: A.eX", "a.Ex", true, "case does not matter"},
      {"mx: a.ex", "b.ex", false, "another"},
      {"mx: a.ex", "x.a.ex", false, "no wildcard: not below"},
      {"mx: *.ex", "a.ex", true, "one label"},
      {"mx: *.EX", "A.ex", true, "case does not matter"},
      {"mx: *.ex", "ex", false, "not the name itself"},
      {"mx: *.ex", "a.b.ex", false, "two labels"},
      {"mx: *.ex", "a.bex", false, "a label, not a suffix of text"},
      {"mx: *.b.ex", "a.b.ex", true, "deeper"},
      {"mx: *.b.ex", "b.ex", false, "deeper: not the name itself"},
      {"mx: *.ex", ".", false, "the root"},
      {"mx: a.ex\nmx: *.other.ex", "m.other.ex", true, "any of several"},
      {"mx: a.ex\nmx: *.other.ex", "m.third.ex", false, "none of several"},
      {"mx: xn--bcher-kva.ex",
       "b\xc3\xbc"
       "cher.ex",
       true, "names are A-labels on both sides"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(matches(row.patterns, row.host) == row.match);
  }
}

TEST_CASE("STS-20: a policy without mx names nobody") { CHECK(!mtasts::matches(mtasts::Policy{}, name("a.ex"))); }

}  // namespace mtasts_match_test
