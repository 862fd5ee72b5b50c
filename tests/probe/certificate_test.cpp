// SPDX-License-Identifier: Apache-2.0
#include "probe/certificate.h"

#include <doctest/doctest.h>

#include "tests/support/test_ca.h"

namespace probe_certificate_test {

using namespace hoplock;
using namespace hoplock::probe;
using support::Certificate;
using support::Recipe;

namespace {
struct Chain {
  Chain() : root(authority("Root")), leaf(server(), root) {}
  static Recipe authority(const char* name) {
    Recipe recipe;
    recipe.cn = name;
    recipe.ca = true;
    return recipe;
  }
  static Recipe server() {
    Recipe recipe;
    recipe.dns = {"*.example.org", "mx1.example.org"};
    return recipe;
  }
  Certificate root;
  Certificate leaf;
};
}  // namespace

TEST_CASE("parse_certificates: all of a PEM file in order, a key among them passed over, or one in DER") {
  const Chain chain;
  const auto all = parse_certificates(chain.leaf.key_pem() + chain.leaf.pem() + "\nwords between\n" + chain.root.pem());
  REQUIRE(all.has_value());
  REQUIRE(all->size() == 2);
  CHECK(all->at(0) == chain.leaf.der());
  CHECK(all->at(1) == chain.root.der());
  const auto der = parse_certificates(chain.leaf.der());
  REQUIRE(der.has_value());
  CHECK(der->at(0) == chain.leaf.der());
}

TEST_CASE("parse_certificates: what is none is refused") {
  const Chain chain;
  CHECK_FALSE(parse_certificates("").has_value());
  CHECK_FALSE(parse_certificates("hello").has_value());
  CHECK_FALSE(parse_certificates(chain.leaf.key_pem()).has_value());
  std::string cut = chain.leaf.pem();
  cut.resize(cut.size() / 2);
  CHECK_FALSE(parse_certificates(cut).has_value());
  std::string second_broken = chain.leaf.pem() + chain.root.pem();
  second_broken[chain.leaf.pem().size() + 60] = '!';
  CHECK_FALSE_MESSAGE(parse_certificates(second_broken).has_value(), "a chain is not taken by half");
}

TEST_CASE("record_for: all selectors and matchings, of the server's certificate or of the CA behind it") {
  const Chain chain;
  const std::vector<std::string> both{chain.leaf.der(), chain.root.der()};
  for (std::uint8_t selector = 0; selector <= 1; ++selector) {
    for (std::uint8_t matching = 0; matching <= 2; ++matching) {
      CHECK(record_for(both, {3, selector, matching}).value() == chain.leaf.tlsa(3, selector, matching));
      CHECK(record_for(both, {2, selector, matching}).value() == chain.root.tlsa(2, selector, matching));
    }
  }
  CHECK(record_for({chain.root.der()}, {2, 1, 1}).value() == chain.root.tlsa(2, 1, 1));
  CHECK_FALSE_MESSAGE(record_for({chain.leaf.der()}, {2, 1, 1}).has_value(), "no CA is there");
}

TEST_CASE("first_name: a DNS name that is no wildcard, or nothing") {
  const Chain chain;
  CHECK(first_name(chain.leaf.der()).value().text() == "mx1.example.org");
  CHECK_FALSE(first_name(chain.root.der()).has_value());
  CHECK_FALSE(first_name("junk").has_value());
}

}  // namespace probe_certificate_test
