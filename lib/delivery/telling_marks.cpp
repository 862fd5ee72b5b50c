// SPDX-License-Identifier: Apache-2.0
#include "delivery/telling_marks.h"

#include <algorithm>

namespace hoplock::delivery {

Time TellingMarks::move(const std::string& destination, Kind kind, Time until, Clock clock) {
  if (marks_.size() >= swept_at_) {
    std::erase_if(marks_, [least = clock.now - clock.lasts](const auto& one) { return one.second < least; });
    swept_at_ = std::max<std::size_t>(1000, 2 * marks_.size());
  }
  return std::exchange(marks_[{destination, kind}], until);
}

void TellingMarks::forget(const std::string& destination) {
  for (const Kind kind : {Kind::notices, Kind::untold, Kind::relaxed}) marks_.erase({destination, kind});
}

}  // namespace hoplock::delivery
