// SPDX-License-Identifier: Apache-2.0
#include "mtasts/record.h"

#include <doctest/doctest.h>

namespace mtasts_record_test {

using namespace hoplock;
using mtasts::Choice;
using State = Choice::State;

namespace {
std::string id_of(std::string_view text) {
  const auto record = mtasts::parse_record(text);
  return record ? record->id : "";
}

std::string repeated(std::size_t count) { return std::string(count, 'a'); }

struct Row {
  std::string text;
  const char* id;  // "": no policy
  const char* why;
};

void check(const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CAPTURE(row.why);
    CHECK(id_of(row.text) == row.id);
    const auto record = mtasts::parse_record(row.text);
    if (!record) CHECK(!record.error().detail.empty());
  }
}
}  // namespace

TEST_CASE("STS-05: what the record's grammar takes") {
  check({
      {"v=STSv1; id=20160831085700Z;", "20160831085700Z", "RFC 8461's own example"},
      {"v=STSv1; id=1", "1", "no ';' at the end"},
      {"v=STSv1;id=1;", "1", "no blank at all"},
      {"v=STSv1;id=1; ", "1", "blanks after the last ';'"},
      {"v=STSv1 \t;\t id=1 \t; ", "1", "blanks and tabs around ';'"},
      {"v=STSv1; id=1; x=y", "1", "unknown field ignored"},
      {"v=STSv1; x=y; id=1", "1", "fields in any order"},
      {"v=STSv1; a_b-c.d=!,/:<>~; id=1", "1", "every kind of character of an unknown field"},
      {"v=STSv1; id=1; id=2", "1", "the first of duplicates"},
      {"v=STSv1; id=1; id=a-b", "1", "the second is not looked at, if it is a field at all"},
      {"v=STSv1; v=STSv1; id=1", "1", "the version again is an unknown field"},
      {"v=STSv1; ID=2; id=1", "1", "keys are case-sensitive: ID is another field"},
      {"v=STSv1; id=aAzZ09", "aAzZ09", "letters and digits"},
      {"v=STSv1; id=" + repeated(32), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "32 of them"},
  });
}

TEST_CASE("STS-05: what it does not take: no policy then") {
  check({
      {"V=STSv1; id=1", "", "the version is case-sensitive"},
      {"v=stsv1; id=1", "", "the version is case-sensitive"},
      {"v=STSv2; id=1", "", "another version"},
      {"v=STSv12; id=1", "", "a longer version"},
      {"v=STSv1 id=1", "", "no ';' after the version"},
      {"v=STSv1", "", "the version alone"},
      {"v=STSv1;", "", "no id"},
      {"v=STSv1; x=y", "", "no id"},
      {"v=STSv1; ID=1", "", "no id, but another field"},
      {"v=STSv1; id=", "", "an empty id"},
      {"v=STSv1; id=" + repeated(33), "", "33 characters"},
      {"v=STSv1; id=a-b", "", "neither letter nor digit"},
      {"v=STSv1; id=a-b; id=1", "", "the first of duplicates counts, and it is bad"},
      {"v=STSv1; id=\xc3\xa4", "", "not ASCII"},
      {"v=STSv1; id=1 2", "", "a blank inside"},
      {"v=STSv1; id =1", "", "a blank before '='"},
      {"v=STSv1; id= 1", "", "a blank after '='"},
      {"v=STSv1; id=1 ", "", "a blank at the end without ';'"},
      {" v=STSv1; id=1", "", "a blank at the start"},
      {"v=STSv1;; id=1", "", "an empty field"},
      {"v=STSv1; id=1;;", "", "an empty field"},
      {"v=STSv1; id=1; x", "", "a field without '='"},
      {"v=STSv1; id=1; x=", "", "an empty value"},
      {"v=STSv1; id=1; =y", "", "an empty key"},
      {"v=STSv1; id=1; x=y=z", "", "'=' in a value"},
      {"v=STSv1; id=1; -x=y", "", "a key begins with a letter or digit"},
      {"v=STSv1; id=1; " + repeated(33) + "=y", "", "a key of 33 characters"},
      {"v=STSv1; id=1; x=y z", "", "a blank in a value"},
      {std::string("v=STSv1; id=1\0", 14), "", "a NUL"},
      {"v=STSv1; id=1\n", "", "a line end"},
      {"", "", "nothing"},
  });
}

TEST_CASE("STS-04: records that do not begin with the version are discarded, exactly one must remain") {
  struct Case {
    std::vector<std::string> texts;
    State state;
    const char* id;
    const char* why;
  };
  const std::vector<Case> cases{
      {{}, State::none, "", "no record"},
      {{"v=spf1 -all"}, State::none, "", "none of them is ours"},
      {{"v=STSv1; id=1"}, State::valid, "1", "one"},
      {{"v=spf1 -all", "v=STSv1; id=1", "x"}, State::valid, "1", "one beside others"},
      {{"v=STSv1; id=1", "V=STSv1; id=2"}, State::valid, "1", "another case is another thing"},
      {{"v=STSv1; id=1", "v=STSv2; id=2"}, State::valid, "1", "a version to come"},
      {{"v=STSv1; id=1", "v=STSv1"}, State::valid, "1", "RFC 8461: discarded unless it begins with 'v=STSv1;'"},
      {{"v=STSv1; id=1", "v=STSv1; id=2"}, State::invalid, "", "two"},
      {{"v=STSv1; id=1", "v=STSv1; id=1"}, State::invalid, "", "two, though they say the same"},
      {{"v=STSv1; id=1", "v=STSv1;"}, State::invalid, "", "a broken one is one too"},
      {{"v=STSv1; id=a-b"}, State::invalid, "", "one, broken"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.why);
    const Choice choice = mtasts::choose_record(one.texts);
    CHECK(choice.state == one.state);
    CHECK(choice.id == one.id);
    CHECK(choice.why.empty() == (one.state != State::invalid));
  }
}

TEST_CASE("a record that was discarded for a slip of its version is told, the value on one printable line") {
  const Choice slip = mtasts::choose_record({"V=STSv1; id=1\r\n\x1b[2J"});
  CHECK(slip.state == State::none);
  CHECK(slip.why.find("V=STSv1; id=1") != std::string::npos);
  CHECK(slip.why.find_first_of("\r\n\x1b") == std::string::npos);
  CHECK(mtasts::choose_record({"v=STSv1"}).why.find("'v=STSv1;'") != std::string::npos);
  CHECK(mtasts::choose_record({"v=spf1 -all"}).why.empty());
  CHECK(mtasts::choose_record({"v=STSv1; id=" + std::string(60000, 'x')}).why.size() < 300);
}

}  // namespace mtasts_record_test
