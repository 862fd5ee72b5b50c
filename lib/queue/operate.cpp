// Queue: start, and what operators and changed routes or clocks ask for. All in batches that are short and whole.
#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "queue/act.h"
#include "queue/core.h"
#include "queue/select.h"

namespace hoplock::queue {

using disk::Durability;

namespace {

constexpr std::size_t page_rows = 10'000;    // of a read
constexpr std::size_t batch_messages = 512;  // of a change
constexpr std::size_t most_ids_told = 1000;

struct Started {
  std::int64_t last_id = 0;
  std::optional<Time> seen;
  std::vector<Id> drafts;
};

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
  std::vector<std::int64_t> removed;  // by an operator while they were under way: that lease is void
  {
    auto row = tx.prepare("SELECT r.id FROM domain d CROSS JOIN recipient r ON r.domain = d.id AND r.state = 6");
    while (row.step()) removed.push_back(row.integer(0));
  }
  for (const auto key : removed) {
    tx.prepare("DELETE FROM recipient WHERE id = ?1").bind(key).run();
    remove_if_done(tx, id_of_key(key));
  }
  return started;
}

}  // namespace

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
    if (!dropped) co_return dropped.error();
  }
  if (started->seen && now < *started->seen) {
    auto done = co_await rebase(now);
    if (!done) co_return done.error();
  }
  co_return co_await reroute();
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

void move_domains(disk::Tx& tx, Places& places, const std::vector<Routed>& moved) {
  places.forget();
  for (const auto& routed : moved) {
    const auto destination = places.destination(tx, routed.destination);
    std::int64_t old = 0;
    {
      auto row = tx.prepare("SELECT destination FROM domain WHERE id = ?1");
      if (!row.bind(routed.id).step()) continue;
      old = row.integer(0);
    }
    tx.prepare("UPDATE domain SET destination = ?2 WHERE id = ?1").bind(routed.id, destination).run();
    places.tidy_destination(tx, destination);
    places.tidy_destination(tx, old);
  }
}

}  // namespace

asio::awaitable<Result<>> Queue::reroute() {
  Core& core = *core_;
  core.window.drop_all();
  for (std::int64_t after = 0;;) {
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
    if (moved.empty()) continue;
    auto job = [store = core.store, moved = std::move(moved)](disk::Tx& tx) -> Result<> {
      move_domains(tx, store->places(), moved);
      return {};
    };
    auto done = co_await core.disk.run(Durability::durable, std::move(job));
    if (!done) co_return done.error();
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

// --- operators ---------------------------------------------------------------------------------------------------------

Act Queue::Core::planned(Action action, const Selection& selection, std::vector<Id> ids, Time now) {
  Act plan;
  plan.action = action;
  plan.selection.by = selection.by;
  plan.selection.domain = selection.domain;
  plan.selection.by_whom = selection.by_whom;
  for (const Id id : ids)
    for (const auto& lease : window.leases_of(id)) plan.leased.push_back(lease);
  std::sort(plan.leased.begin(), plan.leased.end());
  plan.ids = std::move(ids);
  plan.now = now;
  return plan;
}

void Queue::Core::acted(const asio::any_io_executor& loop, const Act& plan,
                        const std::vector<std::string>& destinations) {
  std::vector<Ready> due;
  for (const auto& destination : destinations) {
    Lane& lane = window.lane(destination);
    lane.next = at_once;
    ++lane.epoch;
    if (plan.action == Action::retry) lane.backoff.reset();
    if (!lane.held(plan.now)) due.push_back({destination, plan.now, lane.backoff});
  }
  announce(loop, std::move(due));
}

// While it is under way, the messages are in no window and are not leased anew; leases that stand are known to the job.
asio::awaitable<Result<Touched>> Queue::Core::act_on(std::shared_ptr<const Act> plan) {
  auto loop = co_await asio::this_coro::executor;
  auto job = [shared = store, plan](disk::Tx& tx) -> Result<Acted> { return shared->act(tx, *plan); };
  auto done = co_await disk.run(Durability::durable, std::move(job));
  window.thaw(plan->ids);
  announce_woken(loop, plan->now);
  if (!done) co_return done.error();
  acted(loop, *plan, done->destinations);
  co_return std::move(done->touched);
}

asio::awaitable<Result<Touched>> Queue::act(Action action, Selection selection, Time now) {
  Core& core = *core_;
  Touched all;
  std::vector<Id> ids = std::exchange(selection.ids, {});
  std::optional<Cursor> next;
  if (selection.by != Selection::By::ids) next = Cursor{-1, 0, 0};
  const bool collect = selection.by == Selection::By::domain;  // acting moves rows of the index that is read
  do {
    if (next) {
      auto read = [selection, from = *next](disk::Tx& tx) -> Result<Page> {
        return select_page(tx, selection, from, page_rows);
      };
      auto page = co_await core.disk.run(Durability::read, std::move(read));
      if (!page) co_return page.error();
      next = page->next;
      ids.insert(ids.end(), page->ids.begin(), page->ids.end());
      if (collect && next) continue;
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (std::size_t at = 0; at < ids.size(); at += batch_messages) {
      const auto from = ids.begin() + static_cast<std::ptrdiff_t>(at);
      std::vector<Id> batch(from, from + static_cast<std::ptrdiff_t>(std::min(batch_messages, ids.size() - at)));
      core.window.freeze(batch);
      auto plan = std::make_shared<const Act>(core.planned(action, selection, std::move(batch), now));
      auto touched = co_await core.act_on(std::move(plan));
      if (!touched) co_return touched.error();
      all.messages += touched->messages;
      all.recipients += touched->recipients;
      all.active += touched->active;
      const auto room = std::min(touched->ids.size(), most_ids_told - std::min(most_ids_told, all.ids.size()));
      all.ids.insert(all.ids.end(), touched->ids.begin(), touched->ids.begin() + static_cast<std::ptrdiff_t>(room));
    }
    ids.clear();
  } while (next);
  co_return all;
}

}  // namespace hoplock::queue
