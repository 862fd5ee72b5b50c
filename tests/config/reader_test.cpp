// SPDX-License-Identifier: Apache-2.0
#include "config/reader.h"

#include <doctest/doctest.h>

#include "config/show.h"
#include "config/values.h"

namespace config_reader_test {

using namespace hoplock;
using config::read_text;

namespace {
std::string first_error(const std::string& text) {
  const auto loaded = read_text(text, "h.yaml", "/etc/hoplock");
  return loaded.errors.empty() ? "" : loaded.errors.front();
}
}  // namespace

TEST_CASE("read_text: nothing at all is the defaults") {
  const auto loaded = read_text("", "h.yaml", "");
  CHECK(loaded.errors.empty());
  CHECK(loaded.warnings.empty());
  CHECK(config::to_yaml(loaded.config) == config::to_yaml(config::Config{}));
}

TEST_CASE("read_text: every complaint names file, line and column, what is wrong and what is allowed") {
  const struct {
    const char* text;
    const char* complaint;
  } rows[] = {
      {"hostnam: x\n", "h.yaml:1:1: unknown key 'hostnam'; the nearest known key is 'hostname'"},
      {"limits:\n  recipient: 3\n", "h.yaml:2:3: unknown key 'recipient'; the nearest known key is 'recipients'"},
      {"shutdown_timeout: 10\n",
       "h.yaml:1:19: '10' is not a duration; allowed: a number and a unit, as in 30s, 5m, 4h or 5d (at most 3650d)"},
      {"limits: {message_size: 50MB}\n",
       "h.yaml:1:24: '50MB' is not a size; allowed: a number and a unit, as in 64KiB, 50MiB or 2GiB"},
      {"security:\n  dane: strict\n", "h.yaml:2:9: 'strict' is not allowed here; allowed: enforce, audit, off"},
      {"limits: [1]\n", "h.yaml:1:9: a map of keys and values is needed here"},
      {"listeners: 5\n", "h.yaml:1:12: a list is needed here, as in [a, b]"},
      {"hostname: [a]\n", "h.yaml:1:11: one plain value is needed here, not a list or a map"},
      {"log:\n  level: info\n  level: warn\n", "h.yaml:3:3: key 'level' is given twice"},
      {"limits: {recipients: -1}\n",
       "h.yaml:1:22: '-1' is not allowed here; allowed: a whole number from 1 to 1000000000"},
      {"routes:\n  - hosts: [a.example]\n", "h.yaml:2:5: 'match' is missing here"},
      {"routes:\n  - match: [a.example]\n    hosts: [\"[relay.example]\"]\n",
       "h.yaml:3:13: '[relay.example]' is not a next hop (a name in brackets: names here are never MX-resolved, leave "
       "the brackets out); "
       "allowed: \"relay.example\", \"relay.example:587\", or an address literal \"[192.0.2.1]:25\""},
      {"listeners:\n  - allow: [10.0.0.1/8]\n",
       "h.yaml:2:13: '10.0.0.1/8' has host bits set; the network is 10.0.0.0/8"},
      {"hostname: a.example\n---\nhostname: b.example\n",
       "h.yaml:3:1: a second document; allowed: one, what stands behind '---' would have no effect"},
      {"hostname: 127.0.0.1\n",
       "h.yaml:1:11: '127.0.0.1' is not a host name; allowed: a domain name such as \"relay.example.net\""},
      {"hostname: \"*.example.net\"\n",
       "h.yaml:1:11: '*.example.net' is not a host name; allowed: a domain name such as \"relay.example.net\""},
      {"a: [\n", "h.yaml:2:1: not valid YAML: end of sequence flow not found"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(first_error(row.text) == row.complaint);
  }
}

TEST_CASE(
    "read_text: a pattern that is no name with its star is refused, not left out of a list that then allows all") {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  CHECK(first_error("listeners: [{senders: [" + longest + "]}]\n") == "");
  CHECK(first_error("listeners: [{senders: [\"*." + longest + "\"]}]\n").find("at most 253 are allowed") !=
        std::string::npos);
}

TEST_CASE("read_text: all complaints of a file at once") {
  const auto loaded = read_text("hostnam: x\nshutdown_timeout: 5\nlimits: {recipients: none}\n", "h.yaml", "");
  CHECK(loaded.errors.size() == 3);
}

TEST_CASE("read_text: a word that is none of its key's is refused") {
  CHECK(first_error("security: {tls_required_no: perhaps}\n") != "");
  CHECK(read_text("security: {tls_required_no: ignore}\n", "h.yaml", "").warnings.empty());
}

TEST_CASE("read_text: relative paths are relative to the file") {
  const auto loaded = read_text("data_dir: ../var\nlisteners:\n  - certificate: tls/a.pem\n", "h.yaml", "/etc/hoplock");
  CHECK(loaded.config.data_dir == "/etc/var");
  CHECK(loaded.config.listeners.at(0).certificate.certificate == "/etc/hoplock/tls/a.pem");
}

TEST_CASE("to_yaml: what is shown is accepted as it is and shows the same again") {
  const auto loaded = read_text(
      "hostname: relay.example.net\nlisteners:\n  - address: \"[::1]:2525\"\n    senders: [Contoso.com]\n"
      "routes:\n  - match: [\"*.contoso.com\"]\n    hosts: [\"exch01.contoso.local\", \"[192.0.2.1]:2525\"]\n    tls: "
      "verify\n    until: \"2027-01-31\"\n"
      "    note: \"say \\\"why\\\"\"\n    sessions: 5\n    rate: 100/m\n"
      "delivery: {retry: {first: 1s, factor: 1.5, jitter: 0.25}, source_ipv4: 192.0.2.7}\n",
      "h.yaml", "");
  REQUIRE(loaded.errors.empty());
  const std::string shown = config::to_yaml(loaded.config);
  const auto again = read_text(shown, "shown.yaml", "");
  CHECK(again.errors.empty());
  CHECK(config::to_yaml(again.config) == shown);
  CHECK(shown.find("hosts: [\"exch01.contoso.local:25\", \"[192.0.2.1]:2525\"]") != std::string::npos);
  CHECK(shown.find("first: \"1s\"") != std::string::npos);
}

TEST_CASE(
    "where: a key that is not in the file has the place of the whole, so that every complaint has line and column") {
  const auto loaded = read_text("# about\nhostname: a.example\nlimits: {recipients: 5}\n", "h.yaml", "");
  CHECK(loaded.where("limits.connections") == "h.yaml:3:9");
  CHECK(loaded.where("listeners[0].address") == "h.yaml:2:1");
  CHECK(read_text("", "h.yaml", "").where("tls.ca_file") == "h.yaml:1:1");
  CHECK(config::defaults().where("tls.ca_file") == "(defaults)");
}

TEST_CASE("to_yaml: durations keep their unit, and what is not set is shown as such") {
  const auto loaded = read_text("delivery: {expire: 48h}\n", "h.yaml", "");
  const std::string shown = config::to_yaml(loaded.config);
  for (const char* line :
       {"  fetch_timeout: \"60s\"\n", "  refresh: \"24h\"\n", "  expire: \"48h\"\n", "  expire_bounces: \"1d\"\n",
        "  source_ipv4: \"\"\n", "  source_ipv6: \"\"\n", "http:\n  address: \"\"\n"}) {
    CAPTURE(line);
    CHECK(shown.find(line) != std::string::npos);
  }
  CHECK(config::to_yaml(read_text(shown, "h.yaml", "").config) == shown);
}

TEST_CASE("a rate is a number in a second, minute, hour or day; anything else is a complaint that says so") {
  const std::string before = "routes: [{match: [a.example], rate: ";
  for (const char* good : {"10/s", "100/m", "2000/h", "5000/d", "\"\""}) {
    CAPTURE(good);
    CHECK(first_error(before + good + "}]\n") == "");
  }
  for (const char* bad : {"0/m", "100", "100/", "/m", "-1/m", "100/w", "100 / m", "99999999999/m"}) {
    CAPTURE(bad);
    CHECK(first_error(before + bad + "}]\n").find("100/m") != std::string::npos);
  }
}

TEST_CASE("MX-16: a bracketed name among a route's hosts is a configuration error, an address literal is not") {
  CHECK(first_error("routes: [{match: [a.example], hosts: [\"[relay.example]:587\"]}]\n") != "");
  CHECK(first_error("routes: [{match: [a.example], hosts: [\"[2001:db8::1]:587\"]}]\n") == "");
}

TEST_CASE("senders_limit: rates, each empty by default") {
  CHECK_FALSE(read_text("", "h.yaml", "").config.senders_limit.messages);
  const auto loaded = read_text("senders_limit: {rate: 500/h, recipients: \"2000/d\"}\n", "h.yaml", "");
  REQUIRE(loaded.errors.empty());
  REQUIRE(loaded.config.senders_limit.messages);
  CHECK(loaded.config.senders_limit.messages->amount == 500);
  CHECK(loaded.config.senders_limit.messages->period == std::chrono::hours{1});
  CHECK(config::text_of(*loaded.config.senders_limit.recipients) == "2000/d");
  for (const std::string wrong : {"500", "0/h", "500/w", "500/hh", "/h", "-1/h", "500 /h", "9999999999/s"}) {
    CAPTURE(wrong);
    const auto refused = read_text("senders_limit: {rate: \"" + wrong + "\"}\n", "h.yaml", "");
    REQUIRE(refused.errors.size() == 1);
    CHECK(refused.errors[0] ==
          "h.yaml:1:23: '" + wrong + "' is not a rate; allowed: a number and a time, as in 100/m, 500/h or 2000/d");
  }
}

TEST_CASE("sources: each key is read and printed; what would do nothing or the wrong thing is refused with its place") {
  const auto loaded = read_text(
      "sources:\n  - senders: [contoso.com]\n    ipv4: 192.0.2.7\n    hostname: out7.contoso.com\n  - ipv6: "
      "2001:db8::7\n",
      "h.yaml", "");
  CHECK(loaded.errors.empty());
  REQUIRE(loaded.config.delivery.sources.size() == 2);
  CHECK(loaded.config.delivery.sources[0].ipv4->text() == "192.0.2.7");
  CHECK(loaded.config.delivery.sources[0].hostname.text() == "out7.contoso.com");
  CHECK(config::to_yaml(read_text(config::to_yaml(loaded.config), "h.yaml", "").config) ==
        config::to_yaml(loaded.config));
  CHECK(first_error("sources: [{ipv9: 192.0.2.7}]\n") ==
        "h.yaml:1:12: unknown key 'ipv9'; the nearest known key is 'ipv4'");
}

}  // namespace config_reader_test
