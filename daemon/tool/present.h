// SPDX-License-Identifier: Apache-2.0
// What the daemon alone knows of the queue: what is under way, and which next hops wait for a session.
#pragma once
#include <vector>

#include "daemon/tool/commands.h"
#include "queue/in_line.h"
#include "store/actions.h"

namespace hoplock::daemon::tool {

struct Present {
  std::vector<store::Lease> active;
  std::vector<queue::InLine> waiting;
};
// Nothing where there is no daemon to ask. `waiting` is in the order of destinations.
Present present(const Call& call);
// The first of them alone.
std::vector<store::Lease> active(const Call& call);

}  // namespace hoplock::daemon::tool
