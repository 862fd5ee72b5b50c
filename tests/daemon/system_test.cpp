#include "daemon/system.h"

#include <doctest/doctest.h>

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
