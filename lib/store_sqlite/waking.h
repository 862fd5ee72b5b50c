// SPDX-License-Identifier: Apache-2.0
// What was deferred for some reasons at a destination, or in some words wherever it goes, comes due at once, for something has changed. In
// slices, on the disk thread, inside jobs.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/job.h"
#include "store/message.h"
#include "store_sqlite/forward.h"
#include "store_sqlite/places.h"

namespace hoplock::store_sqlite {

using namespace store;

// Where the next slice goes on.
struct Waking {
  std::string destination;
  std::vector<std::string> reasons;
  WaitingAt at;

  static Waking from(std::string destination, Wake wake);
};
// Nothing: that was the last.
std::optional<Waking> wake_some(disk::Tx& tx, Places& places, Waking from);

using SaysSo = std::function<bool(std::string_view reply)>;
// Of all destinations, what was last told so. Likewise.
std::optional<WaitingAt> wake_told_some(disk::Tx& tx, Places& places, const SaysSo& says_so, WaitingAt from);

}  // namespace hoplock::store_sqlite
