// SPDX-License-Identifier: Apache-2.0
// The cache of MTA-STS policies as the tool shows it, to programs and to people. Pure.
#pragma once
#include <string>

#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"
#include "mtasts/policy.h"
#include "route/sts.h"

namespace hoplock::daemon::tool {

// "enforce for mx1.example.org, *.example.net"; foreign names are made printable.
std::string policy_text(const mtasts::Policy& policy);
json::array patterns(const mtasts::Policy& policy);

// `{domain, id, mode, max_age, fetched, expires, checked, error}`
json::object to_json(const store::PolicyRow& row);
// The same with `mx`, `policy` (as it was served) and `failures` (null, or `{count, last, id}` of those since it was fetched).
json::object to_full_json(const store::PolicyRow& row);
// `{domain, action, id, mode, max_age, expires, error}`
json::object to_json(const route::PolicyEvent& news);

void print(const Console& console, const store::PolicyRow& row);
std::string to_text(const route::PolicyEvent& news, Time now);

// The cell of a table that says when it ends: "in 3d2h", "2h ago", "".
std::string expiry(const store::PolicyRow& row, Time now);
std::string mode_of(const store::PolicyRow& row);
// What its last fetch failed for; "": it succeeded.
std::string error_of(const store::PolicyRow& row);

}  // namespace hoplock::daemon::tool
