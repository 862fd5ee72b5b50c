// SPDX-License-Identifier: Apache-2.0
// Queue: start, and what changed routes or clocks ask for. All in batches that are short and whole.
#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "queue/core.h"
#include "queue/marks.h"
#include "queue/rows.h"
#include "queue/slice.h"

namespace hoplock::queue {

using disk::Durability;

namespace {

struct Started {
  std::int64_t last_id = 0;
  std::optional<Time> seen;
  bool rebasing = false;  // the last process did not come to the end of it
  std::vector<Id> drafts;
};

// For all looks that grow with what is kept (BND-03); each may go on until that many of the parts are over.
constexpr std::chrono::milliseconds longest_start{2'000};
constexpr int parts_of_start = 4;
constexpr int most_drafts = 1'000;  // the sweep finds the others

Result<Started> recover(disk::Tx& tx) {
  Started started;
  started.last_id = read_mark(tx, "id").value_or(0);
  if (const auto seen = read_mark(tx, "seen")) started.seen = from_millis(*seen);
  {
    auto row = tx.prepare("SELECT max(id) FROM message");
    if (row.step() && !row.null(0)) started.last_id = std::max(started.last_id, row.integer(0));
  }
  started.rebasing = read_mark(tx, rebase_mark).value_or(0) != 0;
  {
    auto row = tx.prepare("SELECT id FROM draft LIMIT ?1");
    for (row.bind(most_drafts); row.step();) started.drafts.push_back(Id{row.integer(0)});
  }
  return started;
}

struct Voiding {
  std::int64_t after = 0;     // of the domains
  std::vector<Lease> leased;  // sorted
  Bodies bodies = Bodies::along;
};

constexpr std::size_t voided_at_once = 16;

// What an operator removed while it was under way, and whose lease ended with the last process. By domain, from this one on; where it
// came to, nothing at their end.
std::optional<std::int64_t> void_some(disk::Tx& tx, Places& places, const Voiding& from) {
  std::vector<std::int64_t> removed;
  std::optional<std::int64_t> last;
  {
    auto domains = tx.prepare("SELECT id FROM domain WHERE id > ?1 ORDER BY id");
    auto rows = tx.prepare("SELECT id FROM recipient WHERE domain = ?1 AND state = 6");
    const Slice slice;
    for (domains.bind(from.after); !last && domains.step();) {
      for (rows.bind(domains.integer(0)); removed.size() < voided_at_once && rows.step();) {
        const Lease lease{id_of_key(rows.integer(0)), number_of_key(rows.integer(0))};
        if (!std::binary_search(from.leased.begin(), from.leased.end(), lease)) removed.push_back(rows.integer(0));
      }
      if (removed.size() >= voided_at_once)
        last = domains.integer(0) - 1;  // it may have more
      else if (slice.over())
        last = domains.integer(0);
    }
  }
  for (const auto key : removed) {
    tx.prepare("DELETE FROM recipient WHERE id = ?1").bind(key).run();
    remove_if_done(tx, places, id_of_key(key), from.bodies);
  }
  return last;
}

}  // namespace

asio::awaitable<Result<>> Queue::Core::void_removed(Deadline until) {
  while (voided_to && std::chrono::steady_clock::now() < until) {
    auto from = std::make_shared<Voiding>();
    from->after = *voided_to;
    from->leased = ready_queue.leases();  // sorted
    auto job = [shared = store, from](disk::Tx& tx) -> Result<std::optional<std::int64_t>> {
      return void_some(tx, shared->places(), *from);
    };
    auto done = co_await disk.run(Durability::relaxed, job);
    if (!done && done.error().code == errc::bad_message) {  // a page under a body: the sweep drops what it can of it
      from->bodies = Bodies::apart;
      done = co_await disk.run(Durability::relaxed, std::move(job));
    }
    if (!done) co_return done.error();
    voided_to = *done;
  }
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::start(Time now) {
  Core& core = *core_;
  auto started = co_await core.disk.run(Durability::durable, recover);
  if (!started) co_return started.error();
  core.last_id = std::max(core.last_id, started->last_id);
  const auto until = [began = std::chrono::steady_clock::now()](int parts) {
    return began + longest_start * parts / parts_of_start;
  };
  for (const Id id : started->drafts) {
    if (std::chrono::steady_clock::now() >= until(1)) break;
    const auto dropped = co_await core.drop_draft(id, until(1));
    // a damaged page under what nobody was told is stored keeps no mail back; the sweep tries again
    if (!dropped && dropped.error().code != errc::bad_message) co_return dropped.error();
  }
  // What is left of the rest is for reroute(), beside the deliveries.
  if (started->rebasing || (started->seen && now < *started->seen)) {
    auto begun = co_await core.begin_rebase(now);
    if (begun) begun = co_await core.rebase(until(2));
    if (!begun) co_return begun.error();
  }
  auto voided = co_await core.void_removed(until(3));
  if (!voided) co_return voided.error();
  co_return co_await core.reroute(now, until(4));
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
  for (const Slice slice; row.step() && (page.empty() || !slice.over());) {
    auto name = dns::Name::parse(row.text(1));
    Routed routed;
    routed.id = row.integer(0);
    if (name) routed.domain = std::move(*name);
    routed.destination = row.text(2);
    page.push_back(std::move(routed));
  }
  return page;
}

// Those that are left.
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
    places.hasten_moved(tx, routed.id, to_millis(now));
    places.tidy_destination(tx, destination);
    places.tidy_destination(tx, old);
  }
  return rest;
}

}  // namespace

// Where more waited than was hastened when it was moved.
asio::awaitable<Result<>> Queue::Core::hasten_rest(Deadline until) {
  for (auto more = disk::More::yes; more == disk::More::yes && std::chrono::steady_clock::now() < until;) {
    auto job = [shared = store](disk::Tx& tx) -> Result<disk::More> { return shared->places().hasten_rest(tx); };
    const auto done = co_await disk.run(Durability::relaxed, std::move(job));
    if (!done) co_return done.error();
    more = *done;
  }
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::reroute(Time now) {
  auto rebased = co_await core_->rebase(Core::Deadline::max());
  if (!rebased) co_return rebased.error();
  auto voided = co_await core_->void_removed(Core::Deadline::max());
  if (!voided) co_return voided.error();
  co_return co_await core_->reroute(now, Core::Deadline::max());
}

asio::awaitable<Result<>> Queue::Core::reroute(Time now, Deadline until) {
  Core& core = *this;
  core.ready_queue.drop_all();
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
  auto hastened = co_await core.hasten_rest(until);
  if (!hastened) co_return hastened.error();
  core.ready_queue.drop_all();  // what came in meanwhile under the old names
  core.ready_queue.forget_idle();
  co_return Result<>();
}

}  // namespace hoplock::queue
