// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/rebase.h"

#include <vector>

#include "store_sqlite/marks.h"
#include "store_sqlite/slice.h"

namespace hoplock::store_sqlite {

namespace {

constexpr int rebased_at_once = 64;  // destinations, before they are written

bool waits_too_long(std::int64_t until, std::int64_t interval, std::int64_t now) {
  return until - interval * 3 / 2 > now;
}

// Holds. False: there are no more.
bool rebase_destinations(disk::Tx& tx, Places& places, Rebase& from, const Slice& slice) {
  struct Held {
    std::int64_t id = 0;
    bool too_long = false;
  };
  std::vector<Held> some;
  {
    auto rows = tx.prepare("SELECT id, hold, interval FROM destination WHERE id > ?1 ORDER BY id LIMIT ?2");
    for (rows.bind(from.destination, rebased_at_once); rows.step();)
      some.push_back({rows.integer(0), waits_too_long(rows.integer(1), rows.integer(2), from.at.now)});
  }
  for (const Held& one : some) {
    from.destination = one.id;
    if (one.too_long) tx.prepare("UPDATE destination SET hold = ?2 WHERE id = ?1").bind(one.id, from.at.now).run();
    places.tidy_destination(tx, one.id);
    if (slice.over()) break;
  }
  places.forget();  // what it knows of holds
  return !some.empty();
}

}  // namespace

Rebase Rebase::from(std::int64_t now) {
  Rebase begin;
  begin.at = WaitingAt::before_all(now);
  return begin;
}

std::optional<Rebase> rebase_some(disk::Tx& tx, Places& places, Rebase from) {
  const Slice slice;
  WaitingAt& at = from.at;
  const auto too_long = [&from](const Waits& waits) { return waits_too_long(waits.due, waits.interval, from.at.now); };
  while (from.part == Rebase::Part::recipients) {
    if (at.is_through()) {
      if (at.domain > 0) places.tidy(tx, at.domain);
      if (!at.next_domain(tx)) {
        from.part = Rebase::Part::destinations;
        break;
      }
      at.begin(0);
    }
    if (at.bring_forward(tx, places, slice, too_long)) at.begin(at.state + 1);
    if (slice.over()) return from;
  }
  do {
    if (rebase_destinations(tx, places, from, slice)) continue;
    drop_mark(tx, rebase_mark);
    return {};
  } while (!slice.over());
  return from;
}

}  // namespace hoplock::store_sqlite
