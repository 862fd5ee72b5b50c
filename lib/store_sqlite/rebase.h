// SPDX-License-Identifier: Apache-2.0
// The clock was set back: recipients and destinations that wait longer than their own interval allows are due at once. In slices, on
// the disk thread, inside jobs; a mark tells the next start where one did not come to its end.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "disk/job.h"
#include "store_sqlite/forward.h"
#include "store_sqlite/places.h"

namespace hoplock::store_sqlite {

inline constexpr std::string_view rebase_mark = "rebase";

// Where the next slice goes on: through recipients, by domain, then through destinations.
struct Rebase {
  enum class Part : std::uint8_t { recipients, destinations } part = Part::recipients;
  WaitingAt at;
  std::int64_t destination = 0;

  static Rebase from(std::int64_t now);
};
// Nothing: that was the last.
std::optional<Rebase> rebase_some(disk::Tx& tx, Places& places, Rebase from);

}  // namespace hoplock::store_sqlite
