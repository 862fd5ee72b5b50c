// SPDX-License-Identifier: Apache-2.0
// The ledger of TLS reports, and a domain's record that asks for them, as the tool shows them to programs and to people. Pure.
#pragma once
#include <string>
#include <vector>

#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"
#include "probe/finding.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

// `{day, domain, state, sessions, failures, due, attempts, error, report_id, destinations:[{rua, state, attempts, next, error}]}`
json::object to_json(const store::LedgerRow& row);
// DAY DOMAIN STATE SESSIONS FAILURES NEXT ERROR
std::vector<std::string> cells(const store::LedgerRow& row, Time now);

// `{domain, txt, rua, ignored:[{uri, why}], error}`; the last two beyond CONTRACT.
json::object reporting_to_json(const probe::Reporting& reporting);
void print_reporting(const Console& console, const probe::Finding& finding);

}  // namespace hoplock::daemon::tool
