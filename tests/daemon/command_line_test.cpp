// SPDX-License-Identifier: Apache-2.0
#include "daemon/command_line.h"

#include <doctest/doctest.h>

namespace daemon_command_line_test {

using namespace hoplock::daemon;
using Words = std::vector<std::string>;

namespace {
constexpr std::string_view synopsis = "ID… | --domain D | --sender S | --all [--yes]";

CommandLine good(const Words& words, std::vector<std::string_view> more = {}) {
  more.push_back(synopsis);
  auto line = parse_command_line(words, more);
  REQUIRE_MESSAGE(line.has_value(), line.error().detail);
  return *line;
}
std::string wrong(const Words& words) {
  const auto line = parse_command_line(words, {synopsis});
  return line ? objection(*line, synopsis).value_or("") : line.error().detail;
}
}  // namespace

TEST_CASE("parse_command_line: words, options with a value and flags, in any order") {
  for (const Words& words :
       {Words{"A", "--domain", "d.example", "--yes", "B"}, Words{"--yes", "A", "B", "--domain=d.example"}}) {
    const auto line = good(words);
    CHECK(line.words == Words{"A", "B"});
    CHECK(line.get("--domain") == "d.example");
    CHECK(line.has("--yes"));
    CHECK(line.options.size() == 2);
    CHECK_FALSE(line.get("--sender").has_value());
  }
  CHECK_MESSAGE(good({"-h"}, {"--help"}).has("--help"), "the one short name");
  CHECK_MESSAGE(good({"--all", "--all"}).has("--all"), "twice says the same");
  CHECK_MESSAGE(good({"--config", "a", "--config=b"}, {"--config FILE"}).get("--config") == "b", "behind an alias");
  auto line = good({"--domain", "d.example"});
  CHECK(line.take("--domain") == "d.example");
  CHECK(line.options.empty());
}

TEST_CASE("parse_command_line: whatever a value or a word looks like, it stays what it is") {
  CHECK(good({"--sender", ""}).get("--sender") == "");
  const auto empty = good({"--sender=", "A"});
  CHECK_MESSAGE(empty.get("--sender") == "", "the empty sender");
  CHECK(empty.words == Words{"A"});
  CHECK(good({"--sender=a=b"}).get("--sender") == "a=b");
  CHECK(good({"--sender=a="}).get("--sender") == "a=");
  CHECK(good({"--sender", "--x="}).get("--sender") == "--x=");
  CHECK(good({"--", "--sender="}).words == std::vector<std::string>{"--sender="});
  CHECK(good({"--sender", "--all"}).get("--sender") == "--all");
  CHECK(good({"--sender", "[a,b]"}).get("--sender") == "[a,b]");
  CHECK(good({"[192.0.2.1]", "{}", "-", "%x"}).words == Words{"[192.0.2.1]", "{}", "-", "%x"});
  CHECK(good({"A", "--", "--all", "-x", "--"}).words == Words{"A", "--all", "-x", "--"});
}

TEST_CASE("parse_command_line: what is wrong is named") {
  CHECK(wrong({"--sender"}) == "'--sender' needs a value");
  CHECK(wrong({"A", "--sender", "a", "--sender", "b"}) == "'--sender' is given twice");
  CHECK(wrong({"--all=x"}) == "'--all' takes no value");
  CHECK(wrong({"--all=false"}) == "'--all' takes no value");
  CHECK(wrong({"--all=true"}) == "'--all' takes no value");
  CHECK(wrong({"--odd"}) == "unknown option '--odd'");
  CHECK(wrong({"--odd=x"}) == "unknown option '--odd=x'");
  CHECK(wrong({"-x"}) == "unknown option '-x'");
  CHECK(wrong({"-4"}) == "unknown option '-4'");
  CHECK(wrong({"A", "B", "--all"}).empty());
}

TEST_CASE("objection: a synopsis says how many words there are") {
  const auto is_good = [](std::string_view notation, Words words) { return !objection({std::move(words)}, notation); };
  CHECK(is_good("", {}));
  CHECK_FALSE(is_good("", {"a"}));
  CHECK_FALSE(is_good("DOMAIN [SELECTOR] [--rsa|--ed25519]", {}));
  CHECK(is_good("DOMAIN [SELECTOR] [--rsa|--ed25519]", {"a", "b"}));
  CHECK_FALSE(is_good("DOMAIN [SELECTOR] [--rsa|--ed25519]", {"a", "b", "c"}));
  CHECK_FALSE(is_good("FILE…", {}));
  CHECK(is_good("FILE…", Words(2000, "a")));
  CHECK(is_good("[COMMAND…] [--roff]", {}));
  CHECK_FALSE(is_good("ID|ADDRESS [--since 2d]", {}));
  CHECK_MESSAGE(is_good("DOMAIN [--no-connect] | --route ADDRESS", {}), "the other way of use has none");
  CHECK_FALSE(is_good("DOMAIN [--no-connect] | --route ADDRESS", {"a", "b"}));
  CHECK_FALSE(is_good("[--day D] [--domain D]", {"a"}));
}

}  // namespace daemon_command_line_test
