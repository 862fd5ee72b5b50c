// SPDX-License-Identifier: Apache-2.0
// Queue: start, and what changed routes or clocks ask for. All in batches that are short and whole.
#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "queue/queue_impl.h"

namespace hoplock::queue {

namespace {

// For all looks that grow with what is kept (BND-03); each may go on until that many of the parts are over.
constexpr std::chrono::milliseconds longest_start{2'000};
constexpr int parts_of_start = 4;

}  // namespace

// What an operator removed while it was under way, and whose lease ended with the last process.
asio::awaitable<Result<>> Queue::Core::void_removed(Deadline until) {
  while (voiding && std::chrono::steady_clock::now() < until) {
    auto leased = ready_queue.leases();
    const auto more = co_await mail.void_some(std::move(leased));
    if (!more) co_return more.error();
    voiding = *more == More::yes;
  }
  co_return Result<>();
}

void Queue::Core::take_up(const Recovered& recovered) {
  last_id = std::max(last_id, recovered.last_id);
  slot = recovered.slot;
  slots = recovered.slots;
}

// What was leased in an earlier term may be anybody's by now.
asio::awaitable<Result<>> Queue::Core::renew() {
  const std::int64_t now = mail.lease_term();
  if (now == 0)
    co_return fail(errc::device_or_resource_busy, "the leases on mail in " + mail.name() + " are not renewed");
  if (now == term) co_return Result<>();
  ready_queue.drop_all();
  ready_queue.forget_idle();
  auto recovered = co_await mail.recover();
  if (!recovered) co_return recovered.error();
  take_up(*recovered);
  term = now;
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::start(Time now) {
  Core& core = *core_;
  const std::int64_t term = core.mail.lease_term();
  auto started = co_await core.mail.recover();
  if (!started) co_return started.error();
  core.term = term;
  core.take_up(*started);
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
  auto rerouted = co_await core.reroute(now, until(4));
  core.started = rerouted.has_value();
  co_return rerouted;
}

// --- clocks ------------------------------------------------------------------------------------------------------------

asio::awaitable<Result<>> Queue::Core::begin_rebase(Time now) {
  auto begun = co_await mail.begin_rebase(now);
  if (begun) rebasing = true;
  co_return begun;
}

asio::awaitable<Result<>> Queue::Core::rebase(Deadline until) {
  if (!rebasing) co_return Result<>();
  while (rebasing && std::chrono::steady_clock::now() < until) {
    const auto more = co_await mail.rebase_some();
    if (!more) co_return more.error();
    rebasing = *more == More::yes;
  }
  ready_queue.drop_all();
  ready_queue.forget_idle();
  co_return Result<>();
}

asio::awaitable<Result<>> Queue::rebase(Time now) {
  auto begun = co_await core_->begin_rebase(now);
  if (!begun) co_return begun;
  co_return co_await core_->rebase(Core::Deadline::max());
}

// --- routes ------------------------------------------------------------------------------------------------------------

// Where more waited than was hastened when it was moved.
asio::awaitable<Result<>> Queue::Core::hasten_rest(Deadline until) {
  for (auto more = More::yes; more == More::yes && std::chrono::steady_clock::now() < until;) {
    const auto done = co_await mail.hasten_some();
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
    auto page = co_await core.mail.domains(after);
    if (!page) co_return page.error();
    if (page->empty()) break;
    after = page->back().id;
    std::vector<RoutedDomain> moved;
    for (auto& routed : *page) {
      auto destination = core.route(routed.domain);
      if (destination == routed.destination) continue;
      routed.destination = std::move(destination);
      moved.push_back(std::move(routed));
    }
    while (!moved.empty() && std::chrono::steady_clock::now() < until) {
      auto rest = co_await core.mail.reroute(std::move(moved), now);
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
