// SPDX-License-Identifier: Apache-2.0
// What an attempt leaves in the statistics (`hoplock audit`): deliveries under their proof, the certificate keys, records and policies that
// proved them, what was refused and why, and every rule that was relaxed. Made from the attempt and from the values that the log's lines
// are made from, so that audit, trace and metrics add up. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "delivery/attempt.h"
#include "delivery/lines.h"
#include "route/router.h"
#include "statistics/rows.h"

namespace hoplock::delivery {

// REQUIRES: the attempt is concluded, and the lines are its recipients'.
statistics::Counts remembered(const Attempt& attempt, const std::vector<RecipientLine>& lines);
// Of recipients that ended without an attempt.
statistics::Counts remembered(Time at, const std::vector<RecipientLine>& lines);

// Whether the operator's route asks less of these hosts than their own domain may. Of a route with hosts nobody else has a say.
std::optional<Exception> exception_of(const route::Hosts& hosts);
// What was agreed on with the partner and does so.
std::vector<Exception> exceptions_agreed(const route::Hosts& hosts);

}  // namespace hoplock::delivery
