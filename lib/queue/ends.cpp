// SPDX-License-Identifier: Apache-2.0
// Queue: ends of leases come to stable storage. Where a page under some body is damaged, SQLite gives up each transaction that met it;
// then all is stored without touching a body, and what was to go with it goes apart.
#include <boost/asio/this_coro.hpp>

#include "queue/core.h"
#include "queue/rows.h"

namespace hoplock::queue {

using disk::Durability;

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

asio::awaitable<Result<std::vector<EnqueuedNotice>>> Queue::Core::apply_once(ApplyingPtr applying) {
  const std::size_t bytes = applying->results.settled.size() * 512;
  auto job = [shared = store, applying](disk::Tx& tx) -> Result<std::vector<EnqueuedNotice>> {
    return shared->apply(tx, *applying);
  };
  co_return co_await disk.run(Durability::durable, bytes, std::move(job));
}

// Whether a page under it is: what SQLite can read and does not fit its checksum does no harm to a transaction.
asio::awaitable<Result<bool>> Queue::Core::is_damaged(Id id) {
  for (std::uint32_t n = 0; n < max_chunks; ++n) {
    auto job = [id, n](disk::Tx& tx) -> Result<bool> {
      return tx.prepare("SELECT data FROM chunk WHERE id = ?1").bind(first_key(id) | n).step();
    };
    const auto there = co_await disk.run(Durability::read, std::move(job));
    if (!there && there.error().code == errc::bad_message) co_return true;
    if (!there) co_return there.error();
    if (!*there) break;
  }
  co_return false;
}

asio::awaitable<Result<Queue::Core::ApplyingPtr>> Queue::Core::with_damage(ApplyingPtr applying) {
  auto careful = std::make_shared<Store::Applying>(*applying);
  careful->bodies = Bodies::apart;
  for (RoutedNotice& placed : careful->notices) {
    const auto found = co_await is_damaged(placed.notice.about);
    if (!found) co_return found.error();
    if (*found) placed.original = RoutedNotice::Original::damaged;
  }
  co_return ApplyingPtr(std::move(careful));
}

asio::awaitable<Result<>> Queue::Core::drop_draft(Id id, Deadline until) {
  do {
    auto job = [id](disk::Tx& tx) -> Result<disk::More> { return drop_part_of_draft(tx, id); };
    const auto more = co_await disk.run(Durability::relaxed, std::move(job));
    if (!more) co_return more.error();
    if (*more == disk::More::no) co_return Result<>();
  } while (std::chrono::steady_clock::now() < until);
  co_return Result<>();
}

asio::awaitable<void> Queue::Core::drop_left(std::vector<Id> ids) {
  for (const Id id : ids) {
    const auto dropped = co_await drop_draft(id, Deadline::max());
    if (!dropped)
      left = fail(errc::io_error, "what is left of the removed message " + id.text() + " stays in " +
                                      disk.path().string() + ", its pages are damaged: " + dropped.error().detail);
  }
}

asio::awaitable<Result<>> Queue::apply(Results results) {
  Core& core = *core_;
  auto loop = co_await asio::this_coro::executor;
  auto first = std::make_shared<Store::Applying>();
  first->notices = core.place(std::exchange(results.notices, {}), results.now);
  for (const Settled& settled : results.settled) first->unnamed.push_back(core.unnamed(settled));
  first->results = std::move(results);
  Core::ApplyingPtr applying = std::move(first);
  auto applied = co_await core.apply_once(applying);
  if (!applied && applied.error().code == errc::bad_message) {
    auto careful = co_await core.with_damage(applying);
    if (!careful) co_return careful.error();
    applying = std::move(*careful);
    applied = co_await core.apply_once(applying);
  }
  if (!applied) co_return applied.error();
  const Results& done = applying->results;
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
  for (auto& noticed : *applied) core.enqueued(std::move(noticed.enqueued), noticed.draft);
  core.announce_woken(loop, done.now);
  if (applying->bodies == Bodies::along) co_return Result<>();
  std::vector<Id> ids;
  for (const auto& settled : done.settled) ids.push_back(settled.id);
  co_await core.drop_left(std::move(ids));
  co_return Result<>();
}

}  // namespace hoplock::queue
