// SPDX-License-Identifier: Apache-2.0
// One batch of an operator's action in the tables. On the disk thread, inside jobs.
#pragma once
#include <string>
#include <vector>

#include "disk/job.h"
#include "queue/actions.h"
#include "queue/bodies.h"
#include "queue/places.h"

namespace hoplock::queue {

struct Act {
  Action action = Action::retry;
  Selection selection;  // by domain: only recipients there
  std::vector<Id> ids;
  std::vector<Lease> leased;  // sorted
  Time now;
  Bodies bodies = Bodies::along;
};
struct Acted {
  Touched touched;
  std::vector<std::string> destinations;  // where something is due now
};
Acted act(disk::Tx& tx, Places& places, const Act& act);

}  // namespace hoplock::queue
