// SPDX-License-Identifier: Apache-2.0
// All metrics, as text for Prometheus. Names begin with "hoplock_" (CONTRACT). Pure.
#pragma once
#include <string>
#include <vector>

#include "monitor/counters.h"
#include "monitor/daemon_status.h"
#include "monitor/health.h"
#include "monitor/survey.h"

namespace hoplock::monitor {

// `survey` may be null: what lies in the database is then left out.
std::string to_metrics(const Counters& counters, const DaemonStatus& status, const Survey* survey,
                       const std::vector<Problem>& problems);

}  // namespace hoplock::monitor
