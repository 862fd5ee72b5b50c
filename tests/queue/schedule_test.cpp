// SPDX-License-Identifier: Apache-2.0
#include "queue/schedule.h"

#include <doctest/doctest.h>

namespace queue_schedule_test {

using namespace hoplock;
using namespace hoplock::queue;
using std::chrono::hours;
using std::chrono::minutes;

TEST_CASE("MX-11: delays grow by the factor up to the maximum") {
  const Retry retry;  // 5m, 2, 4h
  Milliseconds interval{0};
  const Milliseconds wanted[] = {minutes(5),  minutes(10),  minutes(20), minutes(40),
                                 minutes(80), minutes(160), hours(4),    hours(4)};
  for (const auto expected : wanted) {
    const auto delay = next_delay(retry, interval, 0.5);
    CHECK(delay.interval == expected);
    CHECK(delay.wait == expected);
    interval = delay.interval;
  }
}

TEST_CASE("MX-11: a factor near one is not lost in whole numbers") {
  Retry retry;
  retry.first = Seconds(1);
  retry.factor = 1.25;
  Milliseconds interval{0};
  for (int i = 0; i < 10; ++i) {
    const auto next = next_delay(retry, interval, 0.5).interval;
    CHECK(next > interval);
    interval = next;
  }
  CHECK(delay_after(retry, 3, 0.5).interval == Milliseconds(1563));  // 1000 * 1.25^2 = 1562.5
}

TEST_CASE("MX-11: jitter is a share of the delay, either way, and never makes it nothing") {
  const Retry retry;
  CHECK(next_delay(retry, Milliseconds(0), 0.0).wait == Seconds(270));
  CHECK(next_delay(retry, Milliseconds(0), 1.0).wait == Seconds(330));
  Retry tiny;
  tiny.first = Milliseconds(0);
  tiny.jitter = 1;
  CHECK(next_delay(tiny, Milliseconds(0), 0.0).wait >= Milliseconds(1));
}

TEST_CASE(
    "MX-11: a domain that fails for five days is tried on schedule, at half an hour or more in the steady state, then "
    "given up") {
  const Retry retry;
  const Life life{Time{}, hours(24 * 5)};
  Time now{};
  Milliseconds interval{0};
  int attempts = 1;
  while (!is_over(life, now)) {
    const auto delay = next_delay(retry, interval, 0.5);
    interval = delay.interval;
    now += delay.wait;
    if (++attempts > 8) CHECK(delay.wait >= minutes(30));
    REQUIRE(attempts < 100);
  }
  CHECK(attempts > 30);
  CHECK(now - Time{} >= hours(24 * 5));
  CHECK(now - Time{} <= hours(24 * 5 + 4));
}

TEST_CASE("is_over: only an attempt at or after the end of its life ends a message, whatever the clock jumps to") {
  const Life life{Time{}, hours(24 * 5)};
  CHECK(!is_over(life, std::nullopt));           // never tried
  CHECK(!is_over(life, Time{} + hours(1)));      // tried, long ago; the clock may have been set forward since
  CHECK(is_over(life, Time{} + hours(24 * 5)));  // tried at the end
  CHECK(is_over(life, Time{} + hours(24 * 365)));
}

TEST_CASE("rebased: a clock set back delays nothing by more than its own interval") {
  const Time now = Time{} + hours(1000);
  CHECK(rebased(now + minutes(5), minutes(5), now) == now + minutes(5));
  CHECK(rebased(now + minutes(6), minutes(5), now) == now + minutes(6));  // jitter
  CHECK(rebased(now + hours(24), minutes(5), now) == now);
  CHECK(rebased(now + Milliseconds(1), Milliseconds(0), now) == now);  // fresh mail is due when it came
  CHECK(rebased(now - hours(1), minutes(5), now) == now - hours(1));
}

}  // namespace queue_schedule_test
