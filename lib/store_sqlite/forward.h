// SPDX-License-Identifier: Apache-2.0
// Recipients that wait for a time of their own come due at once, from the earliest on: as many of one domain and state as a slice has
// time for. On the disk thread, inside jobs.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

#include "disk/job.h"
#include "store_sqlite/places.h"
#include "store_sqlite/slice.h"

namespace hoplock::store_sqlite {

struct Waits {
  std::int64_t due = 0;
  std::int64_t interval = 0;
  std::string_view reason, reply;  // of its last attempt
};

// The last that was looked at.
struct WaitingAt {
  std::int64_t now = 0;  // when they are due
  std::int64_t domain = 0;
  std::int64_t state = 0;
  std::int64_t due = 0;
  std::int64_t recipient = 0;

  // Of no domain yet: go to the first.
  static WaitingAt before_all(std::int64_t now);
  bool is_through() const;  // of its domain: go to the next
  // Of all there are, in the order of ids. False: there is none.
  bool next_domain(disk::Tx& tx);
  // Those that are due by `now` are no matter.
  void begin(std::int64_t in_state);
  void end();  // of its domain
  // True: that was all of them.
  bool bring_forward(disk::Tx& tx, Places& places, const Slice& slice, const std::function<bool(const Waits&)>& chosen);
};

}  // namespace hoplock::store_sqlite
