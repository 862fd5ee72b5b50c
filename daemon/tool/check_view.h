// SPDX-License-Identifier: Apache-2.0
// What `hoplock check` found, as the tool shows it, to programs and to people. Pure.
#pragma once
#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"
#include "probe/finding.h"

namespace hoplock::daemon::tool {

// `{domain, verdict, mx:[{host, preference, dnssec, tlsa:[…], tlsa_base, policy, probes:[{ip, tls, auth, result, detail}]}],
// mta_sts:{txt, id, mode, mx, max_age, error}, tls_rpt:{txt, rua}}` of CONTRACT, and what else is known.
json::object to_json(const probe::Finding& finding, probe::Verdict verdict);
void print(const Console& console, const probe::Finding& finding, probe::Verdict verdict);

}  // namespace hoplock::daemon::tool
