// SPDX-License-Identifier: Apache-2.0
// An attempt as the history keeps it: what its log lines say, one JSON object a line, with recipients who fared alike on one line.
#pragma once
#include <string>
#include <vector>

#include "base/log.h"
#include "delivery/attempt.h"

namespace hoplock::delivery {

// `conversation`: what was said at each host that took no mail, or not for all.
std::vector<Event> conversations(const Attempt& attempt);
// At most most_hops of an attempt's `hop` lines, in order: those of hosts that were contacted before the others, the last one in any case,
// and behind them a line with `count`, how many more there are, and their reasons (BND-02).
inline constexpr std::size_t most_hops = 12;
std::vector<Event> within_bounds(std::vector<Event> hops);
std::string story(const std::vector<Event>& hops, const std::vector<Event>& recipients);

}  // namespace hoplock::delivery
