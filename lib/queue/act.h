// SPDX-License-Identifier: Apache-2.0
// One batch of an operator's action in the tables. On the disk thread, inside jobs.
#pragma once
#include <string>
#include <vector>

#include "disk/job.h"
#include "queue/bodies.h"
#include "queue/places.h"
#include "store/actions.h"

namespace hoplock::queue {

using namespace store;

struct AdminBatch {
  Action action = Action::retry;
  Selection selection;  // by domain: only recipients there
  std::vector<Id> ids;
  std::vector<Lease> leased;  // sorted
  Time now;
  Bodies bodies = Bodies::along;
};
struct AdminResult {
  Affected affected;
  std::vector<std::string> destinations;  // where something is due now
};
AdminResult act(disk::Tx& tx, Places& places, const AdminBatch& act);

}  // namespace hoplock::queue
