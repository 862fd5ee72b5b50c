// An attempt as the history keeps it: what its log lines say, one JSON object a line, with recipients who fared alike on one line.
#pragma once
#include <string>
#include <vector>

#include "base/log.h"

namespace hoplock::delivery {

std::string story(const std::vector<Event>& hops, const std::vector<Event>& recipients);

}  // namespace hoplock::delivery
