// SPDX-License-Identifier: Apache-2.0
#include "daemon/signing_keys.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/dkim/verify.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"

namespace daemon_signing_keys_test {

using namespace hoplock;
using support::name;

namespace {
struct Directory : support::TempDirectory {
  std::string key(const std::string& file, const std::string& pem) const {
    const std::string path = write(file, pem);
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    return path;
  }
};

std::string entry(const std::string& domain, const std::string& selector, const std::string& key) {
  return "  - {domain: " + domain + ", selector: " + selector + ", key: " + key + "}\n";
}
config::Loaded loaded(const std::string& entries) { return config::read_text("dkim:\n" + entries, "h.yaml", ""); }

// The complaints of the check that begin with this selector's record.
std::vector<std::string> complaints(support::FakeResolver& dns, std::shared_ptr<const dkim::Keyring> ring,
                                    std::optional<dns::Name> reports) {
  support::Loop loop;
  support::MemoryLog log;
  loop.run(daemon::check_records(std::move(ring), std::move(reports), daemon::RecordTools{dns, log}));
  std::vector<std::string> all;
  for (const Event& event : log.events("dkim-record")) {
    CHECK(event.level() == Level::warn);
    all.push_back(std::string(event.get("error")));
  }
  return all;
}
}  // namespace

TEST_CASE("DKIM-01: a weak or broken key is a configuration error with its place; 2048 bits and Ed25519 are not") {
  Directory dir;
  const std::string good = dir.key("rsa.pem", testing::rsa_pem());
  auto fine =
      loaded(entry("example.net", "r1", good) + entry("example.net", "e1", dir.key("ed.pem", testing::ed25519_pem())));
  const auto ring = daemon::load_keyring(fine);
  REQUIRE(ring);
  CHECK(ring->for_domain(name("example.net")).size() == 2);
  CHECK(fine.warnings.empty());
  const struct {
    const char* file;
    std::string pem;
    const char* said;
  } rows[] = {
      {"weak.pem", testing::rsa_pem(1024), "1024 bits is too weak"},
      {"ec.pem", testing::ec_pem(), "neither RSA nor Ed25519"},
      {"text.pem", "no key\n", "no PEM"},
      {"empty.pem", "", "empty or cannot be read"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.file);
    auto bad = loaded(entry("example.net", "r1", good) + entry("example.org", "r2", dir.key(row.file, row.pem)));
    CHECK(daemon::load_keyring(bad) == nullptr);
    REQUIRE(bad.errors.size() == 1);
    CHECK(bad.errors[0].starts_with("h.yaml:3:"));
    CHECK(bad.errors[0].find(row.said) != std::string::npos);
    CHECK(bad.errors[0].find("2048") != std::string::npos);  // what is allowed
  }
}

TEST_CASE("dkim: a selector that is none, or is there twice, is an error at its place; an open key file is a warning") {
  Directory dir;
  const std::string key = dir.key("rsa.pem", testing::rsa_pem());
  auto twice = loaded(entry("example.net", "r1", key) + entry("example.net", "R1", key));
  CHECK(daemon::load_keyring(twice) == nullptr);
  REQUIRE(twice.errors.size() == 1);
  CHECK(twice.errors[0].starts_with("h.yaml:3:"));
  auto odd = loaded(entry("example.net", "\"a b\"", key));
  CHECK(daemon::load_keyring(odd) == nullptr);
  std::filesystem::permissions(key, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  auto open = loaded(entry("example.net", "r1", key));
  CHECK(daemon::load_keyring(open) != nullptr);
  REQUIRE(open.warnings.size() == 1);
  CHECK(open.warnings[0].find("every user of this machine") != std::string::npos);
}

TEST_CASE("DKIM-06: the check at the start reads the published record, and says what keeps others from verifying") {
  Directory dir;
  auto one = loaded(entry("example.net", "r1", dir.key("rsa.pem", testing::rsa_pem())));
  const auto ring = daemon::load_keyring(one);
  REQUIRE(ring);
  const std::string record = ring->all()[0].key->record();
  const std::string at = "r1._domainkey.example.net";
  const auto us = std::optional(name("example.net"));
  const struct {
    const char* what;
    std::string zone;
    std::optional<dns::Name> reports;
    std::vector<std::string> said;  // a part of each complaint
  } rows[] = {
      {"no s=: every service", at + " TXT " + record, us, {}},
      {"s=*", at + " TXT " + record + "; s=*", us, {}},
      {"s=email:tlsrpt", at + " TXT " + record + "; s=email:tlsrpt", us, {}},
      {"s=tlsrpt alone", at + " TXT " + record + "; s=tlsrpt", us, {"does not allow email"}},
      {"s=email", at + " TXT " + record + "; s=email", us, {"does not allow tlsrpt"}},
      {"s=email where no reports come from", at + " TXT " + record + "; s=email", std::nullopt, {}},
      {"another key", at + " TXT v=DKIM1; p=AAAA", us, {"another key"}},
      {"none", "", us, {"there is no record; publish there: \"" + record + "\""}},
      {"two", at + " TXT " + record + "\n" + at + " TXT " + record, us, {"there are 2 records"}},
      {"nonsense", at + " TXT what", us, {"no tag"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    support::FakeResolver dns(row.zone);
    const auto said = complaints(dns, ring, row.reports);
    REQUIRE(said.size() == row.said.size());
    for (std::size_t i = 0; i < said.size(); ++i) {
      CHECK(said[i].starts_with(at + ": "));
      CHECK(said[i].find(row.said[i]) != std::string::npos);
    }
  }
  support::FakeResolver dns;
  dns.fail[at + " TXT"] = "SERVFAIL";
  const auto said = complaints(dns, ring, us);
  REQUIRE(said.size() == 1);
  CHECK(said[0].find("cannot be looked up") != std::string::npos);
}

TEST_CASE(
    "DKIM-06: a key signs only while the DNS holds its record; a look-up that fails changes nothing; `always` asks "
    "nobody") {
  Directory dir;
  const std::string key = dir.key("rsa.pem", testing::rsa_pem());
  auto config = loaded(entry("example.net", "r1", key) + "  - {domain: other.example, selector: a1, key: " + key +
                       ", sign: always}\n");
  const auto ring = daemon::load_keyring(config);
  REQUIRE(ring);
  const auto signs = [&](const char* domain) { return ring->for_domain(name(domain)).size(); };
  CHECK_MESSAGE(signs("example.net") == 1, "nobody was asked yet");
  support::FakeResolver none;
  complaints(none, ring, std::nullopt);
  CHECK(signs("example.net") == 0);
  CHECK(signs("other.example") == 1);
  support::FakeResolver broken;
  broken.fail["r1._domainkey.example.net TXT"] = "SERVFAIL";
  complaints(broken, ring, std::nullopt);
  CHECK_MESSAGE(signs("example.net") == 0, "what is not known is as it was");
  support::FakeResolver dns;
  dns.add("r1._domainkey.example.net TXT " + ring->all()[0].key->record());
  complaints(dns, ring, std::nullopt);
  CHECK(signs("example.net") == 1);
  complaints(broken, ring, std::nullopt);
  CHECK(signs("example.net") == 1);
}

namespace {
struct Rotation {
  Directory dir;
  config::Loaded config = loaded(entry("example.net", "old", dir.key("old.pem", testing::rsa_pem())) +
                                 entry("example.net", "new", dir.key("new.pem", testing::rsa_pem())));
  std::shared_ptr<const dkim::Keyring> ring = daemon::load_keyring(config);
  std::string past = dir.file("past");
  support::FakeResolver dns;
  support::MemoryLog log;

  std::string record(std::size_t key) const {
    return ring->all()[key].selector + "._domainkey.example.net TXT " + ring->all()[key].key->record();
  }
  void look() {
    support::Loop loop;
    loop.run(daemon::check_records(ring, std::nullopt, daemon::RecordTools{dns, log, past}));
  }
  std::string signs() const {
    std::string all;
    for (const auto& one : ring->for_domain(name("example.net"))) all += one.selector + " ";
    return all;
  }
  // "SELECTOR ACTION" of each line.
  std::string told() {
    std::string all;
    for (const Event& event : log.events("dkim-record"))
      all += std::string(event.get("selector")) + " " + std::string(event.get("action")) + "; ";
    return all;
  }
};
}  // namespace

TEST_CASE(
    "DKIM rotation: the new key signs once its record is seen, the old one retires and is remembered over a start") {
  Rotation one;
  REQUIRE(one.ring);
  CHECK_MESSAGE(one.signs() == "old ", "nobody was asked yet: the one that is more likely published");
  one.dns.add(one.record(0));
  one.look();
  CHECK(one.signs() == "old ");
  CHECK(one.told() == "new waiting; ");
  CHECK(dkim::to_text(daemon::read_signing_past(one.past)) == "example.net old signs\n");
  one.dns.add(one.record(1));
  one.look();
  CHECK(one.signs() == "new ");
  CHECK(one.told() == "new waiting; old retiring; new signs; ");
  const auto pasts = daemon::read_signing_past(one.past);
  REQUIRE(pasts.size() == 2);
  REQUIRE(pasts[0].stopped);
  CHECK(one.log.events("dkim-record")[1].get("until") == to_rfc3339(*pasts[0].stopped + std::chrono::hours{10 * 24}));

  // a start without DNS: the one that signed goes on
  const std::string at = one.dir.path().string();
  auto again = config::read_text("data_dir: " + at + "\ndkim:\n" + entry("example.net", "old", one.dir / "old.pem") +
                                     entry("example.net", "new", one.dir / "new.pem"),
                                 "h.yaml", "");
  REQUIRE(daemon::keep_signing_past(daemon::signing_past_path(again.config), pasts));
  const auto after = daemon::load_keyring(again);
  REQUIRE(after);
  REQUIRE(after->for_domain(name("example.net")).size() == 1);
  CHECK(after->for_domain(name("example.net"))[0].selector == "new");
}

TEST_CASE(
    "DKIM rotation: look-ups that fail change nobody's turn, and a record that vanishes brings the old key back") {
  Rotation one;
  REQUIRE(one.ring);
  one.dns.add(one.record(0));
  one.dns.add(one.record(1));
  one.look();
  REQUIRE(one.signs() == "new ");
  one.dns.fail["new._domainkey.example.net TXT"] = "SERVFAIL";
  one.look();
  CHECK(one.signs() == "new ");
  one.dns.fail.clear();
  one.dns.remove("new._domainkey.example.net TXT");
  one.look();
  CHECK(one.signs() == "old ");
  const auto pasts = daemon::read_signing_past(one.past);
  REQUIRE(pasts.size() == 2);
  CHECK(!pasts[0].stopped);
  CHECK_MESSAGE(pasts[1].stopped, "its record would have to stay");
}

TEST_CASE("DKIM rotation: a retiring key's record that is gone too early is a warning, and after its time none") {
  Rotation one;
  REQUIRE(one.ring);
  one.dns.add(one.record(1));
  one.look();
  CHECK(one.signs() == "new ");
  const auto warned = one.log.events("dkim-record").back();
  CHECK(warned.level() == Level::warn);
  CHECK(warned.get("selector") == "old");
  CHECK(warned.get("action") == "retiring");
  dkim::Pasts pasts = daemon::read_signing_past(one.past);
  REQUIRE(pasts.size() == 2);
  *pasts[0].stopped -= std::chrono::hours{11 * 24};
  REQUIRE(daemon::keep_signing_past(one.past, pasts));
  const auto lines = one.log.events("dkim-record").size();
  one.look();
  CHECK(one.log.events("dkim-record").size() == lines + 1);
  CHECK(one.log.events("dkim-record").back().get("action") == "removable");
  CHECK(daemon::read_signing_past(one.past) == pasts);
}

TEST_CASE("DKIM rotation: where nothing can be kept it is said, and the new key signs all the same") {
  Rotation one;
  REQUIRE(one.ring);
  one.past = one.dir / "no/such/past";
  one.dns.add(one.record(1));
  one.look();
  CHECK(one.signs() == "new ");
  CHECK(one.log.events("dkim-record").size() == 4);  // old retiring, new signs, the file, the old record
  CHECK(one.log.events("dkim-record")[2].get("error").find(one.past) != std::string::npos);
}

}  // namespace daemon_signing_keys_test
