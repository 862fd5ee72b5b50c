// SPDX-License-Identifier: Apache-2.0
#include "delivery/openings.h"

#include <doctest/doctest.h>

#include <deque>

#include "delivery/concurrency.h"

namespace delivery_openings_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace std::chrono_literals;

namespace {

const Openings::Clock::time_point t0{1h};

void measure(Openings& openings, Openings::Clock::duration delay, int times) {
  for (int i = 0; i < times; ++i) openings.measured(delay);
}

}  // namespace

TEST_CASE("Openings: on a calm machine as many sessions are opened at a time as there may be") {
  Openings openings;
  openings.limit(200);
  CHECK(openings.most() == 200);
  measure(openings, 100us, 100);
  CHECK(openings.most() == 200);
  std::deque<Openings::Place> places;
  for (int i = 0; i < 199; ++i) places.emplace_back(openings, t0);
  CHECK(openings.has_room(t0));
}

TEST_CASE(
    "Openings: one slow step is no busy machine; while much waits for the loop, a few are opened at a time, and more "
    "again after it") {
  Openings openings;
  openings.limit(200);
  openings.measured(10ms);
  CHECK(openings.most() >= 175);
  measure(openings, 10ms, 100);
  CHECK(openings.most() == Openings::least);
  measure(openings, 1ms, 100);  // as it should be
  CHECK(openings.most() == Openings::least);
  measure(openings, 100us, 250);
  CHECK(openings.most() == 200);
}

TEST_CASE("Openings: what waits for a server longer than 25 ms keeps nobody else from opening a session") {
  Openings openings;
  openings.limit(200);
  measure(openings, 10ms, 100);
  std::deque<Openings::Place> places;
  for (std::size_t i = 0; i < Openings::least; ++i) {
    CHECK(openings.has_room(t0 + i * 1ms));
    places.emplace_back(openings, t0 + i * 1ms);
  }
  CHECK_FALSE(openings.has_room(t0 + 10ms));
  CHECK(openings.full_until(t0 + 10ms) == t0 + Openings::counted);
  CHECK(openings.has_room(t0 + Openings::counted));
  places.emplace_back(openings, t0 + Openings::counted);
  CHECK(openings.full_until(t0 + Openings::counted) == t0 + 1ms + Openings::counted);
  places.pop_back();  // its session is open
  CHECK(openings.has_room(t0 + Openings::counted));
}

TEST_CASE("Openings: there is room for one, however few sessions there may be") {
  Openings openings;
  openings.limit(3);
  measure(openings, 10ms, 100);
  CHECK(openings.most() == 3);
  openings.limit(1);
  CHECK(openings.has_room(t0));
  openings.limit(200);
  measure(openings, 100us, 300);
  CHECK(openings.most() == 200);
}

TEST_CASE(
    "ConcurrencyLimits: while this machine is busy a destination waits for its turn to open a session, and is told "
    "so") {
  ConcurrencyLimits limits;
  limits.limit(200, 20);
  measure(limits.openings(), 10ms, 100);
  const auto now = Openings::Clock::now();
  std::deque<Openings::Place> places;
  for (std::size_t i = 0; i < Openings::least; ++i) places.emplace_back(limits.openings(), now + 1h);
  store::Ready ready;
  ready.destination = "a.test";
  CHECK(limits.add(ready));
  CHECK(limits.next() == nullptr);
  CHECK(limits.opens() == now + 1h + Openings::counted);
  const auto in_line = limits.in_line(Time{});
  REQUIRE(in_line.size() == 1);
  CHECK(in_line.front().why == "this machine is busy: sessions are opened a few at a time");
  places.pop_back();
  CHECK_FALSE(limits.opens());
  REQUIRE(limits.next());
}

}  // namespace delivery_openings_test
