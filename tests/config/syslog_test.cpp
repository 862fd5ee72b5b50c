// SPDX-License-Identifier: Apache-2.0
#include "config/syslog.h"

#include <doctest/doctest.h>

#include "config/check.h"

namespace config_syslog_test {

using namespace hoplock;

TEST_CASE("parse_syslog: a transport, a name or an address, and a port that may be left out") {
  const struct {
    const char* text;
    const char* means;  // "": an error
  } rows[] = {
      {"tls://logs.example.net:6514", "tls://logs.example.net:6514"},
      {"tls://logs.example.net", "tls://logs.example.net:6514"},
      {"tcp://192.0.2.1", "tcp://192.0.2.1:601"},
      {"udp://[2001:db8::1]:1514", "udp://[2001:db8::1]:1514"},
      {"udp://[2001:db8::1]", "udp://[2001:db8::1]:514"},
      {"", ""},
      {"logs.example.net:6514", ""},
      {"https://logs.example.net", ""},
      {"TLS://logs.example.net", ""},
      {"tls://", ""},
      {"tls://:6514", ""},
      {"tls://logs.example.net:", ""},
      {"tls://logs.example.net:0", ""},
      {"tls://logs.example.net:65536", ""},
      {"tls://logs.example.net:6514/path", ""},
      {"tls://2001:db8::1:6514", ""},
      {"tls://[192.0.2.1]:6514", ""},
      {"tls://[logs.example.net]:6514", ""},
      {"tls://[::1", ""},
      {"tls://[::1]6514", ""},
      {"tls://user@host:6514", ""},
      {"tls://a..b", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto found = config::parse_syslog(row.text);
    CHECK((found ? found->text() : "") == row.means);
    if (!found) CHECK(found.error().detail.find("tls://host:6514") != std::string::npos);
  }
}

TEST_CASE("log.syslog: an error has its place; TLS needs authorities to hold the certificate against") {
  const auto loaded = [](const std::string& text) {
    auto found = config::read_text(text, "h.yaml", "");
    config::check(found, config::Files::left_alone);
    return found;
  };
  CHECK(loaded("log: {syslog: \"tls://logs.example.net:6514\"}\n").errors.empty());
  CHECK(loaded("tls: {ca_file: \"\"}\nlog: {syslog: \"tcp://logs.example.net\"}\n").errors.empty());
  const auto odd = loaded("log:\n  syslog: \"logs.example.net\"\n");
  REQUIRE(odd.errors.size() == 1);
  CHECK(odd.errors[0].starts_with("h.yaml:2:"));
  const auto without = loaded("tls: {ca_file: \"\"}\nlog:\n  syslog: \"tls://logs.example.net\"\n");
  REQUIRE(without.errors.size() == 1);
  CHECK(without.errors[0].starts_with("h.yaml:3:"));
}

}  // namespace config_syslog_test
