// SPDX-License-Identifier: Apache-2.0
// All metrics, as text for Prometheus. Names begin with "hoplock_" (CONTRACT). Pure.
#pragma once
#include <string>
#include <vector>

#include "control/counters.h"
#include "control/facts.h"
#include "control/health.h"
#include "control/survey.h"

namespace hoplock::control {

// `survey` may be null: what lies in the database is then left out.
std::string to_metrics(const Counters& counters, const Facts& facts, const Survey* survey,
                       const std::vector<Problem>& problems);

}  // namespace hoplock::control
