// SPDX-License-Identifier: Apache-2.0
// Whether the operator's rules as they are now, not as they were when the job was leased, send every recipient to this next hop, and in
// the same way (MX-20). Asked before every host and every transaction: look-ups and connections take their time.
// For this module's own sources.
#pragma once
#include <cstdint>
#include <optional>

#include "delivery/progress.h"

namespace hoplock::delivery {

class RouteCheck {
 public:
  // REQUIRES: it outlives this.
  explicit RouteCheck(Progress& progress) : progress_(progress) {}
  // Hosts were found: from now on it is also asked whether the rules lead to them in the same way.
  void begin_anew();
  // Once it does not, it never does again: the attempt is displaced.
  bool holds();

 private:
  bool leaves_from_there() const;

  Progress& progress_;
  bool has_hosts_ = false;
  std::uint64_t generation_ = 0;
  route::TablePtr confirmed_by_;  // the rules that last did, and for which time
  Time confirmed_at_;
  std::optional<Time> confirmed_until_;
};

}  // namespace hoplock::delivery
