// SPDX-License-Identifier: Apache-2.0
// What is wrong with the operator's DNS files is said at the start, with the file's name.
#include "resolver/setup.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>

#include "resolver/convert.h"
#include "resolver/files.h"
#include "tests/support/temp_directory.h"

namespace hoplock::resolver::resolver_setup_test {

namespace {

std::string complaint(const Options& options) {
  auto made = make_context(options);
  return made ? "" : made.error().detail;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("Debian's own trust anchor and root hints are accepted") {
  CHECK(complaint(Options{}) == "");
  CHECK(anchor_zone(Options{}.trust_anchor).value().is_root());
}

TEST_CASE("a file that is missing or broken is an error that names it") {
  const support::TempDirectory directory;
  Options options;
  SUBCASE("trust anchor missing") {
    options.trust_anchor = directory.file("no.key");
    CHECK(has(complaint(options), "no.key: No such file"));
  }
  SUBCASE("trust anchor broken") {
    options.trust_anchor = directory.write("bad.key", ". IN DS hello\n");
    CHECK(has(complaint(options), "bad.key"));
  }
  SUBCASE("root hints missing") {
    options.root_hints = directory.file("no.hints");
    CHECK(has(complaint(options), "no.hints: No such file"));
  }
  SUBCASE("root hints broken") {
    options.root_hints = directory.write("bad.hints", "hello world\n");
    CHECK(has(complaint(options), "bad.hints"));
  }
  SUBCASE("unbound_conf missing") {
    options.unbound_conf = directory.file("no.conf");
    CHECK(has(complaint(options), "no.conf: No such file"));
  }
  SUBCASE("unbound_conf broken") {
    options.unbound_conf = directory.write("bad.conf", "server:\n  do-ip6: perhaps\n");
    CHECK(has(complaint(options), "bad.conf"));
  }
}

// A root key that nobody but root could read was mended with chmod, and the daemon never looked at it again.
TEST_CASE("a file counts as changed with its mode, and with its content under an old time and the same length") {
  const support::TempDirectory directory;
  const std::string path = directory.write("root.key", ". IN DS 1 13 2 aa\n");
  const auto written = std::filesystem::last_write_time(path);
  // the file system's clock has ticks of some milliseconds
  const auto changes = [&](auto change) {
    const FileMark before = net::mark_of(path);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    do {
      change();
    } while (net::mark_of(path) == before && std::chrono::steady_clock::now() < deadline);
    return !(net::mark_of(path) == before);
  };
  CHECK(net::mark_of(path) == net::mark_of(path));
  using Perms = std::filesystem::perms;
  CHECK(changes([&] { std::filesystem::permissions(path, Perms::owner_read | Perms::owner_write); }));
  CHECK(changes([&] {
    directory.write("root.key", ". IN DS 2 13 2 aa\n");
    std::filesystem::last_write_time(path, written);  // as tar and rsync leave it
  }));
  CHECK(net::mark_of(directory.file("none")).inode == 0);
}

TEST_CASE("DNS-04: the zone to check is the root if the root has an anchor, else the first one") {
  const support::TempDirectory directory;
  CHECK(anchor_zone(directory.write("a", "; x\n\nlab. IN DS 1 13 2 aa\n. IN DS 1 13 2 aa\n")).value().is_root());
  CHECK(anchor_zone(directory.write("b", "Lab.\tIN DS 1 13 2 aa\nother. IN DS 1 13 2 aa\n")).value().text() == "lab");
  CHECK(anchor_zone(directory.write("c", "")).value().is_root());
}

TEST_CASE("DNS-13: aliases are counted in the message itself, and a message cut short anywhere is noticed") {
  const std::string message(
      "\0\0\x84\0\0\1\0\2\0\0\0\0"                  // header: one question, two answers
      "\1a\0\0\1\0\1"                               // a A
      "\xC0\x0C\0\5\0\1\0\0\0\1\0\3\1b\0"           // a CNAME b
      "\1b\0\0\1\0\1\0\0\0\1\0\4\x01\x02\x03\x04",  // b A 1.2.3.4
      12 + 7 + 15 + 17);
  CHECK(count_aliases(message) == 1);
  for (std::size_t size = 0; size < message.size(); ++size) CHECK_FALSE(count_aliases(message.substr(0, size)));
  CHECK_FALSE(count_aliases(std::string("\0\0\x84\0\0\1\0\0\0\0\0\0\x7F", 13)));
}

TEST_CASE("DNS-06: what libunbound gives is judged field by field") {
  const auto name = dns::Name::parse("host.example").value();
  char* none[] = {nullptr};
  ub_result result{};
  result.data = none;
  SUBCASE("bogus data is dropped with its reason") {
    char reason[] = "signature expired";
    result.bogus = 1;
    result.why_bogus = reason;
    const auto answer = to_answer(name, dns::Type::a, result);
    CHECK(answer.failed());
    CHECK(answer.security == dns::Security::bogus);
    CHECK(answer.why == "signature expired");
  }
  SUBCASE("an rcode that nobody knows") {
    result.rcode = 23;
    CHECK(to_answer(name, dns::Type::a, result).why == "RCODE 23");
  }
  SUBCASE("an alias to a name that no host can have") {
    char canonical[] = "a\\032b.example.";
    result.canonname = canonical;
    CHECK(to_answer(name, dns::Type::a, result).failed());
  }
  SUBCASE("DNS-13: twelve aliases pass, thirteen do not, and what cannot be counted does not") {
    char canonical[] = "end.example.";
    result.canonname = canonical;
    for (const std::size_t links : {12U, 13U}) {
      std::string packet("\0\0\x84\0\0\0\0\0\0\0\0\0", 12);
      packet[7] = static_cast<char>(links);
      for (std::size_t i = 0; i < links; ++i) packet.append("\0\0\5\0\1\0\0\0\1\0\1\0", 12);
      result.answer_packet = packet.data();
      result.answer_len = static_cast<int>(packet.size());
      CHECK(to_answer(name, dns::Type::a, result).failed() == (links == 13));
      result.answer_len -= 1;
      CHECK(to_answer(name, dns::Type::a, result).why == "malformed answer");
    }
  }
  SUBCASE("a time to live below zero") {
    result.ttl = -1;
    CHECK(to_answer(name, dns::Type::a, result).ttl.count() == 0);
  }
}

}  // namespace hoplock::resolver::resolver_setup_test
