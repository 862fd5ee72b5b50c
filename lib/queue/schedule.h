// SPDX-License-Identifier: Apache-2.0
// When a recipient is tried again, and when it has been tried long enough (RFC 5321 section 4.5.4.1). Pure: `now` and
// the random number are arguments.
#pragma once
#include <optional>

#include "base/time.h"

namespace hoplock::queue {

struct Retry {
  Milliseconds first{std::chrono::minutes(5)};
  double factor = 2;
  Milliseconds max{std::chrono::hours(4)};
  double jitter = 0.1;  // of the delay, either way
};

struct Delay {
  Milliseconds interval{0};  // without jitter; the argument of the next call
  Milliseconds wait{0};      // with it
};
// After a failed attempt. `previous`: the interval before, 0 for the first. `random` in [0, 1).
Delay next_delay(const Retry& retry, Milliseconds previous, double random);
// The interval after `failures` failures in a row, 1 being the first.
Delay delay_after(const Retry& retry, unsigned failures, double random);

// To be asked after an attempt failed at `now`: has the message been tried long enough? An attempt made at or after the
// end of its life is what ends it, so a clock set forward costs it no attempt.
struct Life {
  Time received;
  Milliseconds expire{std::chrono::hours(24 * 5)};
};
bool is_over(const Life& life, std::optional<Time> last_attempt);

// A due time that lies further ahead than its own interval (with jitter) could have put it was set by another clock:
// due now.
Time rebased(Time due, Milliseconds interval, Time now);

}  // namespace hoplock::queue
