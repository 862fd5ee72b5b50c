// SPDX-License-Identifier: Apache-2.0
// Which of the operator's rules apply to a domain, in sentences: the route it takes, what that demands, until when and why. Pure.
#pragma once
#include <string>
#include <vector>

#include "route/table.h"

namespace hoplock::page {

// At least one.
std::vector<std::string> rules_for(const dns::Name& domain, const route::Table& table, Time now);

}  // namespace hoplock::page
