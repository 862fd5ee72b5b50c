// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal.h"

#include <doctest/doctest.h>

namespace daemon_journal_test {

using namespace hoplock;

TEST_CASE("JOURNAL_STREAM names a descriptor by device and inode; anything else names none") {
  CHECK(daemon::names_stream("8:12345", 8, 12345));
  CHECK_FALSE(daemon::names_stream("8:12345", 9, 12345));
  CHECK_FALSE(daemon::names_stream("8:12345", 8, 12346));
  for (const char* const other : {"", ":", "8", "8:", ":12345", "8:12345:1", "8: 12345", "-8:12345", "x:y"}) {
    CAPTURE(other);
    CHECK_FALSE(daemon::names_stream(other, 8, 12345));
  }
}

TEST_CASE("priorities: as syslog has them, so that journalctl -p warning shows warnings and errors only") {
  CHECK(daemon::priority(Level::error) == "<3>");
  CHECK(daemon::priority(Level::warn) == "<4>");
  CHECK(daemon::priority(Level::info) == "<6>");
  CHECK(daemon::priority(Level::debug) == "<7>");
  CHECK(daemon::priority(Level::trace) == "<7>");
}

}  // namespace daemon_journal_test
