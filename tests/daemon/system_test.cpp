// SPDX-License-Identifier: Apache-2.0
#include "daemon/system.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace daemon_system_test {

using hoplock::daemon::qualified_hostname;

TEST_CASE(
    "qualified_hostname: a dotted name stands, a short one is looked up in /etc/hosts, and nothing is asked of DNS") {
  CHECK(qualified_hostname("Relay.Example.net", "").text() == "relay.example.net");
  CHECK(qualified_hostname("relay", "127.0.0.1 localhost\n127.0.1.1\trelay.example.net relay # me\n").text() ==
        "relay.example.net");
  CHECK(qualified_hostname("relay", "127.0.0.1 relay localhost\n").text() == "relay.localdomain");
  CHECK(qualified_hostname("relay", "# 127.0.1.1 relay.example.net relay\n").text() == "relay.localdomain");
  CHECK(qualified_hostname("", "").text() == "localhost.localdomain");
}

TEST_CASE("address_towards: what the system would send from, with nothing sent") {
  using hoplock::Ip;
  const auto here = hoplock::daemon::address_towards(Ip::parse("127.0.0.1").value());
  REQUIRE(here.has_value());
  CHECK(here->text() == "127.0.0.1");
  const auto all = hoplock::daemon::interface_addresses();
  for (const char* text : {"::1", "198.41.0.4", "2001:503:ba3e::2:30"}) {  // perhaps there is no way to it
    const auto from = hoplock::daemon::address_towards(Ip::parse(text).value());
    if (from) CHECK(std::find(all.begin(), all.end(), *from) != all.end());
  }
}

}  // namespace daemon_system_test
