// SPDX-License-Identifier: Apache-2.0
// Which jobs of a destination are to be leased, and what was found.
#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "store/waiting.h"

namespace hoplock::store {

inline constexpr Time no_earlier_bound{Milliseconds::min()};  // nothing is known: ask
inline constexpr Time no_due_time{Milliseconds::max()};

struct LeaseQuery {
  struct DueNow {
    Time now;
  };
  // Waiting recipients of messages before that one, due or not.
  struct OlderThan {
    Id id;
  };
  std::string destination;
  std::size_t messages = 0;
  std::size_t bytes = 0;    // of bodies
  std::vector<Id> exclude;  // sorted
  std::variant<DueNow, OlderThan, HeldQuery> which;
};

struct Leased {
  std::vector<Job> jobs;
  std::vector<Id> damaged;       // to be held
  bool more = false;             // it stopped at a limit
  Time next = no_earlier_bound;  // DueNow, when it did not: what is due next, no_due_time for nothing
  std::optional<Backoff> backoff;
  std::optional<HeldQuery> rest;  // HeldQuery: where to go on; nothing: that was all
};

}  // namespace hoplock::store
