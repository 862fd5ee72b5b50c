// SPDX-License-Identifier: Apache-2.0
// Queue: ends of leases come to stable storage.
#include <boost/asio/this_coro.hpp>

#include "queue/queue_impl.h"

namespace hoplock::queue {

std::vector<RoutedNotice> Queue::Core::place(std::vector<Notice> notices, Time now) {
  std::vector<RoutedNotice> placed;
  for (Notice& notice : notices) {
    RoutedNotice one;
    one.id = next_id(now);
    one.destination = route(notice.recipient.domain);
    one.notice = std::move(notice);
    placed.push_back(std::move(one));
  }
  return placed;
}

std::vector<std::uint32_t> Queue::Core::unnamed(const Settled& settled) const {
  auto all = ready_queue.leased_at(settled.destination, settled.id);
  if (all.size() == settled.recipients.size()) return {};
  std::unordered_set<std::uint32_t> named;
  for (const auto& one : settled.recipients) named.insert(one.seq);
  std::erase_if(all, [&](std::uint32_t seq) { return named.contains(seq); });
  return all;
}

asio::awaitable<Result<>> Queue::Core::drop_draft(Id id, Deadline until) {
  do {
    const auto more = co_await mail.discard_some(id);
    if (!more) co_return more.error();
    if (*more == More::no) co_return Result<>();
  } while (std::chrono::steady_clock::now() < until);
  co_return Result<>();
}

asio::awaitable<void> Queue::Core::drop_left(std::vector<Id> ids) {
  for (const Id id : ids) {
    const auto dropped = co_await drop_draft(id, Deadline::max());
    if (!dropped)
      left = fail(errc::io_error, "what is left of the removed message " + id.text() + " stays in " + mail.name() +
                                      ", its pages are damaged: " + dropped.error().detail);
  }
}

asio::awaitable<Result<Queue::GivenUp>> Queue::apply(Results results) {
  Core& core = *core_;
  auto loop = co_await asio::this_coro::executor;
  auto routed = std::make_shared<RoutedResults>();
  routed->notices = core.place(std::exchange(results.notices, {}), results.now);
  for (const Settled& settled : results.settled) routed->unnamed.push_back(core.unnamed(settled));
  routed->results = std::move(results);
  auto applied = co_await core.mail.settle(routed);
  if (!applied) co_return applied.error();
  const Results& done = routed->results;
  for (const auto& settled : done.settled) {
    DestinationQueue& queued = core.ready_queue.of(settled.destination);
    const auto leased = core.ready_queue.release(queued, settled.destination, settled.id);
    if (leased > settled.recipients.size()) {
      queued.next = no_earlier_bound;
      queued.back = true;
    }
    for (const auto& recipient : settled.recipients)
      if (recipient.verdict == Verdict::deferred) queued.next = std::min(queued.next, recipient.due);
  }
  for (const auto& change : done.destinations) core.ready_queue.of(change.destination).backoff = change.backoff;
  for (auto& noticed : applied->notices) core.enqueued(std::move(noticed.enqueued), noticed.draft);
  core.announce_woken(loop, done.now);
  if (!applied->lost.empty() && core.lost) core.lost(std::move(applied->lost));
  if (!applied->left.empty()) co_await core.drop_left(std::move(applied->left));
  co_return std::move(applied->given_up);
}

}  // namespace hoplock::queue
