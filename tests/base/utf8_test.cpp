// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <doctest/doctest.h>

#include "base/fnv1a.h"

namespace base_utf8_test {

using namespace hoplock;

TEST_CASE("sanitized: each charset lets through what it names, and nothing else") {
  const std::string text = "a\"\\\x1b\x7f\xc2\x9b\xc3\xa4\xef\xbf\xbe\xff\n";
  CHECK(sanitized(text, Charset::utf8) == "a\"\\\x1b\x7f\xc2\x9b\xc3\xa4\xef\xbf\xbe\xef\xbf\xbd\n");
  CHECK(sanitized(text, Charset::i_json) == "a\"\\\x1b\x7f\xc2\x9b\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\n");
  CHECK(sanitized(text, Charset::quoted) == "a\\\"\\\\\\u001b\\u007f\\u009b\xc3\xa4\xef\xbf\xbe\xef\xbf\xbd\\n");
  CHECK(sanitized(text, Charset::ascii) == "a\"\\" + std::string(11, '?'));
  CHECK(sanitized(std::string_view("\0", 1), Charset::quoted) == "\\u0000");
  for (const auto charset : {Charset::utf8, Charset::i_json, Charset::quoted, Charset::ascii})
    CHECK(sanitized("", charset).empty());
}

TEST_CASE("sanitized: noncharacters are those of Unicode, in every plane") {
  for (const char* one :
       {"\xef\xbf\xbe", "\xef\xbf\xbf", "\xef\xb7\x90", "\xef\xb7\xaf", "\xf0\x9f\xbf\xbe", "\xf4\x8f\xbf\xbf"})
    CHECK(sanitized(one, Charset::i_json) == "\xef\xbf\xbd");
  for (const char* one : {"\xef\xbf\xbd", "\xef\xb7\x8f", "\xef\xb7\xb0", "\xf0\x9f\xbe\xbe", "\xf0\x9f\x98\x80"})
    CHECK(sanitized(one, Charset::i_json) == one);
}

TEST_CASE("fnv1a: the published values, in one piece and in two") {
  CHECK(fnv1a("") == 0xcbf29ce484222325U);
  CHECK(fnv1a("a") == 0xaf63dc4c8601ec8cU);
  CHECK(fnv1a("foobar") == 0x85944171f73967e8U);
  CHECK(fnv1a("bar", fnv1a("foo")) == fnv1a("foobar"));
}

}  // namespace base_utf8_test
