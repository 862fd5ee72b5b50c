// SPDX-License-Identifier: Apache-2.0
#include "queue/schedule.h"

#include <algorithm>
#include <cmath>

namespace hoplock::queue {
namespace {

// In floating point throughout: a factor of 1.25 applied to whole minutes must not stand still.
Delay jittered(const Retry& retry, double interval_ms, double random) {
  const double spread = interval_ms * retry.jitter * (2 * random - 1);
  Delay delay;
  delay.interval = Milliseconds(std::llround(interval_ms));
  delay.wait = Milliseconds(std::max<long long>(1, std::llround(interval_ms + spread)));
  return delay;
}

double bounded(const Retry& retry, double interval_ms) {
  return std::clamp(interval_ms, 1.0, static_cast<double>(std::max(retry.max, Milliseconds(1)).count()));
}

}  // namespace

Delay next_delay(const Retry& retry, Milliseconds previous, double random) {
  const auto first = static_cast<double>(retry.first.count());
  const double interval = previous.count() <= 0 ? first : static_cast<double>(previous.count()) * retry.factor;
  return jittered(retry, bounded(retry, interval), random);
}

Delay delay_after(const Retry& retry, unsigned failures, double random) {
  const double steps = failures > 0 ? failures - 1 : 0;
  return jittered(retry, bounded(retry, static_cast<double>(retry.first.count()) * std::pow(retry.factor, steps)),
                  random);
}

bool is_over(const Life& life, std::optional<Time> last_attempt) {
  return last_attempt && *last_attempt >= life.received + life.expire;
}

Time rebased(Time due, Milliseconds interval, Time now) {
  const Milliseconds longest = interval + interval / 2;  // jitter is far below one half
  return due - longest > now ? now : due;
}

}  // namespace hoplock::queue
