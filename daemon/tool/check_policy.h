// SPDX-License-Identifier: Apache-2.0
// The MTA-STS part of what `hoplock check` found, to programs and to people. Pure.
#pragma once
#include <optional>
#include <string>

#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"
#include "probe/finding.h"

namespace hoplock::daemon::tool {

// `{txt, id, mode, mx, max_age, error}`; `txt` has several records one a line.
json::object policy_to_json(const probe::Sts& sts);
// `{policy, result, detail}`, or null where nothing was observed.
json::value observed_to_json(const std::optional<hop::Observation>& observation);
// What a rule that is only observed says of the host before anybody connects.
std::optional<hop::Observation> known_of(const probe::Host& host);

// "named", "not named", "-"
std::string match_word(const probe::Host& host);
// Record, policy, what is wrong, and what the domain's administrator can do about it.
void print_policy(const Console& console, const probe::Finding& finding);
// What refuses nothing here, but would if it were enforced, or if DANE did not decide.
void print_observed(const Console& console, const probe::Finding& finding);

}  // namespace hoplock::daemon::tool
