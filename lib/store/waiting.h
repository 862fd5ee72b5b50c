// SPDX-License-Identifier: Apache-2.0
// Where mail is due, is held off, or waits, as values: what whoever looks for some of it goes by.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/message.h"

namespace hoplock::store {

// Recipients that wait behind a destination's hold and were not tried yet themselves, by the time since which they are due.
struct HeldQuery {
  enum class Kind : std::uint8_t {  // the numbers stand in SQL (store_sqlite/mail_tables.cpp)
    notices = 0,                    // of mail with the empty sender
    untold = 1,                     // that no notice of delay tells of
    relaxed = 2,                    // whose sender waives the policy that holds others back (TLS-Required: No)
  };
  Kind kind = Kind::untold;
  Time after;
  Time until;
  std::size_t messages = 1;
  // Behind which recipient to go on: what was passed is not looked at again, however many there are.
  struct Place {
    std::int64_t domain = 0;
    std::int64_t due = 0;
    std::int64_t recipient = 0;
  };
  Place from;
};
struct HeldPage {
  std::vector<Job> jobs;
  std::optional<HeldQuery> next;  // nothing: that was all
};

// A destination with due work.
struct Ready {
  std::string destination;
  Time due;
  std::optional<Backoff> backoff;  // its hold is over, but it has not worked since: try one message first
};
struct Work {
  std::vector<Ready> ready;      // oldest due first
  std::optional<Time> next_due;  // when `ready` is not full: when the next destination has work (or its hold ends)
};

// A destination that is held off.
struct Held {
  std::string destination;
  std::string reply;  // that it is held for
};

struct Waiting {
  std::string destination;
  bool held = false;
  std::string reason;  // that it is held for, or was last
};

}  // namespace hoplock::store
