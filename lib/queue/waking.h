// SPDX-License-Identifier: Apache-2.0
// What was deferred for a rule at a destination comes due at once, for the rule has changed. In slices, on the disk thread, inside jobs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "disk/job.h"
#include "queue/forward.h"
#include "queue/places.h"

namespace hoplock::queue {

// Where the next slice goes on.
struct Waking {
  std::string destination;
  WaitingAt at;

  static Waking from(std::string destination, std::int64_t now);
};
// Nothing: that was the last.
std::optional<Waking> wake_some(disk::Tx& tx, Places& places, Waking from);

}  // namespace hoplock::queue
