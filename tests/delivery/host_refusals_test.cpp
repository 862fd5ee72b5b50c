// SPDX-License-Identifier: Apache-2.0
#include "delivery/host_refusals.h"

#include <doctest/doctest.h>

namespace delivery_host_refusals_test {

using namespace hoplock;
using namespace hoplock::delivery;

namespace {

Hop hop_to(const char* mx, const char* ip) {
  Hop hop;
  hop.mx = mx;
  hop.ip = Ip::parse(ip).value();
  return hop;
}
HostRefusals::Refusal refused_at(std::size_t hop, const char* text) {
  return {hop, {smtp::Fate::refused, {521, std::nullopt, text}}};
}

}  // namespace

TEST_CASE("MX-24: the last word is final where each host refused it, or takes no mail, and where none is left out") {
  std::vector<Hop> hops{hop_to("a", "192.0.2.1"), hop_to("b", "192.0.2.2")};
  HostRefusals refusals;
  CHECK(refusals.everywhere(0, hops) == nullptr);
  refusals.add(0, refused_at(0, "not here"));
  CHECK(refusals.everywhere(0, hops) == nullptr);  // b may take it
  hops[1].no_mail = true;
  REQUIRE(refusals.everywhere(0, hops) != nullptr);
  hops[1].no_mail = false;
  refusals.add(0, refused_at(1, "nor here"));
  REQUIRE(refusals.everywhere(0, hops) != nullptr);
  CHECK(refusals.everywhere(0, hops)->hop == 1);
  CHECK(refusals.everywhere(0, hops)->fate.reply.text == "nor here");
  CHECK(refusals.everywhere(1, hops) == nullptr);  // of another recipient nothing was said
}

TEST_CASE("MX-24: a host's word at one address is its word where another of its addresses did not answer") {
  std::vector<Hop> hops{hop_to("a", "192.0.2.1"), hop_to("a", "192.0.2.2")};
  hops[0].refusal = hop::Refusal{hop::Reason::connect_timeout, "no connection in time"};
  HostRefusals refusals;
  refusals.add(0, refused_at(1, "not here"));
  CHECK(refusals.everywhere(0, hops) != nullptr);
  hops[0].mx = "b";
  CHECK(refusals.everywhere(0, hops) == nullptr);
}

TEST_CASE("what was refused over a hop that is gone was not refused") {
  HostRefusals refusals;
  refusals.add(0, refused_at(0, "not here"));
  refusals.add(0, refused_at(1, "nor here"));
  refusals.add(1, refused_at(1, "nor here"));
  CHECK(refusals.is_last_at(0, 1));
  refusals.forget_from(1);
  CHECK(refusals.is_last_at(0, 0));
  CHECK_FALSE(refusals.is_last_at(1, 1));
  CHECK(refusals.everywhere(1, {}) == nullptr);
}

}  // namespace delivery_host_refusals_test
