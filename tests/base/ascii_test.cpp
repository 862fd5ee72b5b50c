// SPDX-License-Identifier: Apache-2.0
#include "base/ascii.h"

#include <doctest/doctest.h>

#include "base/utf8.h"

namespace base_ascii_test {

using namespace hoplock;

TEST_CASE("case, blanks, parts: ASCII only, other octets as they are") {
  CHECK(to_lower(std::string_view("AbZ[\xc3\x84")) == "abz[\xc3\x84");
  CHECK(equals_ignoring_case("EHLO", "ehlo"));
  CHECK_FALSE(equals_ignoring_case("EHLO", "EHL"));
  CHECK_FALSE(equals_ignoring_case("@", "`"));
  CHECK(trim(" \t\r\nx y\n ") == "x y");
  CHECK(trim(" \t ").empty());
  CHECK(split("a,b,,c", ',') == std::vector<std::string_view>{"a", "b", "", "c"});
  CHECK(split("", ',') == std::vector<std::string_view>{""});
  CHECK(split(",", ',') == std::vector<std::string_view>{"", ""});
}

TEST_CASE("parse_decimal: digits that fit, and nothing else") {
  CHECK(parse_decimal("0") == 0);
  CHECK(parse_decimal("007") == 7);
  CHECK(parse_decimal("18446744073709551615") == UINT64_MAX);
  for (const char* bad : {"", "18446744073709551616", "-1", "+1", " 1", "1 ", "1k", "0x1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_decimal(bad));
  }
}

TEST_CASE("base64 in mail: lines of 76 characters, and what is left") {
  CHECK(to_base64_lines("").empty());
  CHECK(to_base64_lines("f") == "Zg==\r\n");
  const std::string full = to_base64(std::string(57, 'x'));
  REQUIRE(full.size() == 76);
  CHECK(to_base64_lines(std::string(57, 'x')) == full + "\r\n");
  CHECK(to_base64_lines(std::string(58, 'x')) == full + "\r\neA==\r\n");
}

TEST_CASE("hex and base64, there and back; what is malformed is nothing") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (std::size_t length = 0; length <= all.size(); ++length) {
    const std::string some = all.substr(0, length);
    CHECK(from_hex(to_hex(some)) == some);
    CHECK(from_base64(to_base64(some)) == some);
  }
  CHECK(to_hex("\x01\xff") == "01ff");
  CHECK(from_hex("01Ff") == "\x01\xff");
  CHECK_FALSE(from_hex("0"));
  CHECK_FALSE(from_hex("0g"));
  CHECK(to_base64("f") == "Zg==");
  CHECK(to_base64("foobar") == "Zm9vYmFy");
  for (const char* bad : {"Zg=", "Zg", "Z===", "====", "Zg==Zg==", "Zm9v YmFy", "Zm9v\n", "Z=9v", "Zm9-", "Zh=="}) {
    CAPTURE(bad);
    CHECK_FALSE(from_base64(bad));
  }
}

TEST_CASE("UTF-8: overlong forms, surrogates and what is cut short are none (RFC 3629)") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"));
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
                          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xfe"}) {
    CHECK_FALSE(is_utf8(bad));
  }
  CHECK(is_ascii("az\x7f"));
  CHECK_FALSE(is_ascii("a\x80"));
}

TEST_CASE("to_one_line: one printable line, cut between characters") {
  CHECK(to_one_line("  a \r\n\tb  ", 99) == "a b");
  CHECK(to_one_line(std::string("a\0b", 3), 99) == "a?b");
  CHECK(to_one_line("\x1b[0m\x7f\xc2\x85\xff", 99) == "?[0m???");
  CHECK(to_one_line("\xc3\xa4\xc3\xa4", 3) == "\xc3\xa4");
  CHECK(to_one_line("abc", 0).empty());
}

}  // namespace base_ascii_test
