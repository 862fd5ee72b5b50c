// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/forward.h"

#include <vector>

#include "store/state.h"

namespace hoplock::store_sqlite {

namespace {
constexpr std::size_t forward_at_once = 64;  // before they are written
constexpr auto last_state = static_cast<std::int64_t>(State::deferred);
}  // namespace

WaitingAt WaitingAt::before_all(std::int64_t now) {
  WaitingAt at;
  at.now = now;
  at.end();
  return at;
}

bool WaitingAt::is_through() const { return state > last_state; }

bool WaitingAt::next_domain(disk::Tx& tx) {
  auto row = tx.prepare("SELECT id FROM domain WHERE id > ?1 ORDER BY id LIMIT 1");
  if (!row.bind(domain).step()) return false;
  domain = row.integer(0);
  return true;
}

void WaitingAt::end() { state = last_state + 1; }

void WaitingAt::begin(std::int64_t in_state) {
  state = in_state;
  due = now;
  recipient = INT64_MAX;
}

bool WaitingAt::bring_forward(disk::Tx& tx, Places& places, const Slice& slice,
                              const std::function<bool(const Waits&)>& chosen) {
  struct Row {
    std::int64_t due = 0;
    std::int64_t id = 0;
  };
  std::vector<Row> late;
  bool all = true;
  {
    auto rows = tx.prepare(
        "SELECT id, due, interval, reason, reply FROM recipient INDEXED BY recipient_place WHERE domain = ?1 AND state "
        "= ?2"
        " AND (due, id) > (?3, ?4) ORDER BY due, id");
    for (rows.bind(domain, state, due, recipient); rows.step();) {
      recipient = rows.integer(0);
      due = rows.integer(1);
      if (chosen({due, rows.integer(2), rows.text(3), rows.text(4)})) late.push_back({due, recipient});
      all = !slice.over() && late.size() < forward_at_once;
      if (!all) break;
    }
  }
  if (!late.empty()) places.lower(tx, domain, now);
  for (const Row& row : late) {
    tx.prepare("UPDATE recipient SET due = ?2 WHERE id = ?1").bind(row.id, now).run();
    if (!slice.over() || row.id == late.back().id) continue;
    due = row.due;  // the others are for the next slice
    recipient = row.id;
    return false;
  }
  return all;
}

}  // namespace hoplock::store_sqlite
