// SPDX-License-Identifier: Apache-2.0
#include "queue/rebase.h"

#include <vector>

#include "queue/core.h"
#include "queue/marks.h"
#include "queue/slice.h"

namespace hoplock::queue {

using disk::Durability;

namespace {

constexpr std::size_t rebased_at_once = 64;  // before they are written

bool waits_too_long(std::int64_t until, std::int64_t interval, std::int64_t now) {
  return until - interval * 3 / 2 > now;
}

void begin_state(Rebase& at, std::int64_t state) {
  at.state = state;
  at.due = at.now;
  at.recipient = INT64_MAX;
}

// Of one domain and state, from where the last slice came to. True: that was all of them.
bool rebase_recipients(disk::Tx& tx, Places& places, Rebase& at, const Slice& slice) {
  struct Row {
    std::int64_t due = 0;
    std::int64_t id = 0;
  };
  std::vector<Row> late;
  bool all = true;
  {
    auto rows = tx.prepare(
        "SELECT id, due, interval FROM recipient INDEXED BY recipient_place WHERE domain = ?1 AND state = ?2"
        " AND (due, id) > (?3, ?4) ORDER BY due, id");
    for (rows.bind(at.domain, at.state, at.due, at.recipient); rows.step();) {
      at.recipient = rows.integer(0);
      at.due = rows.integer(1);
      if (waits_too_long(at.due, rows.integer(2), at.now)) late.push_back({at.due, at.recipient});
      all = !slice.over() && late.size() < rebased_at_once;
      if (!all) break;
    }
  }
  if (!late.empty()) places.lower(tx, at.domain, at.now);
  for (const Row& row : late) {
    tx.prepare("UPDATE recipient SET due = ?2 WHERE id = ?1").bind(row.id, at.now).run();
    if (!slice.over() || row.id == late.back().id) continue;
    at.due = row.due;  // the others are for the next slice
    at.recipient = row.id;
    return false;
  }
  return all;
}

std::optional<std::int64_t> domain_after(disk::Tx& tx, std::int64_t domain) {
  auto row = tx.prepare("SELECT id FROM domain WHERE id > ?1 ORDER BY id LIMIT 1");
  if (!row.bind(domain).step()) return {};
  return row.integer(0);
}

// Holds. False: there are no more.
bool rebase_destinations(disk::Tx& tx, Places& places, Rebase& at, const Slice& slice) {
  struct Held {
    std::int64_t id = 0;
    bool too_long = false;
  };
  std::vector<Held> some;
  {
    auto rows = tx.prepare("SELECT id, hold, interval FROM destination WHERE id > ?1 ORDER BY id LIMIT ?2");
    for (rows.bind(at.destination, rebased_at_once); rows.step();)
      some.push_back({rows.integer(0), waits_too_long(rows.integer(1), rows.integer(2), at.now)});
  }
  for (const Held& one : some) {
    at.destination = one.id;
    if (one.too_long) tx.prepare("UPDATE destination SET hold = ?2 WHERE id = ?1").bind(one.id, at.now).run();
    places.tidy_destination(tx, one.id);
    if (slice.over()) break;
  }
  places.forget();  // what it knows of holds
  return !some.empty();
}

}  // namespace

Rebase Rebase::from(std::int64_t now) {
  Rebase begin;
  begin.now = now;
  begin.state = static_cast<std::int64_t>(State::deferred) + 1;  // of no domain: go to the first
  return begin;
}

std::optional<Rebase> rebase_some(disk::Tx& tx, Places& places, Rebase at) {
  const Slice slice;
  while (at.part == Rebase::Part::recipients) {
    if (at.state > static_cast<std::int64_t>(State::deferred)) {
      if (at.domain > 0) places.tidy(tx, at.domain);
      const auto next = domain_after(tx, at.domain);
      if (!next) {
        at.part = Rebase::Part::destinations;
        break;
      }
      at.domain = *next;
      begin_state(at, 0);
    }
    if (rebase_recipients(tx, places, at, slice)) begin_state(at, at.state + 1);
    if (slice.over()) return at;
  }
  do {
    if (rebase_destinations(tx, places, at, slice)) continue;
    drop_mark(tx, rebase_mark);
    return {};
  } while (!slice.over());
  return at;
}

asio::awaitable<Result<>> Queue::Core::begin_rebase(Time now) {
  auto begin = [shared = store, at = to_millis(now)](disk::Tx& tx) -> Result<> {
    shared->forget();
    set_mark(tx, rebase_mark, at);
    set_mark(tx, "seen", at);
    return {};
  };
  auto begun = co_await disk.run(Durability::durable, std::move(begin));
  if (begun) rebasing = Rebase::from(to_millis(now));
  co_return begun;
}

asio::awaitable<Result<>> Queue::Core::rebase(Deadline until) {
  if (!rebasing) co_return Result<>();
  while (rebasing && std::chrono::steady_clock::now() < until) {
    const Rebase from = *rebasing;
    auto job = [shared = store, from](disk::Tx& tx) -> Result<std::optional<Rebase>> {
      return rebase_some(tx, shared->places(), from);
    };
    auto next = co_await disk.run(Durability::relaxed, std::move(job));
    if (!next) co_return next.error();
    if (rebasing && rebasing->now == from.now) rebasing = *next;  // unless it began anew
  }
  window.drop_all();
  window.forget_idle();
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::rebase(Time now) {
  auto begun = co_await core_->begin_rebase(now);
  if (!begun) co_return begun;
  co_return co_await core_->rebase(Core::Deadline::max());
}

}  // namespace hoplock::queue
