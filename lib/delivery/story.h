// An attempt as the history keeps it: what its log lines say, one JSON object a line, with recipients who fared alike on one line.
#pragma once
#include <string>
#include <vector>

#include "base/log.h"
#include "delivery/attempt.h"

namespace hoplock::delivery {

// `conversation`: what was said at each host that took no mail, or not for all.
std::vector<Event> conversations(const Attempt& attempt);
std::string story(const std::vector<Event>& hops, const std::vector<Event>& recipients);

}  // namespace hoplock::delivery
