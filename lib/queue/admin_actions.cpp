// SPDX-License-Identifier: Apache-2.0
// Queue: what operators ask for, in batches that are short and whole. While one is under way, its messages are not in memory and are not
// leased anew; leases that stand are known to it.
#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "queue/queue_impl.h"

namespace hoplock::queue {

namespace {

constexpr std::size_t page_rows = 10'000;    // of a read
constexpr std::size_t batch_messages = 512;  // of a change
constexpr std::size_t most_ids_told = 1000;
// That a node's ids may run before the clock: one more minute whenever a process takes over a slot that another has just left.
constexpr std::chrono::minutes ids_ahead{60};

void add(Affected& sum, const Affected& affected) {
  sum.messages += affected.messages;
  sum.recipients += affected.recipients;
  sum.active += affected.active;
  const auto room = std::min(affected.ids.size(), most_ids_told - std::min(most_ids_told, sum.ids.size()));
  sum.ids.insert(sum.ids.end(), affected.ids.begin(), affected.ids.begin() + static_cast<std::ptrdiff_t>(room));
}

}  // namespace

struct Queue::Core::Order {
  Action action = Action::retry;
  Selection selection;  // without ids
  Time now;
  Follow follow;
  Affected sum;
};

std::vector<Lease> Queue::Core::leases_of(const std::vector<Id>& ids) const {
  std::vector<Lease> leased;
  for (const Id id : ids)
    for (const auto& lease : ready_queue.leases_of(id)) leased.push_back(lease);
  std::sort(leased.begin(), leased.end());
  return leased;
}

void Queue::Core::acted(const asio::any_io_executor& loop, const AdminBatch& plan,
                        const std::vector<std::string>& destinations) {
  std::vector<Ready> due;
  for (const auto& destination : destinations) {
    DestinationQueue& queued = ready_queue.of(destination);
    queued.next = no_earlier_bound;
    ++queued.epoch;
    if (plan.action == Action::retry) queued.backoff.reset();
    if (!queued.held(plan.now)) due.push_back({destination, plan.now, queued.backoff});
  }
  announce(loop, std::move(due));
}

asio::awaitable<Result<>> Queue::Core::act_on(std::shared_ptr<Order> order, std::vector<Id> ids) {
  auto loop = co_await asio::this_coro::executor;
  ready_queue.freeze(ids);
  auto plan = std::make_shared<AdminBatch>();
  plan->action = order->action;
  plan->selection = order->selection;
  plan->leased = leases_of(ids);
  plan->ids = std::move(ids);
  plan->now = order->now;
  auto done = co_await mail.act(plan);
  if (done && !done->left.empty()) co_await drop_left(std::move(done->left));
  ready_queue.thaw(plan->ids);
  announce_woken(loop, plan->now);
  if (!done) co_return done.error();
  if (order->follow.done && done->affected.messages > 0) order->follow.done(done->affected);
  acted(loop, *plan, done->destinations);
  add(order->sum, done->affected);
  if (order->follow.progress) co_await order->follow.progress(order->sum.messages);
  co_return Result<>();
}

asio::awaitable<Result<Affected>> Queue::act(Action action, Selection selection, Time now, Follow follow) {
  auto order = std::make_shared<Core::Order>();
  order->action = action;
  order->selection = selection;
  order->selection.ids.clear();
  order->now = now;
  order->follow = std::move(follow);
  Batch call = [core = core_.get(), order](std::vector<Id> ids) { return core->act_on(order, std::move(ids)); };
  auto done = co_await in_batches(std::move(selection), batch_messages, now, std::move(call));
  if (!done) co_return done.error();
  co_return std::move(order->sum);
}

asio::awaitable<Result<>> Queue::wake(std::string destination, Wake wake) {
  Core& core = *core_;
  auto loop = co_await asio::this_coro::executor;
  const Time now = wake.now;
  std::string woken = destination;
  auto known = co_await core.mail.wake(std::move(woken), std::move(wake));
  if (!known) co_return known.error();
  if (!*known) co_return Result<>();
  DestinationQueue& queued = core.ready_queue.of(destination);
  queued.next = no_earlier_bound;
  ++queued.epoch;
  if (queued.backoff) queued.backoff->until = std::min(queued.backoff->until, now);
  std::vector<Ready> due;
  due.push_back({destination, now, queued.backoff});
  core.announce(loop, std::move(due));
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::wake_told(std::function<bool(std::string_view)> says_so, Time now) {
  Core& core = *core_;
  auto woken = co_await core.mail.wake_told(std::move(says_so), now);
  if (!woken) co_return woken;
  core.ready_queue.drop_all();
  core.ready_queue.forget_idle();
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::in_batches(Selection selection, std::size_t messages, Time now, Batch call) {
  Core& core = *core_;
  // what came when it had begun is not meant: of our own ids the later ones; other nodes give out ids, too, ahead of the clock
  const Id own{core.last_id};
  const Id newest{core.slots > 1 ? std::max(own.value, Id::at(now + ids_ahead).value) : own.value};
  const bool named = selection.by == Selection::By::ids;
  const auto came_later = [own, newest, named, slots = core.slots, slot = core.slot](Id id) {
    return !named && (id > newest || (id > own && id.value % slots == slot));
  };
  std::vector<Id> ids = std::exchange(selection.ids, {});
  std::optional<SelectionCursor> next;
  if (selection.by != Selection::By::ids) next = SelectionCursor{};
  const bool collect = selection.by == Selection::By::domain;  // acting moves rows of the index that is read
  do {
    if (next) {
      auto page = co_await core.mail.select(selection, *next, page_rows);
      if (!page) co_return page.error();
      next = page->next;
      ids.insert(ids.end(), page->ids.begin(), page->ids.end());
      if (collect && next) continue;
      if (!collect && next && next->key >= newest.value) next.reset();
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    std::erase_if(ids, came_later);
    for (std::size_t at = 0; at < ids.size(); at += messages) {
      const auto from = ids.begin() + static_cast<std::ptrdiff_t>(at);
      std::vector<Id> batch(from, from + static_cast<std::ptrdiff_t>(std::min(messages, ids.size() - at)));
      auto done = co_await call(std::move(batch));
      if (!done) co_return done.error();
    }
    ids.clear();
  } while (next);
  co_return Result<>();
}

asio::awaitable<Result<LeasedBySelection>> Queue::pick(Selection selection, std::vector<Id> ids, Time now) {
  Core& core = *core_;
  auto loop = co_await asio::this_coro::executor;
  core.ready_queue.freeze(ids);
  auto leased = core.leases_of(ids);
  const std::int64_t term = core.mail.lease_term();
  auto picked = co_await core.mail.pick(std::move(selection), ids, std::move(leased));
  core.ready_queue.thaw(ids);
  if (picked) {
    const auto found = picked->jobs.size();
    picked->jobs =
        Core::stamped(core.ready_queue.lease(core.ready_queue.of(std::string()), std::move(picked->jobs)), term);
    picked->active += found - picked->jobs.size();  // in another order's hands
  }
  core.announce_woken(loop, now);
  co_return picked;
}

}  // namespace hoplock::queue
