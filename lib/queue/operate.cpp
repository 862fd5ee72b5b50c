// SPDX-License-Identifier: Apache-2.0
// Queue: start, and what changed routes or clocks ask for. All in batches that are short and whole.
#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "queue/core.h"
#include "queue/rows.h"
#include "queue/slice.h"

namespace hoplock::queue {

using disk::Durability;

namespace {

struct Started {
  std::int64_t last_id = 0;
  std::optional<Time> seen;
  std::vector<Id> drafts;
};

constexpr std::chrono::milliseconds longest_start{
    1'000};  // for each of the two looks that grow with the queue (BND-03)

Started take_up(disk::Tx& tx, Store& store) {
  Started started;
  started.last_id = store.mark(tx, "id").value_or(0);
  if (const auto seen = store.mark(tx, "seen")) started.seen = from_millis(*seen);
  {
    auto row = tx.prepare("SELECT max(id) FROM message");
    if (row.step() && !row.null(0)) started.last_id = std::max(started.last_id, row.integer(0));
  }
  {
    auto row = tx.prepare("SELECT id FROM draft");
    while (row.step()) started.drafts.push_back(Id{row.integer(0)});
  }
  return started;
}

// What an operator removed while it was under way, and whose lease ended with the last process. By domain, from this one on; where it
// came to, nothing at their end.
std::optional<std::int64_t> void_some(disk::Tx& tx, Store& store, std::int64_t after,
                                      const std::vector<Lease>& leased) {
  std::vector<std::int64_t> removed;
  std::optional<std::int64_t> last = after;
  {
    auto domains = tx.prepare("SELECT id FROM domain WHERE id > ?1 ORDER BY id");
    auto rows = tx.prepare("SELECT id FROM recipient WHERE domain = ?1 AND state = 6");
    domains.bind(after);
    const Slice slice;
    for (last.reset(); domains.step();) {
      for (rows.bind(domains.integer(0)); rows.step();) removed.push_back(rows.integer(0));
      if (!slice.over()) continue;
      last = domains.integer(0);
      break;
    }
  }
  for (const auto key : removed) {
    if (std::binary_search(leased.begin(), leased.end(), Lease{id_of_key(key), number_of_key(key)})) continue;
    tx.prepare("DELETE FROM recipient WHERE id = ?1").bind(key).run();
    remove_if_done(tx, store.places(), id_of_key(key));
  }
  return last;
}

}  // namespace

asio::awaitable<Result<>> Queue::Core::void_removed(Deadline until) {
  while (voided_to && std::chrono::steady_clock::now() < until) {
    auto leased = window.leases();
    std::sort(leased.begin(), leased.end());
    auto job = [shared = store, after = *voided_to,
                leased = std::move(leased)](disk::Tx& tx) -> Result<std::optional<std::int64_t>> {
      return void_some(tx, *shared, after, leased);
    };
    const auto done = co_await disk.run(Durability::relaxed, std::move(job));
    if (!done) co_return done.error();
    voided_to = *done;
  }
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::start(Time now) {
  Core& core = *core_;
  auto job = [store = core.store](disk::Tx& tx) -> Result<Started> { return take_up(tx, *store); };
  auto started = co_await core.disk.run(Durability::durable, std::move(job));
  if (!started) co_return started.error();
  core.last_id = std::max(core.last_id, started->last_id);
  for (const Id id : started->drafts) {
    auto drop = [id](disk::Tx& tx) -> Result<> {
      drop_draft(tx, id);
      return {};
    };
    auto dropped = co_await core.disk.run(Durability::relaxed, std::move(drop));
    // a damaged page under what nobody was told is stored keeps no mail back; the sweep tries again
    if (!dropped && dropped.error().code != errc::bad_message) co_return dropped.error();
  }
  if (started->seen && now < *started->seen) {
    auto done = co_await rebase(now);
    if (!done) co_return done.error();
  }
  // What is left of both is for reroute(), beside the deliveries.
  auto voided = co_await core.void_removed(std::chrono::steady_clock::now() + longest_start);
  if (!voided) co_return voided.error();
  co_return co_await core.reroute(now, std::chrono::steady_clock::now() + longest_start);
}

// --- routes ------------------------------------------------------------------------------------------------------------

namespace {

struct Routed {
  std::int64_t id = 0;
  dns::Name domain;
  std::string destination;
};

std::vector<Routed> domains_after(disk::Tx& tx, std::int64_t after) {
  std::vector<Routed> page;
  auto row = tx.prepare(
      "SELECT d.id, d.name, t.name FROM domain d JOIN destination t ON t.id = d.destination WHERE d.id > ?1 ORDER BY "
      "d.id LIMIT 1000");
  row.bind(after);
  while (row.step()) {
    auto name = dns::Name::parse(row.text(1));
    Routed routed;
    routed.id = row.integer(0);
    if (name) routed.domain = std::move(*name);
    routed.destination = row.text(2);
    page.push_back(std::move(routed));
  }
  return page;
}

constexpr std::int64_t hastened_at_once = 40;  // each a page of its own

// Those that are left, or of which more waits than was hastened.
std::vector<Routed> move_domains(disk::Tx& tx, Places& places, const std::vector<Routed>& moved, Time now) {
  std::vector<Routed> rest;
  places.forget();
  const Slice slice;
  for (const auto& routed : moved) {
    if (slice.over()) {
      rest.push_back(routed);
      continue;
    }
    const auto destination = places.destination(tx, routed.destination);
    std::int64_t old = 0;
    {
      auto row = tx.prepare("SELECT destination FROM domain WHERE id = ?1");
      if (!row.bind(routed.id).step()) continue;
      old = row.integer(0);
    }
    tx.prepare("UPDATE domain SET destination = ?2 WHERE id = ?1").bind(routed.id, destination).run();
    auto hastened = places.hasten(tx, routed.id, to_millis(now), hastened_at_once);
    while (hastened == Places::Hastened::some && !slice.over())
      hastened = places.hasten(tx, routed.id, to_millis(now), hastened_at_once);
    if (hastened == Places::Hastened::some) rest.push_back(routed);
    places.tidy_destination(tx, destination);
    places.tidy_destination(tx, old);
  }
  return rest;
}

}  // namespace

asio::awaitable<Result<>> Queue::reroute(Time now) {
  auto voided = co_await core_->void_removed(Core::Deadline::max());
  if (!voided) co_return voided.error();
  co_return co_await core_->reroute(now, Core::Deadline::max());
}

asio::awaitable<Result<>> Queue::Core::reroute(Time now, Deadline until) {
  Core& core = *this;
  core.window.drop_all();
  for (std::int64_t after = 0; std::chrono::steady_clock::now() < until;) {
    // Not as a read: it comes after the commits that were routed before.
    auto read = [after](disk::Tx& tx) -> Result<std::vector<Routed>> { return domains_after(tx, after); };
    auto page = co_await core.disk.run(Durability::relaxed, std::move(read));
    if (!page) co_return page.error();
    if (page->empty()) break;
    after = page->back().id;
    std::vector<Routed> moved;
    for (auto& routed : *page) {
      auto destination = core.route(routed.domain);
      if (destination == routed.destination) continue;
      routed.destination = std::move(destination);
      moved.push_back(std::move(routed));
    }
    while (!moved.empty() && std::chrono::steady_clock::now() < until) {
      auto job = [store = core.store, moved, now](disk::Tx& tx) -> Result<std::vector<Routed>> {
        return move_domains(tx, store->places(), moved, now);
      };
      auto rest = co_await core.disk.run(Durability::durable, std::move(job));
      if (!rest) co_return rest.error();
      moved = std::move(*rest);
    }
  }
  core.window.drop_all();  // what came in meanwhile under the old names
  core.window.forget_idle();
  co_return Result<>();
}

// --- the clock ---------------------------------------------------------------------------------------------------------

namespace {

// One domain: recipients due later than their own interval allows are due now.
std::int64_t rebase_domain(disk::Tx& tx, Places& places, std::int64_t after, std::int64_t now) {
  std::int64_t domain = 0;
  {
    auto row = tx.prepare("SELECT id FROM domain WHERE id > ?1 ORDER BY id LIMIT 1");
    if (!row.bind(after).step()) return 0;
    domain = row.integer(0);
  }
  for (const State state : {State::queued, State::deferred})
    tx.prepare(
          "UPDATE recipient SET due = ?3 WHERE domain = ?1 AND state = ?2 AND due > ?3 AND due - interval * 3 / 2 > ?3")
        .bind(domain, state, now)
        .run();
  places.tidy(tx, domain);
  return domain;
}

}  // namespace

asio::awaitable<Result<>> Queue::rebase(Time now) {
  Core& core = *core_;
  for (std::int64_t after = 0;;) {
    auto job = [store = core.store, after, at = to_millis(now)](disk::Tx& tx) -> Result<std::int64_t> {
      return rebase_domain(tx, store->places(), after, at);
    };
    auto domain = co_await core.disk.run(Durability::relaxed, std::move(job));
    if (!domain) co_return domain.error();
    if (*domain == 0) break;
    after = *domain;
  }
  auto finish = [store = core.store, at = to_millis(now)](disk::Tx& tx) -> Result<> {
    tx.prepare("UPDATE destination SET hold = ?1 WHERE hold - interval * 3 / 2 > ?1").bind(at).run();
    tx.prepare("UPDATE destination SET due = (SELECT min(due) FROM domain WHERE destination = destination.id)").run();
    store->forget();
    store->set_mark(tx, "seen", at);
    return {};
  };
  auto done = co_await core.disk.run(Durability::durable, std::move(finish));
  if (!done) co_return done.error();
  core.window.drop_all();
  core.window.forget_idle();
  co_return Result<>();
}

}  // namespace hoplock::queue
