// SPDX-License-Identifier: Apache-2.0
// `hoplock dkim …` and the part of `hoplock doctor` that asks no network.
#include <doctest/doctest.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "daemon/service_user.h"
#include "daemon/signing_keys.h"
#include "tests/daemon/tool_run.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace daemon_tool_keys_test {

using namespace hoplock;
using daemon::test::run_tool;

namespace {

std::string configuration(const std::string& more = "") {
  return "hostname: r.example.net\ndata_dir: data\ntls: {ca_file: \"\"}\ndns: {trust_anchor: \"\", root_hints: "
         "\"\"}\n" +
         more;
}

// The tool as somebody without rights runs it. REQUIRES: root.
daemon::test::Said run_as_nobody(const std::vector<std::string>& words) {
  const auto nobody = daemon::find_user("nobody");
  REQUIRE(nobody.has_value());
  int ends[2] = {};
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(nobody->gid) != 0 || setuid(nobody->uid) != 0) _exit(111);
    const auto said = run_tool(words);
    const std::string text = said.out + '\0' + said.err;
    const bool written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(written ? said.code : 112);
  }
  close(ends[1]);
  std::string text;
  char octets[4096];
  for (ssize_t got = 0; (got = read(ends[0], octets, sizeof octets)) > 0;)
    text.append(octets, static_cast<std::size_t>(got));
  close(ends[0]);
  int state = 0;
  waitpid(child, &state, 0);
  const auto middle = text.find('\0');
  REQUIRE(middle != std::string::npos);
  return {WEXITSTATUS(state), text.substr(0, middle), text.substr(middle + 1)};
}

}  // namespace

TEST_CASE("dkim: a key that this user may not read bars nothing but its own record") {
  if (geteuid() != 0) return;
  support::TempDirectory dir;
  chmod(dir.path().c_str(), 0755);
  const std::string file = dir.write("h.yaml", configuration());
  std::string entries;
  for (const char* selector : {"s1", "s2"}) {
    REQUIRE(run_tool({"--config", file, "dkim", "new", "example.net", selector}).code == 0);
    entries += std::string("  - {domain: example.net, selector: ") + selector + ", key: dkim/example.net-" + selector +
               ".pem}\n";
  }
  std::filesystem::create_directory(dir / "data");
  dir.write("data/dkim-keys", "example.net s1 signs\n");
  dir.write("h.yaml", configuration("dkim:\n" + entries));
  for (const char* name : {"dkim", "data"}) chmod(dir.file(name).c_str(), 0755);
  chmod(dir.file("h.yaml").c_str(), 0644);
  chmod(dir.file("data/dkim-keys").c_str(), 0644);
  chmod(dir.file("dkim/example.net-s1.pem").c_str(), 0600);
  chmod(dir.file("dkim/example.net-s2.pem").c_str(), 0644);
  const auto list = run_as_nobody({"--json", "--config", file, "dkim", "list"});
  REQUIRE_MESSAGE(list.code == 0, list.err);
  const auto keys = list.data().as_array();
  REQUIRE(keys.size() == 2);
  CHECK(keys[0].at("selector") == "s2");
  CHECK(keys[1].at("selector") == "s1");
  CHECK_MESSAGE(keys[1].at("state") == "signs", "it is configured, and the daemon remembers that it signs");
  CHECK(keys[1].at("record").is_null());
  CHECK(run_as_nobody({"--config", file, "dkim", "record", "example.net", "s2"}).code == 0);
  const auto barred = run_as_nobody({"--config", file, "dkim", "record", "example.net", "s1"});
  CHECK(barred.code == 1);
  CHECK(barred.err.find("you may not read '" + dir.file("dkim/example.net-s1.pem") + "'") != std::string::npos);
}

TEST_CASE("check --route: a password that only the service may read is nothing in the way") {
  if (geteuid() != 0) return;
  support::TempDirectory dir;
  chmod(dir.path().c_str(), 0755);
  const std::string password = dir.write("password", "secret\n");
  chmod(password.c_str(), 0640);
  const std::string authorities = dir.write("ca.pem", support::Certificate(support::Recipe{}).pem());
  chmod(authorities.c_str(), 0644);
  const std::string file = dir.write(
      "h.yaml",
      "hostname: r.example.net\ndata_dir: data\ntls: {ca_file: ca.pem}\ndns: {trust_anchor: \"\", root_hints: \"\"}\n"
      "routes:\n  - {match: [b.example], hosts: [\"[192.0.2.1]:25\"], tls: verify, verify_names: [b.example], "
      "username: u, password_file: password}\n");
  chmod(file.c_str(), 0644);
  const auto said = run_as_nobody({"--json", "--config", file, "check", "--route", "a@b.example"});
  CHECK(said.code == 0);
  CHECK(said.data().at("obstacle").is_null());
  CHECK(said.data().at("unseen").as_string() == "'" + password + "'");
  CHECK(run_as_nobody({"--config", file, "check", "--route", "a@b.example"})
            .says("Not looked at, for you may not read it: '" + password));
  std::filesystem::remove(password);
  CHECK(run_as_nobody({"--config", file, "check", "--route", "a@b.example"}).code == 1);
}

TEST_CASE("dkim new: a key that nobody else reads, the record in strings that fit, and never over one that is there") {
  for (const char* kind : {"--rsa", "--ed25519"}) {
    CAPTURE(kind);
    support::TempDirectory dir;
    const std::string file = dir.write("h.yaml", configuration());
    const auto made = run_tool({"--config", file, "dkim", "new", "example.net", "s1", kind});
    REQUIRE(made.code == 0);
    CHECK(made.tame());
    const std::string path = dir / "dkim/example.net-s1.pem";
    struct stat about {};
    REQUIRE(stat(path.c_str(), &about) == 0);
    CHECK((about.st_mode & 0777) == 0640);
    const auto key = daemon::read_signing_key(path);
    REQUIRE(key.has_value());
    const auto shown = run_tool({"--json", "--config", file, "dkim", "record", "example.net", "s1"});
    CHECK(shown.data().as_object().at("record").as_string() == key->record());
    const auto text = run_tool({"--config", file, "dkim", "record", "example.net", "s1"}).out;
    CHECK(text.starts_with("s1._domainkey.example.net. 3600 IN TXT ( \"v=DKIM1; k="));
    std::size_t length = 0, longest = 0;
    bool inside = false;
    for (const char c : text) {
      if (c == '"') {
        inside = !inside;
        length = 0;
      } else if (inside) {
        longest = std::max(longest, ++length);
      }
    }
    CHECK(longest <= 255);
    CHECK(run_tool({"--config", file, "dkim", "record", "example.net", "s1", "--windows"})
              .out.starts_with("dnscmd /RecordAdd example.net s1._domainkey TXT \"v=DKIM1; "));
    const auto again = run_tool({"--config", file, "dkim", "new", "example.net", "s1", kind});
    CHECK(again.code == 73);
    CHECK(again.err.find(path) != std::string::npos);
    CHECK(daemon::read_signing_key(path)->record() == key->record());
  }
}

TEST_CASE("--json: programs get JSON also of the version, and of keys that there are none of") {
  support::TempDirectory dir;
  const std::string file = dir.write("hoplock.yaml", configuration());
  CHECK(run_tool({"--json", "version"}).data().as_object().at("version").as_string().size() > 4);
  CHECK(run_tool({"version"}).out.starts_with("hoplock "));
  for (const std::string command : {"list", "check"}) {
    const auto said = run_tool({"--config", file, "--json", "dkim", command});
    CHECK(said.code == (command == "check" ? 1 : 0));
    CHECK(said.out == "[]\n");
  }
}

TEST_CASE("dkim: what is wrong is said in a line") {
  support::TempDirectory dir;
  const std::string file = dir.write("h.yaml", configuration());
  const auto code = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--config", file, "dkim"});
    return run_tool(std::move(words)).code;
  };
  CHECK(code({"new", "a..b"}) == 64);
  CHECK(code({"new", "example.net", "s1", "--rsa", "--ed25519"}) == 64);
  CHECK(code({"new", "example.net", "no selector"}) == 64);
  CHECK(code({"record", "example.net", "s1"}) == 1);
  CHECK(code({"check"}) == 1);
  CHECK(run_tool({"--config", file, "dkim", "list"}).out == "no keys; 'hoplock dkim new DOMAIN' makes one\n");
}

TEST_CASE(
    "dkim list: which key signs, which waits, which retires until when, and what left the configuration too early") {
  support::TempDirectory dir;
  std::filesystem::create_directory(dir / "data");
  const std::string file = dir.write("h.yaml", configuration());
  std::string entries;
  for (const char* selector : {"s1", "s2", "s3"}) {
    REQUIRE(run_tool({"--config", file, "dkim", "new", "example.net", selector}).code == 0);
    entries += std::string("  - {domain: example.net, selector: ") + selector + ", key: dkim/example.net-" + selector +
               ".pem}\n";
  }
  dir.write("h.yaml", configuration("dkim:\n" + entries));
  const auto words = [&](Time now) {
    std::string text;
    const auto data = run_tool({"--json", "--config", file, "dkim", "list"}, now).data();
    for (const auto& one : data.as_array()) {
      const auto& key = one.as_object();
      text += std::string(key.at("selector").as_string()) + " " + std::string(key.at("state").as_string()) + " ";
      if (key.at("until").is_string()) text += std::string(key.at("until").as_string()) + " ";
    }
    return text;
  };
  const Time now = *parse_rfc3339("2026-03-02T00:00:00Z");
  CHECK_MESSAGE(words(now) == "s1 signs s2 waits s3 waits ", "the daemon has looked at nothing yet");
  dir.write("data/dkim-keys",
            "example.net s1 stopped 2026-03-01T12:00:00Z\nexample.net s2 signs\nexample.net s0 stopped "
            "2026-02-25T00:00:00Z\nexample.org x signs\n");
  CHECK(words(now) ==
        "s1 retires 2026-03-11T12:00:00Z s2 signs s3 waits s0 retires 2026-03-07T00:00:00Z x retires "
        "2026-03-12T00:00:00Z ");
  CHECK(words(now + std::chrono::hours{24 * 9}) ==
        "s1 retires 2026-03-11T12:00:00Z s2 signs s3 waits s0 removable 2026-03-07T00:00:00Z x retires "
        "2026-03-21T00:00:00Z ");
  for (const std::size_t width : {80U, 140U}) {
    const auto table = run_tool({"--config", file, "dkim", "list"}, now, width);
    CHECK(table.tame());
    CHECK(table.says("its record must stay until 2026-03-11T12:00:00Z"));
    CHECK(table.says("waits for its record in the DNS"));
  }
  dir.write("data/dkim-keys", "example.net s1 stopped 2026-03-01T12:00:00Z\n");
  CHECK_MESSAGE(words(now) == "s1 waits s2 waits s3 waits ", "its record vanished, and no other was seen");
}

TEST_CASE("doctor: a key that everybody reads and a daemon that is not there are told with what to do") {
  support::TempDirectory dir;
  const std::string file = dir.write("h.yaml", configuration());
  REQUIRE(run_tool({"--config", file, "dkim", "new", "example.net", "s1"}).code == 0);
  const std::string key = dir / "dkim/example.net-s1.pem";
  std::filesystem::permissions(key, std::filesystem::perms(0644));
  dir.write("h.yaml", configuration("dkim: [{domain: example.net, selector: s1, key: dkim/example.net-s1.pem}]\n"));
  const auto said = run_tool({"--json", "--config", file, "doctor"});
  CHECK(said.code == 1);
  std::string bad;
  const auto data = said.data();
  for (const auto& one : data.as_array()) {
    const auto& remark = one.as_object();
    if (remark.at("state") == "bad") bad += std::string(remark.at("about").as_string()) + " ";
  }
  CHECK(bad.find("daemon ") != std::string::npos);
  CHECK(bad.find("files ") != std::string::npos);
  CHECK(said.out.find("chmod 0640") != std::string::npos);
  for (const std::size_t width : {80U, 140U}) {
    const auto table = run_tool({"--config", file, "doctor"}, Time{}, width);
    CHECK(table.tame());
    CHECK(table.says("systemctl status hoplockd"));
    CHECK_MESSAGE(table.out.find("…") == std::string::npos, "what is to be done is told whole\n" << table.out);
  }
}

}  // namespace daemon_tool_keys_test
