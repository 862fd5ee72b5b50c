// SPDX-License-Identifier: Apache-2.0
// Of destinations that are down: up to where what waits for them was looked at, for its senders to be told or to be sent all the same. So
// that each recipient is looked at once for as long as a hold lasts. Forgets destinations that are heard of no more, their mail having
// come to its end: thousands of dead domains leave nothing.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "base/time.h"
#include "store/waiting.h"

namespace hoplock::delivery {

class TellingMarks {
 public:
  using Kind = store::HeldQuery::Kind;

  // What was not moved for so long is forgotten at `now`, at the latest once there are twice as many.
  struct Clock {
    Time now;
    Milliseconds lasts;
  };
  // From now on up to `until`; up to where it was before.
  Time move(const std::string& destination, Kind kind, Time until, Clock clock);
  // It works again.
  void forget(const std::string& destination);
  std::size_t size() const { return marks_.size(); }

 private:
  std::map<std::pair<std::string, Kind>, Time> marks_;
  std::size_t swept_at_ = 1000;
};

}  // namespace hoplock::delivery
