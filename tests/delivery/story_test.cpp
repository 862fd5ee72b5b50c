#include "delivery/story.h"

#include <doctest/doctest.h>

using namespace hoplock;
using namespace hoplock::delivery;

namespace {
Event ended(const char* name, const char* to, const char* reply) {
  Event event(Level::info, name);
  event.add("id", "0D5K2M7QZ3").add("from", "a@example.net").add("to", to).add("attempt", 2).add("reply", reply);
  return event;
}
}  // namespace

TEST_CASE(
    "an attempt's story: refused hosts first, recipients who fared alike together, nothing that the message says "
    "anyway") {
  Event hop(Level::warn, "hop");
  hop.add("id", "0D5K2M7QZ3").add("mx", "mx1.example.org").add("reason", "tlsa-invalid");
  CHECK(story({hop}, {ended("delivered", "b@example.org", "250 ok"), ended("delivered", "c@example.org", "250 ok"),
                      ended("bounced", "d@example.org", "550 \"no\"")}) ==
        "{\"event\":\"hop\",\"mx\":\"mx1.example.org\",\"reason\":\"tlsa-invalid\"}\n"
        "{\"event\":\"delivered\",\"attempt\":2,\"reply\":\"250 ok\",\"to\":[\"b@example.org\",\"c@example.org\"]}\n"
        "{\"event\":\"bounced\",\"attempt\":2,\"reply\":\"550 \\\"no\\\"\",\"to\":[\"d@example.org\"]}");
  CHECK(story({}, {}).empty());
}
