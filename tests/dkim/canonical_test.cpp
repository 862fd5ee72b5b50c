// SPDX-License-Identifier: Apache-2.0
#include "dkim/canonical.h"

#include <doctest/doctest.h>

#include "tests/dkim/verify.h"

namespace dkim_canonical_test {

using namespace hoplock;
using namespace hoplock::dkim;

namespace {
std::string body_hash(std::string_view body, std::size_t step = 65536) {
  BodyHash hash;
  for (std::size_t at = 0; at < body.size(); at += step) hash.feed(body.substr(at, step));
  return hash.finish();
}
}  // namespace

TEST_CASE("DKIM-04: a body is canonicalised exactly as RFC 6376 section 3.4.4 says, in every split") {
  struct Row {
    const char* body;
    const char* canonical;
    const char* why;
  };
  const Row rows[] = {
      {"", "", "an empty body is no octets at all"},
      {"\r\n", "", "a body of one empty line is empty too"},
      {"\r\n\r\n\r\n", "", "and one of several"},
      {" \t \r\n\t\r\n", "", "lines of blanks are empty lines"},
      {"  ", "", "blanks without a line end too"},
      {" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n", "RFC 6376 section 3.4.5"},
      {"a", "a\r\n", "a missing last line end is added"},
      {"a  ", "a\r\n", "after blanks, too"},
      {"a\r\n", "a\r\n", "one that is there stays"},
      {"a\r\n\r\n \r\n\t", "a\r\n", "empty lines at the end go"},
      {"\r\n\r\na\r\n", "\r\n\r\na\r\n", "those before the text stay"},
      {"a\r\n \r\n\t\r\nb", "a\r\n\r\n\r\nb\r\n", "and those in it, without their blanks"},
      {"\t\ta\t \tb\t\t\r\n", " a b\r\n", "tabs are blanks; those at the start of a line become one space"},
      {"a\rb\r\n", "a\rb\r\n", "a lone CR is an octet"},
      {"a\r", "a\r\r\n", "also at the end"},
      {"a \r\r\n", "a \r\r\n", "and it keeps the blanks before it"},
      {"a\nb\n", "a\nb\n\r\n", "a lone LF ends no line"},
      {"a\r\n\r", "a\r\n\r\r\n", "a CR at the end makes its line count"},
      {"\xc3\xa9\x80\xff \r\n", "\xc3\xa9\x80\xff\r\n", "octets above 127 stay as they are"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    CAPTURE(row.why);
    const std::string body = row.body;
    CHECK(testing::slow_relaxed_body(body) == row.canonical);
    for (std::size_t step = 1; step <= body.size() + 1; ++step) {
      CHECK(body_hash(body, step) == testing::sha256(row.canonical));
    }
  }
  // RFC 6376 section 3.4.4 names the hash of the empty body.
  CHECK(to_base64(body_hash("\r\n")) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

TEST_CASE("DKIM-04: a NUL, long lines and long runs of blanks or empty lines are nothing special") {
  const std::string nul("a\0 \0\r\n", 6);
  CHECK(body_hash(nul) == testing::sha256(nul));
  const std::string line(100000, 'x');
  CHECK(body_hash(line + "\r\n", 777) == testing::sha256(line + "\r\n"));
  std::string empty;
  for (int i = 0; i < 50000; ++i) empty += "\r\n";
  CHECK(body_hash("a" + empty + "b", 1001) == testing::sha256("a" + empty + "b\r\n"));
  CHECK(body_hash("a" + std::string(100000, ' ') + "b" + empty) == testing::sha256("a b\r\n"));
}

TEST_CASE("DKIM-04: a header field loses its folding, extra blanks and the case of its name") {
  struct Row {
    const char* field;
    const char* canonical;
    const char* why;
  };
  const Row rows[] = {
      {"A: X\r\n", "a:X\r\n", "RFC 6376 section 3.4.5"},
      {"B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n", "RFC 6376 section 3.4.5"},
      {"Subject:x", "subject:x\r\n", "without a line end"},
      {"SUBJECT:\r\n", "subject:\r\n", "an empty value"},
      {"Subject:  \t\r\n \r\n", "subject:\r\n", "a value of blanks"},
      {"To: a,\r\n b,\r\n\tc\r\n", "to:a, b, c\r\n", "folds are one space"},
      {"To \t : a : b\r\n", "to:a : b\r\n", "only the first colon is the name's end"},
      {"X: Ab\rC\r\n", "x:Ab\rC\r\n", "a lone CR stays; the value keeps its case"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(relaxed_field(row.field) == row.canonical);
    CHECK(testing::slow_relaxed_field(row.field) == row.canonical);
  }
}

}  // namespace dkim_canonical_test
