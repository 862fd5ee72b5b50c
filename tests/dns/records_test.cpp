// SPDX-License-Identifier: Apache-2.0
#include "dns/records.h"

#include <doctest/doctest.h>

#include "dns/answer.h"

namespace dns_records_test {

using namespace hoplock;
using namespace hoplock::dns;

namespace {
const std::string mx_name(
    "\x02mx\x07"
    "Example\0",
    12);
}

TEST_CASE("parse_mx: preference and exchange; the null MX's exchange is the root") {
  const auto mx = parse_mx(std::string("\x01\x02", 2) + mx_name);
  REQUIRE(mx.has_value());
  CHECK(mx->preference == 258);
  CHECK(mx->exchange.text() == "mx.example");
  CHECK(parse_mx(std::string("\0\0\0", 3))->exchange.is_root());
  for (const std::string& bad : {std::string(), std::string("\0\x0a", 2), std::string("\0\x0a\x02m", 4),
                                 std::string("\0\x0a", 2) + mx_name + "x"}) {
    CHECK_FALSE(parse_mx(bad).has_value());
  }
}

TEST_CASE("parse_a, parse_aaaa: their exact lengths only") {
  CHECK(parse_a(std::string("\xc0\0\x02\x01", 4))->text() == "192.0.2.1");
  CHECK(parse_aaaa(std::string(15, '\0') + "\x01")->text() == "::1");
  for (const std::size_t length : {0, 3, 5, 16}) CHECK_FALSE(parse_a(std::string(length, 'x')).has_value());
  for (const std::size_t length : {0, 4, 15, 17}) CHECK_FALSE(parse_aaaa(std::string(length, 'x')).has_value());
}

TEST_CASE("parse_tlsa: never fails; what is too short becomes a record that nothing can use") {
  const Tlsa tlsa = parse_tlsa(std::string("\x03\x01\x01\xab\xcd", 5));
  CHECK(tlsa.text() == "3 1 1 abcd");
  CHECK(tlsa.params() == "3 1 1");
  CHECK(parse_tlsa(std::string("\x03\x01\x01", 3)).data.empty());
  for (const std::string& cut : {std::string(), std::string("\x03"), std::string("\x03\x01")}) {
    CHECK(parse_tlsa(cut) == Tlsa{255, 255, 255, {}});
  }
}

TEST_CASE("parse_txt: strings are joined without anything between; a cut one is an error") {
  CHECK(*parse_txt("\x03"
                   "abc"
                   "\x02"
                   "de") == "abcde");
  CHECK(*parse_txt(std::string(1, '\0')) == "");
  CHECK_FALSE(parse_txt("").has_value());
  CHECK_FALSE(parse_txt("\x03"
                        "ab")
                  .has_value());
}

TEST_CASE("an answer: aliased, failed, secure; its records by kind and in order") {
  Answer answer;
  answer.question = answer.canonical = *Name::parse("example.org");
  CHECK(answer.failed());
  answer.security = Security::secure;
  CHECK_FALSE(answer.secure());
  answer.status = Status::records;
  CHECK(answer.secure());
  CHECK_FALSE(answer.aliased());
  answer.canonical = *Name::parse("other.example");
  CHECK(answer.aliased());
  answer.records = {Mx{20, *Name::parse("b.example")}, std::string("txt"), Mx{10, *Name::parse("a.example")}};
  REQUIRE(answer.all<Mx>().size() == 2);
  CHECK(answer.all<Mx>()[1].preference == 10);
  CHECK(answer.all<Ip>().empty());
}

}  // namespace dns_records_test
