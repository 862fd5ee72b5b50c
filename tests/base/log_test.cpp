// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <doctest/doctest.h>

namespace base_log_test {

using namespace hoplock;

namespace {
const Time noon = from_millis(1795288449123);
}

TEST_CASE("logfmt: time, level and event first; quotes where needed, what would break the line is escaped") {
  Event event(Level::info, "accepted");
  event.add("id", "4Xy0").add("nrcpt", std::int64_t{2}).add("from", "<>").add("user", "");
  CHECK(to_logfmt(event, noon) == "time=2026-11-21T19:14:09.123Z level=info event=accepted id=4Xy0 nrcpt=2 from=<>");
  CHECK(event.get("id") == "4Xy0");
  CHECK(event.get("user").empty());
  CHECK(event.get("none").empty());
  struct Row {
    const char* value;
    const char* written;
  };
  for (const Row& row :
       {Row{"a b", "\"a b\""}, Row{"a=b", "\"a=b\""}, Row{"a\"b\\", "\"a\\\"b\\\\\""},
        Row{"a\r\nb\t", "\"a\\r\\nb\\t\""}, Row{"\x1b\x7f", "\"\\u001b\\u007f\""}, Row{"\xc3\xa4", "\"\xc3\xa4\""},
        Row{"\xc2\x9b", "\"\\u009b\""}, Row{"\xff", "\"\xef\xbf\xbd\""}, Row{"550-5.7.1", "550-5.7.1"}}) {
    CHECK(to_logfmt(Event(Level::warn, "x").add("k", row.value), noon) ==
          std::string("time=2026-11-21T19:14:09.123Z level=warn event=x k=") + row.written);
  }
}

TEST_CASE("JSON: one object with the same keys, numbers as numbers") {
  CHECK(to_json(Event(Level::error, "x").add("n", std::int64_t{-5}).add("s", "a\"\n\xff"), noon) ==
        "{\"time\":\"2026-11-21T19:14:09.123Z\",\"level\":\"error\",\"event\":\"x\",\"n\":-5,\"s\":"
        "\"a\\\"\\n\xef\xbf\xbd\"}");
}

TEST_CASE("JSON: true and false without quotes; logfmt has them as they are") {
  Event event(Level::info, "x");
  event.add_bare("ok", "true").add("s", "true");
  CHECK(to_json(event, noon) ==
        "{\"time\":\"2026-11-21T19:14:09.123Z\",\"level\":\"info\",\"event\":\"x\",\"ok\":true,\"s\":\"true\"}");
  CHECK(to_logfmt(event, noon) == "time=2026-11-21T19:14:09.123Z level=info event=x ok=true s=true");
}

TEST_CASE("RFC 3339: UTC, milliseconds, there and back; nothing else is taken") {
  CHECK(to_rfc3339(noon) == "2026-11-21T19:14:09.123Z");
  CHECK(parse_rfc3339("2026-11-21T19:14:09.123Z") == noon);
  CHECK(parse_rfc3339("2026-11-21T19:14:09Z") == from_millis(1795288449000));
  CHECK(to_rfc3339(from_millis(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(parse_rfc3339(to_rfc3339(from_millis(-1))) == from_millis(-1));
  for (const char* bad :
       {"", "2026-11-21", "2026-11-21T19:14:09", "2026-11-21T19:14:09+00:00", "2026-13-21T19:14:09Z",
        "2026-02-30T19:14:09Z", "2026-11-21T24:14:09Z", "2026-11-21T19:60:09Z", "2026-11-21 19:14:09Z",
        "2026-11-21T19:14:09.12Z", "2026-11-21T19:14:0xZ", "2026-11-21T19:14:09.1234Z"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_rfc3339(bad));
  }
}

}  // namespace base_log_test
