// SPDX-License-Identifier: Apache-2.0
// The audit's report to people and to programs. Pure.
#pragma once
#include <ostream>
#include <string>

#include "daemon/tool/audit_report.h"
#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"

namespace hoplock::daemon::tool {

// Which proofs a domain's mail left under, what was relaxed, what failed; of one domain alone also keys, records and policies.
void print_audit(const Console& console, const AuditReport& report);

// `{from, to, since, made, relay, never_proved:[…], total:{…}, domains:[{domain, messages, recipients, octets, proofs:{…}, failed_attempts,
// delivered:[…], keys:[…], records:[…], policies:[…], failed:[…], hosts:[…], relaxed:[…]}]}`; what a day has no row of its own for has null
// in place of its domain or words.
json::object audit_to_json(const AuditReport& report);

// A line for each row, in one table for all kinds (RFC 4180), with titles. No cell begins as a formula of a spreadsheet does.
std::string audit_to_csv(const AuditReport& report);

// One page of HTML that prints on A4: no script, nothing fetched, everything of foreign origin escaped.
std::string audit_to_html(const AuditReport& report);

}  // namespace hoplock::daemon::tool
