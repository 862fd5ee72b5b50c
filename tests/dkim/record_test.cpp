// SPDX-License-Identifier: Apache-2.0
#include "dkim/record.h"

#include <doctest/doctest.h>

#include "tests/dkim/verify.h"

namespace dkim_record_test {

using namespace hoplock;
using namespace hoplock::dkim;

namespace {
const Key& key() {
  static const Key made = Key::parse(testing::ed25519_pem()).value();
  return made;
}
std::vector<std::string> complain(const std::string& txt, Use use = Use::mail_and_reports) {
  const auto record = parse_record(txt);
  REQUIRE(record.has_value());
  return complaints(*record, key(), use);
}
}  // namespace

TEST_CASE("DKIM-06: the published record should let reports and mail be verified with our key") {
  struct Row {
    std::string tags;  // beside our key
    std::size_t complaints;
    const char* why;
  };
  const Row rows[] = {
      {"", 0, "s= left out is every service"},
      {"; s=*", 0, "likewise"},
      {"; s=email:tlsrpt", 0, "both named"},
      {"; s= tlsrpt : email ", 0, "with blanks"},
      {"; s=tlsrpt", 1, "ordinary verifiers ignore the key"},
      {"; s=email", 1, "a receiver of reports may refuse them"},
      {"; h=sha256; t=s; n=note", 0, "what restricts nothing that we do"},
      {"; h=sha1", 1, "not the hash that we sign with"},
      {"; t=y", 1, "testing: verifiers treat it as unsigned"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.tags);
    CAPTURE(row.why);
    CHECK(complain(key().record() + row.tags).size() == row.complaints);
  }
  CHECK(complain(key().record() + "; s=email", Use::mail).empty());
  CHECK(complain("p=") == std::vector<std::string>{"the key is revoked: p= is empty"});
  CHECK(complain("k=rsa; p=" + key().public_key()) ==
        std::vector<std::string>{"the record is for a key of another kind: k=rsa"});
  CHECK(complain("k=ed25519; p=AAAA") ==
        std::vector<std::string>{"the record holds another key than the one that signs"});
  std::string spaced = key().record();
  CHECK(complain(spaced.insert(spaced.size() - 8, " \t")).empty());
}

TEST_CASE("a key record is read as RFC 6376 section 3.6.1 says") {
  for (const char* good :
       {"p=abc", "v=DKIM1; p=abc;", "v=DKIM1;k=rsa;p=abc;x=unknown", " v = DKIM1 ; p = a b c ", "p="}) {
    CAPTURE(good);
    CHECK(parse_record(good).has_value());
  }
  for (const char* bad : {"", "v=DKIM1", "p=abc; v=DKIM1", "v=DKIM2; p=abc", "v=dkim1; p=abc", "p=a; p=b", "p",
                          "p=abc; =x", "p=a; 1x=y"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_record(bad).has_value());
  }
}

}  // namespace dkim_record_test
