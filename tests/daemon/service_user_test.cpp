// SPDX-License-Identifier: Apache-2.0
// `hoplock config check` judges as the service's user would: what root may read says nothing.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "config/check.h"
#include "config/files.h"
#include "daemon/service_user.h"
#include "tests/daemon/tool_run.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace daemon_service_user_test {

using namespace hoplock;
using daemon::test::run_tool;

namespace {

// A configuration that anybody may read, in a directory that anybody may enter, with data of nobody's.
struct Place : support::TempDirectory {
  support::Certificate certificate{support::Recipe{}};
  Place() {
    chmod(path().c_str(), 0755);
    write("ca.pem", certificate.pem());
    write("l.pem", certificate.pem());
    write("l.key", certificate.key_pem());
    std::filesystem::create_directory(path() / "data");
    give("data", 0750);
    for (const char* name : {"ca.pem", "l.pem", "l.key"}) chmod(file(name).c_str(), 0644);
  }
  void give(const std::string& name, mode_t mode) const {
    const auto nobody = daemon::find_user("nobody");
    REQUIRE(nobody.has_value());
    REQUIRE(chown(file(name).c_str(), nobody->uid, nobody->gid) == 0);
    REQUIRE(chmod(file(name).c_str(), mode) == 0);
  }
  std::string configure(const std::string& more = "") const {
    const std::string text =
        "hostname: r.example.net\npostmaster: a@example.net\ntls: {ca_file: ca.pem}\ndata_dir: data\n"
        "dns: {trust_anchor: \"\", root_hints: \"\"}\nlisteners:\n  - {certificate: l.pem, key: l.key}\n";
    const std::string path = write("h.yaml", text + more);
    chmod(path.c_str(), 0644);
    return path;
  }
  daemon::test::Said check(const std::string& config) const {
    return run_tool({"--config", config, "config", "check", "--user", "nobody"});
  }
};

bool is_root() { return geteuid() == 0; }

}  // namespace

TEST_CASE("config check: a key of root's alone is told with who cannot read it and what to type") {
  if (!is_root()) return;
  const Place place;
  const std::string config = place.configure();
  CHECK(place.check(config).code == 0);
  chmod(place.file("l.key").c_str(), 0600);
  CHECK(run_tool({"--config", config, "config", "check"}).code == 0);  // root reads it
  const auto said = place.check(config);
  CHECK(said.code == 78);
  CHECK(said.err.find(config + ":7:31: the user nobody, ") != std::string::npos);
  CHECK(said.err.find("cannot read '" + place.file("l.key") + "' (-rw------- root ") != std::string::npos);
  CHECK(said.err.find("chown root:") != std::string::npos);
  CHECK(said.err.find("chmod 0640 '" + place.file("l.key") + "'") != std::string::npos);
}

TEST_CASE("config check: a directory that bars the way is named, also behind a symbolic link") {
  if (!is_root()) return;
  const Place place;
  std::filesystem::create_directory(place / "private");
  std::filesystem::rename(place / "l.key", place / "private/l.key");
  std::filesystem::create_symlink("private/l.key", place / "l.key");
  const std::string config = place.configure();
  chmod(place.file("private").c_str(), 0755);
  CHECK(place.check(config).code == 0);
  chmod(place.file("private").c_str(), 0700);
  const auto said = place.check(config);
  CHECK(said.code == 78);
  CHECK(said.err.find("it may not enter '" + place.file("private") + "' (drwx------ root ") != std::string::npos);
}

TEST_CASE("config check: data, a store that root has made, and the log's directory must be the service's") {
  if (!is_root()) return;
  const Place place;
  const std::string log = "log: {file: " + place.file("log/hoplock.log") + "}\n";
  std::filesystem::create_directory(place / "log");
  place.give("log", 0750);
  const std::string config = place.configure(log);
  CHECK(place.check(config).code == 0);
  place.write("data/queue.db", "");
  const auto store = place.check(config);
  CHECK(store.code == 78);
  CHECK(store.err.find("cannot read and write '" + place.file("data/queue.db")) != std::string::npos);
  std::filesystem::remove(place / "data/queue.db");
  REQUIRE(chown(place.file("data").c_str(), 0, 0) == 0);
  CHECK(place.check(config).err.find("cannot make files in '" + place.file("data") + "'") != std::string::npos);
  place.give("data", 0750);
  REQUIRE(chown(place.file("log").c_str(), 0, 0) == 0);
  const auto barred = place.check(config);
  CHECK(barred.code == 78);
  CHECK(barred.err.find("/var/log/hoplock") != std::string::npos);
  std::filesystem::remove(place / "log");
  CHECK(place.check(config).err.find("install -d -o nobody") != std::string::npos);
}

TEST_CASE("config check: what the unit takes from the service's sight is told with the setting and what to do") {
  if (!is_root()) return;
  const Place place;
  place.write("data/queue.db", "");
  place.give("data/queue.db", 0640);
  const std::string config =
      place.configure("log: {file: " + place.file("data/log") + "}\ndkim: [{domain: a.example, selector: s, key: " +
                      "/run/credentials/hoplockd.service/dkim}]\n");
  const auto errors = [&](const std::string& unit) {
    auto loaded = config::load(config, config::Files::left_alone);
    REQUIRE(loaded.errors.empty());
    auto user = daemon::find_user("nobody");
    REQUIRE(user.has_value());
    user->mounts = daemon::UnitMounts(unit);
    daemon::check_as(loaded, *user);
    std::string all;
    for (const auto& error : loaded.errors) all += error + "\n";
    return all;
  };
  const std::string dir = place.path().string();
  CHECK(errors("") == "");
  const auto hidden = errors("[Service]\nInaccessiblePaths=" + dir + "\n");
  CHECK_MESSAGE(
      hidden.find("the service does not see '" + place.file("l.key") + "', for its unit has InaccessiblePaths=" + dir +
                  "; to mend it: put it into a directory such as /etc/hoplock") != std::string::npos,
      hidden);
  CHECK(hidden.find("choose a directory such as /var/lib/hoplock") != std::string::npos);
  CHECK(hidden.find("name a file in /var/log/hoplock") != std::string::npos);
  const auto locked = errors("[Service]\nProtectSystem=strict\n");
  CHECK_MESSAGE(locked.find("may not write in '" + place.file("data") + "', for its unit has ProtectSystem=strict") !=
                    std::string::npos,
                locked);
  CHECK(locked.find("ReadWritePaths=" + place.file("data") + " below [Service]") != std::string::npos);
  CHECK(locked.find("l.key") == std::string::npos);
  CHECK_MESSAGE(std::count(locked.begin(), locked.end(), '\n') == 2, "data_dir once, the log once: " << locked);
  CHECK(errors("[Service]\nProtectSystem=strict\nReadWritePaths=" + place.file("data") + "\n") == "");
}

TEST_CASE("a unit's mounts: what is hidden, what may only be read, and which setting says so") {
  const daemon::UnitMounts ours(
      "[Service]\nStateDirectory=hoplock\nLogsDirectory=hoplock\nPrivateTmp=yes\nProtectHome=yes\n# ProtectHome=no\n"
      "ProtectSystem=strict\nLoadCredential=relay.key:/dev/null\nLoadCredential=gone:/no/such/file\n");
  CHECK(ours.hides("/home/ann/relay.key") == "ProtectHome=yes");
  CHECK(ours.hides("/root/relay.key") == "ProtectHome=yes");
  CHECK(ours.hides("/tmp/relay.key") == "PrivateTmp=yes");
  CHECK(ours.hides("/var/tmp") == "PrivateTmp=yes");
  CHECK(ours.hides("/homes/relay.key") == "");
  CHECK(ours.hides("/etc/hoplock/relay.key") == "");
  CHECK(ours.locks("/srv/mail") == "ProtectSystem=strict");
  CHECK(ours.locks("/var/lib/hoplock") == "");
  CHECK(ours.locks("/var/lib/hoplock/queue.db") == "");
  CHECK(ours.locks("/var/lib/hoplock2") == "ProtectSystem=strict");
  CHECK(ours.locks("/var/log/relay.log") == "ProtectSystem=strict");
  CHECK(ours.misses("/run/credentials/hoplockd.service/relay.key") == "");
  CHECK(ours.misses("/run/credentials/hoplockd.service/gone").find("from '/no/such/file'") != std::string::npos);
  CHECK(ours.misses("/run/credentials/hoplockd.service/other").find("LoadCredential=other:FILE") != std::string::npos);
  CHECK(ours.misses("/etc/hoplock/other") == "");

  const daemon::UnitMounts drop_in(
      "ProtectHome=yes\nProtectSystem=strict\n[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths=-/srv/keys:/home/keys\n"
      "ReadWritePaths=/old\nReadWritePaths=\nReadWritePaths=/srv/mail -/srv/log/\nReadOnlyPaths=/srv/mail/fixed\n");
  CHECK(drop_in.hides("/home/keys/relay.key") == "");
  CHECK(drop_in.hides("/home/ann/relay.key") == "ProtectHome=tmpfs");
  CHECK(drop_in.locks("/srv/mail/queue.db") == "");
  CHECK(drop_in.locks("/srv/log") == "");
  CHECK(drop_in.locks("/old") == "ProtectSystem=strict");
  CHECK(drop_in.locks("/srv/mail/fixed/x") == "ReadOnlyPaths=/srv/mail/fixed");

  const daemon::UnitMounts open("ProtectSystem=full\nProtectHome=read-only\n");
  CHECK(open.hides("/home/ann/relay.key") == "");
  CHECK(open.locks("/home/ann") == "ProtectHome=read-only");
  CHECK(open.locks("/etc/hoplock") == "ProtectSystem=full");
  CHECK(open.locks("/srv/mail") == "");
  CHECK(daemon::UnitMounts().hides("/tmp/x") + daemon::UnitMounts("PrivateTmp=no").locks("/") == "");
}

TEST_CASE("config check --user: who does not exist is told so") {
  support::TempDirectory dir;
  const std::string config = dir.write("h.yaml", "hostname: r.example.net\n");
  const auto unknown = run_tool({"--config", config, "config", "check", "--user", "no-such-user"});
  CHECK(unknown.code == 64);
  CHECK(unknown.err.find("there is no user 'no-such-user'") != std::string::npos);
}

TEST_CASE("the unit's user counts for the configuration that the unit starts with, drop-ins after it") {
  const std::string unit =
      "[Service]\nExecStart=/usr/sbin/hoplockd --config /etc/hoplock/hoplock.yaml\nUser=hoplock\nGroup=hoplock\n";
  CHECK(daemon::user_in_unit(unit, "/etc/hoplock/hoplock.yaml") == "hoplock");
  CHECK_FALSE(daemon::user_in_unit(unit, "/root/try.yaml").has_value());
  CHECK(daemon::user_in_unit(unit + "[Service]\nUser=mail\n", "/etc/hoplock/hoplock.yaml") == "mail");
  CHECK(daemon::user_in_unit(unit + "[Service]\nExecStart=\nExecStart=/usr/sbin/hoplockd --config=/srv/h.yaml\n",
                             "/srv/h.yaml") == "hoplock");
  CHECK_FALSE(daemon::user_in_unit("", "/etc/hoplock/hoplock.yaml").has_value());
}

TEST_CASE(
    "files that are named: what waits for its writer, has no end or is far too large is refused, and never opened") {
  support::TempDirectory dir;
  const std::string fifo = dir.file("fifo");
  REQUIRE(mkfifo(fifo.c_str(), 0644) == 0);
  const std::string huge = dir.write("huge", "");
  std::filesystem::resize_file(huge, 1ULL << 30);
  const char* const keys[] = {"tls: {ca_file: %}",
                              "dns: {trust_anchor: %}",
                              "dns: {root_hints: %}",
                              "dns: {unbound_conf: %}",
                              "listeners:\n  - {certificate: %, key: /dev/null}",
                              "listeners:\n  - {certificate: /dev/null, key: %}",
                              "listeners:\n  - {auth: true, users_file: %}",
                              "listeners:\n  - {client_ca: %, client_names: [a.example]}",
                              "routes:\n  - {match: [a.example], client_certificate: %, client_key: /dev/null}",
                              "routes:\n  - {match: [a.example], client_certificate: /dev/null, client_key: %}",
                              "routes:\n  - {match: [a.example], hosts: [b.example], username: u, password_file: %}",
                              "dkim:\n  - {domain: a.example, selector: s, key: %}",
                              "http: {certificate: %, key: /dev/null}",
                              "http: {certificate: /dev/null, key: %}",
                              "http: {certificate: /dev/null, key: /dev/null, users_file: %}"};
  for (const std::string key : keys) {
    for (const std::string& path : {fifo, std::string("/dev/zero"), huge}) {
      CAPTURE(key);
      CAPTURE(path);
      std::string text = key;
      text.replace(text.find('%'), 1, path);
      auto loaded = config::read_text(text + "\n", "h.yaml", "");
      REQUIRE(loaded.errors.empty());
      config::check(loaded);
      std::string errors;
      for (const auto& error : loaded.errors) errors += error + "\n";
      CHECK_MESSAGE(errors.find("the file '" + path + "' cannot be used: it is ") != std::string::npos, errors);
      CHECK_FALSE(config::read_file(path).has_value());
    }
  }
}

}  // namespace daemon_service_user_test
