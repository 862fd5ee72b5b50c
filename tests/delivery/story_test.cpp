// SPDX-License-Identifier: Apache-2.0
#include "delivery/story.h"

#include <doctest/doctest.h>

namespace delivery_story_test {

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

TEST_CASE("BND-02: of very many hosts the lines tell of those that were contacted, and count the rest") {
  std::vector<Event> hops;
  for (int i = 0; i < 200; ++i) {
    Event hop(Level::warn, "hop");
    hop.add("id", "0D5K2M7QZ3").add("domain", "example.org").add("mx", "mx" + std::to_string(i) + ".example.org");
    if (i % 50 == 20) hop.add("ip", "192.0.2.1");
    hop.add("reason", i % 2 == 0 ? "mx-not-in-policy" : "dns-failure").add("action", "next-host");
    hops.push_back(std::move(hop));
  }
  const auto told = within_bounds(hops);
  REQUIRE(told.size() == most_hops + 1);
  std::size_t contacted = 0;
  for (const Event& event : told) contacted += event.get("ip").empty() ? 0 : 1;
  CHECK(contacted == 4);
  CHECK(told[told.size() - 2].get("mx") == "mx199.example.org");
  CHECK(told.back().name() == "hop");
  CHECK(told.back().get("id") == "0D5K2M7QZ3");
  CHECK(told.back().get("count") == "188");
  CHECK(told.back().get("reply").find("mx-not-in-policy") != std::string::npos);
  hops.erase(hops.begin() + most_hops, hops.end());
  CHECK(within_bounds(hops).size() == most_hops);
}

}  // namespace delivery_story_test
