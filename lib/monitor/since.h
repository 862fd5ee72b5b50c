// SPDX-License-Identifier: Apache-2.0
// Since when mail for a domain fails as it does now: read from the history of the oldest message that was tried in vain, so that a
// restart forgets nothing. Pure.
#pragma once
#include <optional>

#include "store/looks.h"

namespace hoplock::monitor {

// The first of the last run of attempts at that domain that failed for the reason that it waits for now; nothing: the history has none.
std::optional<Time> failing_since(const store::Traced& story, const store::DomainWait& wait);

}  // namespace hoplock::monitor
