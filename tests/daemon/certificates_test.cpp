// SPDX-License-Identifier: Apache-2.0
#include "daemon/certificates.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <string>
#include <vector>

#include "config/reader.h"
#include "tests/support/test_ca.h"

namespace daemon_certificates_test {

using namespace hoplock;
using namespace hoplock::support;
using namespace std::chrono_literals;
using daemon::CertificateFile;
using daemon::OwnCertificate;
using daemon::Reminders;

namespace {

using days = std::chrono::days;
const Time end = from_millis(1'800'000'000'000);
const OwnCertificate relay{"listener", "relay.example.net", end};

// "warn 29" of what is told of one certificate that many days before its end.
std::string told(Reminders& reminders, Milliseconds before) {
  std::string all;
  for (const Event& event : reminders.due({relay}, end - before)) {
    CHECK(event.name() == "certificate-expires");
    CHECK(event.get("use") == "listener");
    CHECK(event.get("subject") == "relay.example.net");
    CHECK(event.get("expires") == to_rfc3339(end));
    all += std::string(to_text(event.level())) + " " + std::string(event.get("days"));
  }
  return all;
}

Time end_of_test() {
  return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now() + std::chrono::hours(24));
}

Certificate leaf(const std::string& name, std::chrono::hours to) {
  Recipe recipe;
  recipe.dns = {name};
  recipe.valid_to = to;
  return Certificate(recipe);
}

}  // namespace

TEST_CASE("certificate-expires: from 30 days on each week, from 7 on each day, at the end, and daily as an error") {
  Reminders reminders;
  struct Row {
    Milliseconds before;
    const char* words;
  };
  const Row rows[] = {
      {days(90), ""},         {days(30) + 1s, ""},
      {days(30), "warn 30"},  {days(29), ""},
      {days(23) + 1h, ""},    {days(23), "warn 23"},
      {days(17), ""},         {days(16), "warn 16"},
      {days(9), "warn 9"},    {days(8), ""},
      {days(7), "warn 7"},  // it comes nearer: not a week after the last
      {days(6) + 1h, ""},     {days(6), "warn 6"},
      {12h, "warn 0"},        {1s, ""},
      {0s, "error 0"},        {-1h, ""},
      {-days(1), "error -1"}, {-days(1) - 1h, ""},
      {-days(3), "error -3"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.before.count());
    CHECK(told(reminders, row.before) == row.words);
  }
}

TEST_CASE(
    "certificate-expires: a daemon that starts late tells at once; a renewed one is another, and a clock set back "
    "loses no word") {
  Reminders reminders;
  CHECK(told(reminders, days(3)) == "warn 3");
  const OwnCertificate renewed{"listener", "relay.example.net", end + days(90)};
  CHECK(reminders.due({renewed}, end - days(3)).empty());
  CHECK(told(reminders, days(3)) == "warn 3");  // the old one is back
  CHECK(told(reminders, days(5)) == "warn 5");  // the clock went back
}

TEST_CASE("which files: listeners with TLS, the self-signed one among them, authorities, routes and the page") {
  const auto loaded = config::read_text(
      "data_dir: /data\n"
      "listeners:\n"
      "  - {address: '127.0.0.1:2525'}\n"
      "  - {address: '127.0.0.1:25', tls: none}\n"
      "  - {address: '127.0.0.1:465', tls: implicit, certificate: /c/l.pem, key: /c/l.key, client_ca: /c/ca.pem}\n"
      "routes:\n"
      "  - {match: ['*'], hosts: [mx.example.org], tls: verify, client_certificate: /c/r.pem, client_key: /c/r.key}\n"
      "http: {address: '127.0.0.1:9465', certificate: /c/h.pem, key: /c/h.key}\n",
      "h.yaml", "");
  std::string all;
  for (const CertificateFile& one : daemon::certificate_files(loaded.config))
    all += one.use + " " + one.configured + " " + one.certificate + " " + one.key + "\n";
  CHECK(all ==
        "listener listeners[0].certificate /data/self-signed.crt /data/self-signed.key\n"
        "listener listeners[2].certificate /c/l.pem /c/l.key\n"
        "client-ca listeners[2].client_ca /c/ca.pem \n"
        "client routes[0].client_certificate /c/r.pem /c/r.key\n"
        "http http.certificate /c/h.pem /c/h.key\n");
}

TEST_CASE(
    "what they hold: each certificate of a chain; each of a few authorities; of two with one name the end that comes "
    "first") {
  TempDir dir;
  const Certificate early = leaf("a.example", 24h * 10), late = leaf("a.example", 24h * 90), issuer = leaf("ca", 24h);
  const std::string chain = dir.write("chain.pem", late.pem() + issuer.pem());
  const std::string other = dir.write("other.pem", early.key_pem() + early.pem());
  const std::string torn = dir.write("torn.pem", early.pem().substr(0, 200));
  const auto read = [](std::vector<CertificateFile> files) { return daemon::read_certificates(files); };
  const auto alone = read({{"listener", "k", chain, ""}});
  REQUIRE(alone.size() == 2);
  CHECK(alone[0].subject == "a.example");
  CHECK(alone[1].subject == "ca");  // its end ends what it issued
  CHECK(alone[1].expires < alone[0].expires);
  const auto both = read({{"listener", "k", chain, ""}, {"listener", "k", other, ""}});
  REQUIRE(both.size() == 2);
  CHECK(both[0].expires < alone[0].expires);
  CHECK(read({{"listener", "k", chain, ""}, {"http", "k", other, ""}}).size() == 3);
  CHECK(read({{"listener", "k", torn, ""}, {"listener", "k", "/nonexistent", ""}}).empty());
  CHECK(read({{"client-ca", "k", chain, ""}}).size() == 2);
  std::string bundle;
  for (int i = 0; i < 9; ++i) bundle += leaf("ca" + std::to_string(i), 24h * (i + 1)).pem();
  const auto many = read({{"client-ca", "k", dir.write("bundle.pem", bundle), ""}});
  REQUIRE(many.size() == 1);
  CHECK(many[0].subject == "ca8");
  const auto long_chain = read({{"listener", "k", dir.path() + "/bundle.pem", ""}});
  REQUIRE(long_chain.size() == 1);  // what is presented, which is also what ends first
  CHECK(long_chain[0].subject == "ca0");
}

TEST_CASE("client_ca: an authority that ended beside its successor is replaced, and nobody is woken for it") {
  TempDir dir;
  const Certificate old = leaf("ca", -1h), successor = leaf("ca", 24h * 90), another = leaf("other ca", 24h * 30);
  const auto read = [&dir](const std::string& use, const std::string& pem) {
    return daemon::read_certificates({{use, "k", dir.write("ca.pem", pem), ""}});
  };
  const auto same_name = read("client-ca", old.pem() + successor.pem());
  REQUIRE(same_name.size() == 1);
  CHECK(same_name[0].expires > end_of_test());
  CHECK_FALSE(same_name[0].replaced);
  auto renamed = read("client-ca", old.pem() + another.pem());
  REQUIRE(renamed.size() == 2);
  CHECK(renamed[0].replaced);
  CHECK_FALSE(renamed[1].replaced);
  Reminders reminders;
  const auto events = reminders.due(renamed, renamed[0].expires + 24h);
  REQUIRE(events.size() >= 1);
  CHECK(events[0].level() == Level::warn);
  CHECK(reminders.due({renamed[0]}, renamed[0].expires + 24h * 3).empty());
  CHECK(reminders.due({renamed[0]}, renamed[0].expires + 24h * 9).size() == 1);
  // of a chain that is presented, each counts
  for (const auto& one : read("listener", old.pem() + another.pem())) CHECK_FALSE(one.replaced);
  CHECK_FALSE(read("client-ca", old.pem())[0].replaced);
}

TEST_CASE("what they hold: what would keep the reader waiting is left alone") {
  TempDir dir;
  const std::string fifo = dir.path() + "/fifo.pem";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(daemon::read_certificates({{"listener", "k", fifo, ""}}).empty());
  CHECK(daemon::read_certificates({{"listener", "k", "/dev/zero", ""}}).empty());
}

}  // namespace daemon_certificates_test
