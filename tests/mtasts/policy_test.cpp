// SPDX-License-Identifier: Apache-2.0
#include "mtasts/policy.h"

#include <doctest/doctest.h>

namespace mtasts_policy_test {

using namespace hoplock;
using mtasts::Mode;
using mtasts::Policy;

namespace {
const std::string good = "version: STSv1\r\nmode: enforce\r\nmx: mail.ex\r\nmx: *.ex\r\nmax_age: 604800\r\n";

std::string why_not(std::string_view text) {
  const auto policy = mtasts::parse_policy(text);
  return policy ? "accepted" : policy.error().detail;
}

// The good policy with each of `from` replaced.
std::string with(std::string_view from, std::string_view to) {
  std::string text = good;
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string with_mx(std::string_view mx) {
  return "version: STSv1\nmode: enforce\nmax_age: 1\nmx: " + std::string(mx) + "\n";
}
}  // namespace

TEST_CASE("STS-15: one policy, however it is written") {
  const Policy policy = mtasts::parse_policy(good).value();
  CHECK(policy.mode == Mode::enforce);
  REQUIRE(policy.mx.size() == 2);
  CHECK(mtasts::to_text(policy.mx[0]) == "mail.ex");
  CHECK(mtasts::to_text(policy.mx[1]) == "*.ex");
  CHECK(policy.max_age == Seconds{604800});
  const std::vector<std::string> ways{
      with("\r\n", "\n"),
      good.substr(0, good.size() - 2),  // no line end at the end
      good.substr(0, good.size() - 1),  // only the CR of it
      with("\r\n", " \t \r\n"),         // blanks at line ends
      with(": ", ":"),                  // none after the colon
      with(": ", ": \t "),              // many
      with("\r\n", "\r\n\r\n"),         // empty lines
      with("version: STSv1\r\n", "") + "version: STSv1",
      "max_age: 604800\nmx: mail.ex\nmode: enforce\nmx: *.ex\nversion: STSv1",
      good + "foo: bar\r\n",
      good + "x-y_z.1: any: thing, \xc3\xa4\r\n",
      good + "foo:\r\n",
      good + "Mode: none\r\n",  // keys are case-sensitive: not ours
      good + "mode: none\r\n",  // the first counts
      good + "mode: report\r\n",
      good + "max_age: x\r\n",
      good + "version: STSv2\r\n",
      with("mail.ex", "MAIL.Ex"),
  };
  for (const auto& text : ways) {
    CAPTURE(text);
    CAPTURE(why_not(text));
    const auto parsed = mtasts::parse_policy(text);
    CHECK((parsed && *parsed == policy));
  }
}

TEST_CASE("STS-15, STS-16: version, mode and max_age must be there and valid, keys and words in their own case") {
  struct Row {
    std::string text;
    const char* says;
    const char* why;
  };
  const std::vector<Row> rows{
      {"", "no version", "an empty policy"},
      {"\r\n\r\n", "no version", "nothing but lines"},
      {with("version: STSv1\r\n", ""), "no version", "version missing"},
      {with("STSv1", "STSv2"), "version is not STSv1", "another version"},
      {with("STSv1", "stsv1"), "version is not STSv1", "case"},
      {with("version", "Version"), "no version", "case of the key"},
      {with("mode: enforce\r\n", ""), "no mode", "mode missing"},
      {with("mode", "Mode"), "no mode", "`Mode: enforce` alone"},
      {with("enforce", "report"), "mode is not", "an unknown mode"},
      {with("enforce", "Enforce"), "mode is not", "case"},
      {with("enforce", ""), "mode is not", "empty"},
      {"mode: report\n" + good, "mode is not", "the first counts, and it is bad"},
      {with("max_age: 604800\r\n", ""), "no max_age", "max_age missing"},
      {with("604800", "-1"), "max_age is not", "a sign"},
      {with("604800", "+1"), "max_age is not", "a sign"},
      {with("604800", "1.5"), "max_age is not", "a fraction"},
      {with("604800", "12345678901"), "max_age is not", "11 digits"},
      {with("604800", "00000000001"), "max_age is not", "11 digits, though a small number"},
      {with("604800", ""), "max_age is not", "empty"},
      {with("604800", "1d"), "max_age is not", "a unit"},
      {with("604800", "1 2"), "max_age is not", "a blank inside"},
      {with("604800", "0x10"), "max_age is not", "hexadecimal"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CAPTURE(row.text);
    CHECK(why_not(row.text).find(row.says) != std::string::npos);
  }
}

TEST_CASE("STS-15: a line that is no field makes the policy invalid") {
  for (const char* line : {"enforce", "mode enforce", ": x", " foo: bar", "foo : bar", "foo bar: x",
                           "\xef\xbb\xbf"
                           "foo: x",
                           "foo: a\rb", "foo: \x01", "foo: \x7f", "-foo: x", "<html>"}) {
    CAPTURE(line);
    const std::string why = why_not(good + line + "\r\n");
    CHECK(why.find("a line") != std::string::npos);
    CHECK(why.find_first_of("\r\n\x01\x7f") == std::string::npos);
  }
  CHECK(why_not(good + std::string(33, 'a') + ": x") != "accepted");
  CHECK(why_not(good + std::string(32, 'a') + ": x") == "accepted");
  CHECK(why_not(good + std::string("foo: \0", 6)) != "accepted");
}

TEST_CASE("STS-17: max_age is clamped to a year and a bit, without overflow; 0 is legal") {
  const auto age = [](const char* text) { return mtasts::parse_policy(with("604800", text)).value().max_age; };
  CHECK(age("31557600") == Seconds{31557600});
  CHECK(age("31557599") == Seconds{31557599});
  CHECK(age("31557601") == Seconds{31557600});
  CHECK(age("9999999999") == Seconds{31557600});
  CHECK(age("4294967297") == Seconds{31557600});  // 2^32 + 1
  CHECK(age("0") == Seconds{0});
  CHECK(age("0000000007") == Seconds{7});
}

TEST_CASE("STS-18: at least one mx, unless the mode is none") {
  CHECK(why_not("version: STSv1\nmode: enforce\nmax_age: 1\n") == "the policy has no mx");
  CHECK(why_not("version: STSv1\nmode: testing\nmax_age: 1\n") == "the policy has no mx");
  CHECK(mtasts::parse_policy("version: STSv1\nmode: none\nmax_age: 1\n").value() == Policy{Mode::none, {}, Seconds{1}});
  CHECK(mtasts::parse_policy("version: STSv1\nmode: none\nmax_age: 1\nmx: a.ex").value().mx.size() == 1);
}

TEST_CASE("STS-19: an mx is an A-label host name with at most one `*.` before it, else the whole policy is invalid") {
  for (const char* mx : {"a.ex", "*.ex", "*.a.ex", "xn--bcher-kva.ex", "1.a.ex", "4.3.2.1.ex", "a-b.ex", "localhost",
                         "a.b.c.d.e.f.ex", "A.EX"}) {
    CAPTURE(mx);
    CHECK(why_not(with_mx(mx)) == "accepted");
  }
  const std::string label64(64, 'a');
  const std::string long_name =
      std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(63, 'd');
  for (const std::string& mx : {std::string("*"),
                                std::string("*."),
                                std::string("mx*.ex"),
                                std::string("*mx.ex"),
                                std::string("a.*.ex"),
                                std::string("*.*.ex"),
                                std::string("**.ex"),
                                std::string("b\xc3\xbc"
                                            "cher.ex"),
                                std::string("192.0.2.1"),
                                std::string("[192.0.2.1]"),
                                std::string("2001:db8::1"),
                                std::string("a.ex."),
                                std::string(".a.ex"),
                                std::string("a..ex"),
                                std::string("."),
                                std::string(""),
                                std::string("-a.ex"),
                                std::string("a-.ex"),
                                std::string("a_b.ex"),
                                std::string("a.ex, b.ex"),
                                std::string("a.ex b.ex"),
                                std::string("a.ex:25"),
                                label64 + ".ex",
                                long_name}) {
    CAPTURE(mx);
    CHECK(why_not(with_mx(mx)).find("an mx of the policy") != std::string::npos);
    CHECK(why_not(with_mx(mx) + "mx: good.ex\n") != "accepted");
  }
  CHECK(why_not("version: STSv1\nmode: none\nmax_age: 1\nmx: *\n") != "accepted");
}

TEST_CASE("a policy as text is read back as the same policy") {
  for (const char* text : {"version: STSv1\r\nmode: enforce\r\nmx: mail.ex\r\nmx: *.ex\r\nmax_age: 604800\r\n",
                           "version: STSv1\r\nmode: testing\r\nmx: a.ex\r\nmax_age: 0\r\n",
                           "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"}) {
    CHECK(mtasts::to_text(mtasts::parse_policy(text).value()) == text);
  }
}

TEST_CASE("STS-11: a policy of 64 KiB is read, one octet more is not") {
  std::string text = good;
  while (text.size() + 12 <= mtasts::max_policy_octets) text += "mx: mx.b.ex\n";
  text += std::string(mtasts::max_policy_octets - text.size(), '\n');
  CHECK(text.size() == 65536);
  CHECK(why_not(text) == "accepted");
  CHECK(why_not(text + "\n").find("65536") != std::string::npos);
}

TEST_CASE("the modes' words") {
  for (const auto mode : {Mode::enforce, Mode::testing, Mode::none}) {
    CHECK(mtasts::parse_mode(mtasts::to_text(mode)) == mode);
  }
  CHECK(!mtasts::parse_mode("Enforce"));
  CHECK(!mtasts::parse_mode(""));
}

}  // namespace mtasts_policy_test
