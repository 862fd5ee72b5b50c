// SPDX-License-Identifier: Apache-2.0
// What the commands that change partners have in common.
#pragma once
#include <optional>
#include <variant>
#include <vector>

#include "daemon/tool/commands.h"
#include "partners/order.h"

namespace hoplock::daemon::tool {

// What the daemon made of the orders, or the exit code after the complaint: 69 without a daemon, 74 where it cannot store them, 64 where
// it refuses them.
std::variant<partners::Done, int> carry_out(const Call& call, const std::vector<partners::Order>& orders);

}  // namespace hoplock::daemon::tool
