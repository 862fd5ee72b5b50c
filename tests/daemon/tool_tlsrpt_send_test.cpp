// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <sstream>

#include "tests/control/controlled.h"
#include "tests/daemon/tool_run.h"

namespace daemon_tool_tlsrpt_send_test {

using namespace hoplock;
using control::test::Controlled;
using daemon::test::run_tool;

namespace {

std::string config_in(const support::TempDirectory& dir) {
  return dir.write(
      "hoplock.yaml",
      "hostname: relay.example.net\ndata_dir: .\ntls: {ca_file: \"\"}\ndns: {trust_anchor: \"\", root_hints: \"\"}\n");
}

}  // namespace

TEST_CASE("tlsrpt send: the daemon is asked, and the exit code says whether anything is sent") {
  Controlled at;
  const std::string config = config_in(at.dir);
  const auto ask = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--config", config, "tlsrpt", "send"});
    return at.apart([words] { return run_tool(words); });
  };
  const auto sent = ask({"--day", "2025-03-01"});
  CHECK(sent.code == 0);
  CHECK(sent.out.find("being sent: 2 of 2025-03-01") == 0);
  const auto json = ask({"--day", "2025-03-01", "--json"});
  CHECK(boost::json::parse(json.out) == boost::json::parse(R"({"found":3,"touched":2})"));
  const auto none = ask({"--day", "2025-03-01", "--domain", "Contoso.com"});
  CHECK(none.code == 1);
  CHECK(none.err == "hoplock: nothing was counted for contoso.com on 2025-03-01\n");
}

TEST_CASE("tlsrpt send: without a day, with one that is none, and without a daemon") {
  support::TempDirectory dir;
  const std::string config = config_in(dir);
  const auto ask = [&config](std::vector<std::string> words) {
    words.insert(words.begin(), {"--config", config, "tlsrpt", "send"});
    return run_tool(words);
  };
  CHECK(ask({}).code == 64);
  CHECK(ask({"--day", "yesterday"}).code == 64);
  CHECK(ask({"--day", "2025-02-30"}).code == 64);
  CHECK(ask({"--day", "2025-03-01", "--domain", "a b"}).code == 64);
  CHECK(ask({"--day", "2025-03-01"}).code == 69);
}

}  // namespace daemon_tool_tlsrpt_send_test
