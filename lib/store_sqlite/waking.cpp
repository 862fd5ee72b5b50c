// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/waking.h"

#include <algorithm>
#include <utility>

namespace hoplock::store_sqlite {
namespace {

// The next domain, in the order of ids, which what comes due meanwhile does not move.
struct NextDomain {
  std::int64_t id = 0;    // 0: there is none
  bool is_there = false;  // else the slice was over before
};
NextDomain next_domain(disk::Tx& tx, std::int64_t after, std::int64_t destination, const Slice& slice) {
  NextDomain next;
  auto rows = tx.prepare("SELECT id, destination FROM domain NOT INDEXED WHERE id > ?1 ORDER BY id");
  for (rows.bind(after); rows.step();) {
    next = {rows.integer(0), rows.integer(1) == destination};
    if (next.is_there || slice.over()) return next;
  }
  return {};
}

}  // namespace

Waking Waking::from(std::string destination, Wake wake) {
  return {std::move(destination), std::move(wake.reasons), WaitingAt::before_all(to_millis(wake.now))};
}

std::optional<Waking> wake_some(disk::Tx& tx, Places& places, Waking from) {
  const Slice slice;
  const auto destination = places.find_destination(tx, from.destination);
  if (!destination) return {};
  const auto chosen = [&reasons = from.reasons](const Waits& waits) {
    return std::find(reasons.begin(), reasons.end(), waits.reason) != reasons.end();
  };
  do {
    if (from.at.is_through()) {
      const NextDomain next = next_domain(tx, from.at.domain, *destination, slice);
      if (next.id == 0) return {};
      from.at.domain = next.id;
      if (!next.is_there) return from;
      from.at.begin(static_cast<std::int64_t>(State::deferred));
    }
    if (from.at.bring_forward(tx, places, slice, chosen)) from.at.end();
  } while (!slice.over());
  return from;
}

std::optional<WaitingAt> wake_told_some(disk::Tx& tx, Places& places, const SaysSo& says_so, WaitingAt from) {
  const Slice slice;
  const auto chosen = [&says_so](const Waits& waits) { return says_so(waits.reply); };
  do {
    if (from.is_through()) {
      if (!from.next_domain(tx)) return {};
      from.begin(static_cast<std::int64_t>(State::deferred));
    }
    if (from.bring_forward(tx, places, slice, chosen)) from.end();
  } while (!slice.over());
  return from;
}

}  // namespace hoplock::store_sqlite
