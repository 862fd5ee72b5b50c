// SPDX-License-Identifier: Apache-2.0
// The scheduler's part of `hoplock queue bounce`: leases what an operator selected, and ends it by the ordinary way of results.
#include <utility>

#include "delivery/scheduling.h"

namespace hoplock::delivery {

namespace {

constexpr std::size_t batch_messages = 64;
constexpr std::uint64_t most_returned = 16U << 20U;  // octets of messages that go back whole, in one transaction

}  // namespace

struct Scheduler::Impl::Bounce {
  store::Selection selection;  // without ids
  queue::Queue::Progress progress;
  store::Affected sum;
};

asio::awaitable<Result<>> Scheduler::Impl::bounce_batch(Self self, std::shared_ptr<Bounce> order,
                                                        std::vector<store::Id> ids) {
  if (self->stopping_) co_return fail(errc::operation_canceled, "the daemon is stopping");
  co_await self->committer_.wait_for_capacity();
  auto picked = co_await self->queue_.pick(order->selection, std::move(ids), self->now());
  if (!picked) co_return picked.error();
  ResultCommitter::Sequence sequence = 0;
  std::uint64_t returned = 0;
  for (const store::Job& job : picked->jobs) {
    sequence = self->put(bounced_by_operator(order->selection.by_whom, job, self->now(), self->schedule()));
    if (job.envelope.ret == store::Ret::full) returned += job.size;
    if (returned < most_returned) continue;
    returned = 0;
    co_await self->committer_.wait_committed(sequence);
  }
  co_await self->committer_.wait_committed(sequence);
  if (!self->committer_.is_committed(sequence)) co_return fail(errc::operation_canceled, "the daemon is stopping");
  for (const store::Job& job : picked->jobs) order->sum.recipients += job.recipients.size();
  order->sum.messages += picked->jobs.size();
  order->sum.active += picked->active;
  if (order->progress) co_await order->progress(order->sum.messages);
  co_return Result<>();
}

asio::awaitable<Result<store::Affected>> Scheduler::Impl::bounce(Self self, store::Selection selection,
                                                                 queue::Queue::Progress progress) {
  auto order = std::make_shared<Bounce>();
  order->selection = selection;
  order->selection.ids.clear();
  order->progress = std::move(progress);
  queue::Queue::Batch call = [self, order](std::vector<store::Id> ids) {
    return bounce_batch(self, order, std::move(ids));
  };
  auto done = co_await self->queue_.in_batches(std::move(selection), batch_messages, self->now(), std::move(call));
  if (!done) co_return done.error();
  co_return std::move(order->sum);
}

}  // namespace hoplock::delivery
