// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/arguments.h"

#include <doctest/doctest.h>

#include "tests/daemon/tool_run.h"

namespace daemon_tool_arguments_test {

using namespace hoplock::daemon;
using namespace hoplock::daemon::tool;

namespace {
std::string wrong(const std::vector<std::string>& words) {
  const auto parsed = parse(words);
  return parsed ? "" : parsed.error().detail;
}
Arguments good(const std::vector<std::string>& words) {
  auto parsed = parse(words);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().detail);
  return *parsed;
}
bool says(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("parse: options may stand anywhere, with = or without") {
  const auto one = good({"--config", "a.yaml", "--json", "queue", "list", "--domain", "contoso.com"});
  CHECK(one.command == "queue list");
  CHECK(one.config == "a.yaml");
  CHECK(one.json);
  CHECK(one.get("--domain") == "contoso.com");
  const auto two = good({"queue", "list", "--domain=contoso.com", "--config=a.yaml", "--json"});
  CHECK(two.command == one.command);
  CHECK(two.options == one.options);
  CHECK(two.config == one.config);
  CHECK_MESSAGE(good({"--domain", "contoso.com", "queue", "list"}).options == one.options, "before the command");
  CHECK(good({"queue", "hold", "A", "B", "C"}).words.size() == 3);
  CHECK(good({"queue", "list", "--sender", ""}).get("--sender") == "");
  CHECK_MESSAGE(good({"check", "--", "--odd"}).words.at(0) == "--odd", "behind -- there are only words");
  CHECK(good({"--version"}).ask == Arguments::Ask::version);
  CHECK(good({"queue", "--help"}).ask == Arguments::Ask::help);
}

TEST_CASE("parse: what is wrong is named, with what is allowed") {
  CHECK(says(wrong({}), "no command given"));
  CHECK(says(wrong({"--colour"}), "'--colour' alone says nothing: no command given"));
  CHECK(says(wrong({"frobnicate"}),
             "unknown command 'frobnicate'; allowed: status, reload, config check, config show, queue list"));
  CHECK(says(wrong({"queue", "lst"}), "allowed: queue list, queue show"));
  CHECK(says(wrong({"queue", "list", "--colour"}),
             "unknown option '--colour'; usage: hoplock [--config FILE] [--json] queue list [--domain D] [--sender S] "
             "[--state STATE]"));
  CHECK(says(wrong({"queue", "list", "--body"}), "unknown option '--body'; usage: "));
  CHECK(says(wrong({"queue", "list", "--domain"}), "needs a value"));
  CHECK(says(wrong({"queue", "list", "--domain", "a", "--domain", "b"}), "given twice"));
  CHECK(says(wrong({"queue", "list", "more"}), "unexpected argument 'more'"));
  CHECK(
      says(wrong({"queue", "show"}), "an argument is missing; usage: hoplock [--config FILE] [--json] queue show ID"));
  CHECK(says(wrong({"sts"}), "allowed: sts list, sts show, sts refresh"));
  CHECK(says(wrong({"sts", "refresh"}), "sts refresh DOMAIN"));
  CHECK(says(wrong({"check", "a", "b"}), "unexpected argument 'b'"));
  CHECK(says(wrong({"check", "--route"}), "'--route' needs a value"));
}

TEST_CASE("check: a domain or a route, one of them") {
  CHECK(says(test::run_tool({"check"}).err, "allowed: DOMAIN | --route ADDRESS"));
  CHECK(test::run_tool({"check", "example.org", "--route", "a@example.org"}).code == 64);
}

TEST_CASE("help: every command is in it, and only those asked about") {
  for (const auto& one : commands()) {
    CHECK(says(help("", 80), one.name));
    CHECK_MESSAGE(says(manual(), one.name), "man page");
  }
  CHECK(says(help("queue", 80), "queue hold"));
  CHECK_FALSE(says(help("queue", 80), "config show"));
  CHECK(says(help("queue hold", 80), "queue hold"));
  CHECK_FALSE(says(help("queue hold", 80), "queue list"));
  CHECK_MESSAGE(help("que", 80).empty(), "no command is called so");
  std::size_t line = 0;
  for (const char c : help("", 80)) {
    line = c == '\n' ? 0 : line + ((c & 0xC0) != 0x80 ? 1 : 0);
    CHECK(line <= 80);
  }
}

}  // namespace daemon_tool_arguments_test
