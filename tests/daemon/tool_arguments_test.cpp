#include "daemon/tool/arguments.h"

#include <doctest/doctest.h>

using namespace hoplock::daemon::tool;

namespace {
std::string wrong(const std::vector<std::string>& words) {
  const auto parsed = parse(words);
  return parsed.good ? "" : parsed.bad.why;
}
Arguments good(const std::vector<std::string>& words) {
  auto parsed = parse(words);
  REQUIRE_MESSAGE(parsed.good.has_value(), parsed.bad.why);
  return *parsed.good;
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
  CHECK(good({"queue", "hold", "A", "B", "C"}).words.size() == 3);
  CHECK(good({"queue", "list", "--sender", ""}).get("--sender") == "");
  CHECK_MESSAGE(good({"check", "--", "--odd"}).words.at(0) == "--odd", "behind -- there are only words");
  CHECK(good({"--version"}).ask == Arguments::Ask::version);
  CHECK(good({"queue", "--help"}).ask == Arguments::Ask::help);
}

TEST_CASE("parse: what is wrong is named, with what is allowed") {
  CHECK(says(wrong({}), "a command is needed"));
  CHECK(says(wrong({"frobnicate"}), "allowed: config check, config show, queue list"));
  CHECK(says(wrong({"queue", "lst"}), "allowed: queue list, queue show"));
  CHECK(says(wrong({"queue", "list", "--colour"}),
             "'--colour' is no option of 'queue list'; allowed: --domain, --sender, --state"));
  CHECK(says(wrong({"queue", "list", "--body"}), "'--body' is no option of 'queue list'"));
  CHECK(says(wrong({"queue", "list", "--domain"}), "needs a value"));
  CHECK(says(wrong({"queue", "list", "--domain", "a", "--domain", "b"}), "given twice"));
  CHECK(says(wrong({"queue", "list", "more"}), "one word too many"));
  CHECK(says(wrong({"queue", "show"}), "usage: hoplock queue show ID"));
  CHECK(says(wrong({"check"}), "usage: hoplock check DOMAIN"));
  CHECK(says(wrong({"sts"}), "allowed: sts list, sts show, sts refresh"));
  CHECK(says(wrong({"sts", "refresh"}), "usage: hoplock sts refresh DOMAIN"));
  CHECK(says(wrong({"check", "a", "b"}), "one word too many"));
  CHECK(says(wrong({"check", "--route"}), "usage: hoplock check DOMAIN"));
}

TEST_CASE("help: every command is in it, and only those asked about") {
  for (const auto& one : commands()) CHECK(says(help(""), one.name));
  CHECK(says(help("queue"), "queue hold"));
  CHECK_FALSE(says(help("queue"), "config show"));
}
