// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <sstream>

#include "base/version.h"
#include "config/reader.h"
#include "daemon/system.h"
#include "tests/daemon/tool_run.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace daemon_tool_config_test {

using namespace hoplock;
using daemon::test::run_tool;

namespace {

// A file without warnings, and what a test adds to it.
std::string quiet(const char* more = "") {
  std::string text = "hostname: r.example.net\npostmaster: a@example.net\ntls: {ca_file: ca.pem}\n";
  text += "dns: {trust_anchor: \"\", root_hints: \"\"}\n";
  text += more;
  return text;
}

struct Directory : support::TempDirectory {
  Directory() { write("ca.pem", support::Certificate(support::Recipe{}).pem()); }
};

}  // namespace

TEST_CASE("config check: all complaints on standard error with their place, exit 78; warnings are no error") {
  Directory dir;
  const std::string good = dir.write("good.yaml", quiet());
  CHECK(run_tool({"--config", good, "config", "check"}).code == 0);
  const std::string bad = dir.write("bad.yaml", "hostnam: x\nlimits: {recipients: none}\n");
  const auto said = run_tool({"--config", bad, "config", "check"});
  CHECK(said.code == 78);
  CHECK(said.err.find(bad + ":1:1: unknown key 'hostnam'") != std::string::npos);
  CHECK(said.err.find(bad + ":2:22: ") != std::string::npos);
  const std::string warned = dir.write("warned.yaml", quiet("limits: {recipients: 50}\n"));
  const auto warning = run_tool({"--config", warned, "config", "check"});
  CHECK(warning.code == 0);
  CHECK(warning.err.find(warned + ":5: RFC 5321 asks for at least 100") != std::string::npos);
  const auto missing = run_tool({"--config", dir.file("none.yaml"), "config", "check"});
  CHECK(missing.code == 78);
  CHECK(missing.err.find("none.yaml") != std::string::npos);
}

TEST_CASE("config check: a key that is not its certificate's is found") {
  Directory dir;
  const support::Certificate one(support::Recipe{}), other(support::Recipe{});
  dir.write("one.pem", one.pem());
  dir.write("other.key", other.key_pem());
  const std::string file = dir.write("h.yaml", quiet("listeners:\n  - {certificate: one.pem, key: other.key}\n"));
  const auto said = run_tool({"--config", file, "config", "check"});
  CHECK(said.code == 78);
  CHECK(said.err.find(file + ":6:") != std::string::npos);
}

TEST_CASE("config check --json: the same as data") {
  Directory dir;
  const std::string bad = dir.write("bad.yaml", "hostnam: x\n");
  const auto said = run_tool({"--config", bad, "--json", "config", "check"});
  CHECK(said.code == 78);
  const auto data = boost::json::parse(said.out).as_object();
  CHECK_FALSE(data.at("ok").as_bool());
  CHECK(data.at("errors").as_array().size() == 1);
}

TEST_CASE("config show: what is printed is accepted as it is, and names the host") {
  Directory dir;
  const std::string good = dir.write("good.yaml", quiet());
  const auto said = run_tool({"--config", good, "config", "show"});
  CHECK(said.code == 0);
  CHECK(said.out.find("hostname: \"r.example.net\"\n") != std::string::npos);
  CHECK(config::read_text(said.out, "shown.yaml", "").errors.empty());
  const auto data = boost::json::parse(run_tool({"--config", good, "--json", "config", "show"}).out).as_object();
  CHECK(data.at("limits").as_object().at("recipients").as_int64() == 1000);
}

TEST_CASE("every command: a wrong configuration is exit 78, a wrong word 64") {
  Directory dir;
  const std::string bad = dir.write("bad.yaml", "hostnam: x\n");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"queue", "list"},
                                                {"queue", "stats"},
                                                {"queue", "hold", "--all"},
                                                {"check", "a.test"},
                                                {"tlsa", "a.test"},
                                                {"config", "show"}}) {
    std::vector<std::string> all{"--config", bad};
    for (const std::string& word : words) all.push_back(word);
    CHECK(run_tool(all).code == 78);
  }
  CHECK(run_tool({"nonsense"}).code == 64);
  CHECK(run_tool({"--version"}).out == "hoplock " HOPLOCK_VERSION "\n");
}

TEST_CASE("every command: keys that this user cannot have stop nobody who asks the daemon or reads the queue") {
  Directory dir;
  const std::string file =
      dir.write("h.yaml", quiet("data_dir: data\nlisteners:\n  - certificate: ca.pem\n    key: none.key\n"));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"status"},
                                                {"reload"},
                                                {"queue", "list"},
                                                {"trace", "a.test"},
                                                {"tlsa", dir.file("ca.pem")}}) {
    std::vector<std::string> all{"--config", file};
    all.insert(all.end(), words.begin(), words.end());
    const auto said = run_tool(all);
    CAPTURE(words.front());
    CHECK(said.code != 78);
    CHECK(said.err.find("none.key") == std::string::npos);
  }
  const auto judged = run_tool({"--config", file, "config", "check"});
  CHECK(judged.code == 78);
  CHECK(judged.err.find("there is no file '" + dir.file("none.key")) != std::string::npos);
}

TEST_CASE("tlsa: a certificate's record as a zone file has it") {
  Directory dir;
  support::Recipe recipe;
  recipe.dns = {"mx.example.org"};
  const support::Certificate one(recipe);
  const std::string pem = dir.write("one.pem", one.pem());
  const std::string file = dir.write("good.yaml", quiet());
  const auto said = run_tool({"--config", file, "tlsa", pem});
  CHECK(said.code == 0);
  CHECK(said.out == "_25._tcp.mx.example.org. IN TLSA " + one.tlsa(3, 1, 1).text() + "\n");
  const auto named =
      run_tool({"--config", file, "tlsa", pem, "--name", "b.example.org", "--selector", "0", "--matching", "2"});
  CHECK(named.out == "_25._tcp.b.example.org. IN TLSA " + one.tlsa(3, 0, 2).text() + "\n");
  const auto data = boost::json::parse(run_tool({"--config", file, "--json", "tlsa", pem}).out).as_array();
  REQUIRE(data.size() == 1);
  CHECK(data[0].as_object().at("matches").is_null());
  CHECK(run_tool({"--config", file, "tlsa", pem, "--usage", "1"}).code == 64);
  CHECK(run_tool({"--config", file, "tlsa", pem, "--matching", "3"}).code == 64);
  CHECK(run_tool({"--config", file, "tlsa", dir.file("none.pem")}).code == 74);
  CHECK(run_tool({"--config", file, "tlsa", file + ".."}).code == 74);
  CHECK(run_tool({"--config", file, "tlsa", "not a host"}).code == 64);
}

TEST_CASE("config check: a postmaster that is no address is found") {
  Directory dir;
  const std::string file =
      dir.write("h.yaml", "postmaster: \"a b@\"\ntls: {ca_file: \"\"}\ndns: {trust_anchor: \"\", root_hints: \"\"}\n");
  const auto said = run_tool({"--config", file, "config", "check"});
  CHECK(said.code == 78);
  CHECK(said.err.find(file + ":1:13: ") != std::string::npos);
}

TEST_CASE("config check: an empty postmaster is warned of unless a route to hosts takes its mail") {
  Directory dir;
  const std::string head =
      "hostname: r.example.net\ntls: {ca_file: ca.pem}\ndns: {trust_anchor: \"\", root_hints: \"\"}\nroutes:\n";
  const struct {
    const char* routes;
    bool warned;
    const char* why;
  } rows[] = {
      {"  - {match: [r.example.net], hosts: [h.example]}\n", false, "this route takes it"},
      {"  - {match: [\"*\"], hosts: [h.example]}\n", false, "so does one for all"},
      {"  - {match: [contoso.com], hosts: [h.example]}\n", true, "a route for others does not"},
      {"  - {match: [\"*\"]}\n", true, "without hosts it goes to the MX of our own name"},
      {"  - {match: [\"*\"], hosts: [h.example], until: \"2001-01-01\"}\n", true, "its time is over"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto said = run_tool({"--config", dir.write("h.yaml", head + row.routes), "config", "check"});
    CHECK(said.code == 0);
    CHECK((said.err.find("'postmaster' is empty") != std::string::npos) == row.warned);
  }
}

TEST_CASE("config check: the resolver's files are read too, and the complaint has the key's place") {
  Directory dir;
  dir.write("garbage", "garbage\n");
  for (const std::string key : {"trust_anchor", "root_hints", "unbound_conf"}) {
    CAPTURE(key);
    const std::string text = "postmaster: a@example.net\ntls: {ca_file: ca.pem}\ndns:\n  " + key + ": garbage\n";
    const std::string file = dir.write("h.yaml", text);
    const auto said = run_tool({"--config", file, "config", "check"});
    CHECK(said.code == 78);
    const std::string place = file + ":4:" + std::to_string(key.size() + 5) + ": ";
    CHECK_MESSAGE(said.err.find(place) != std::string::npos, said.err);
  }
}

TEST_CASE("config check: a control socket needs a name; small messages are allowed, with a warning") {
  Directory dir;
  const std::string file = dir.write("h.yaml", quiet("control_socket: \"\"\n"));
  const auto said = run_tool({"--config", file, "config", "check"});
  CHECK(said.code == 78);
  CHECK(said.err.find(file + ":5:17: ") != std::string::npos);
  const auto small =
      run_tool({"--config", dir.write("small.yaml", quiet("limits: {message_size: 10KiB}\n")), "config", "check"});
  CHECK(small.code == 0);
  CHECK(small.err.find("RFC 5321 asks for at least 64KiB") != std::string::npos);
}

TEST_CASE("config check: keys whose feature is to come are checked like any other") {
  Directory dir;
  dir.write("garbage", "garbage\n");
  for (const char* more : {"listeners:\n  - client_ca: garbage\n", "tls_rpt:\n  from: nobody\n"}) {
    CAPTURE(more);
    const std::string file = dir.write("h.yaml", quiet(more));
    const auto said = run_tool({"--config", file, "config", "check"});
    CHECK(said.code == 78);
    CHECK_MESSAGE(said.err.find(file + ":6:") != std::string::npos, said.err);
  }
}

}  // namespace daemon_tool_config_test
