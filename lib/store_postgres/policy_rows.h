// SPDX-License-Identifier: Apache-2.0
// Rows of MTA-STS policies, and the statements that give them. For this module's own sources.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "postgres/batch.h"
#include "store/policies.h"

namespace hoplock::store_postgres {

using namespace store;

// The columns that policy_of() reads. `condition`: what follows FROM sts_policy.
std::string select_policies(std::string_view condition);
// Nothing: what stands there is no row of ours.
std::optional<PolicyRow> policy_of(const postgres::Row& row);

}  // namespace hoplock::store_postgres
