// SPDX-License-Identifier: Apache-2.0
// Sessions that outlive their worker: where others of the same site wait for its place, the next worker there takes the session over, and saves
// a handshake where it may carry its mail (hop::may_carry). Each for a moment only.
#include <algorithm>
#include <utility>

#include "delivery/worker.h"

namespace hoplock::delivery {

namespace {
constexpr std::chrono::seconds longest_spare{1};
constexpr std::size_t most_spares = 64;
}  // namespace

// REQUIRES: the worker has a session, and ends.
void Scheduler::Impl::pass_on(DeliveryWorker& worker) {
  const SitePtr& site = worker.destination->site;
  const bool placed = worker.session->place && worker.at_site;
  if (!site || !placed || stopping_ || spares_.size() >= most_spares || !worker.session->client->usable() ||
      !is_wanted(worker))
    return;
  Spare spare;
  spare.site = site;
  spare.host = host_of(*worker.session);
  spare.at_site = std::exchange(worker.at_site, nullptr);
  spare.until = Steady::now() + longest_spare;
  spare.session = std::exchange(worker.session, std::nullopt);
  ++spare.site->spare;
  ++spare.host->spare;
  spares_.push_back(std::move(spare));
  gates_.there_is_room();
  if (spares_.front().until < asleep_until_) wake_.notify_all();
}

// Its places count as taken again.
Scheduler::Impl::Spare Scheduler::Impl::without_claim(std::deque<Spare>::iterator spare) {
  Spare taken = std::move(*spare);
  spares_.erase(spare);
  --taken.site->spare;
  --taken.host->spare;
  return taken;
}

// The new worker has a place at the site already; the spare's is free.
std::optional<OpenSession> Scheduler::Impl::take_spare(const SitePtr& site) {
  const auto found =
      std::find_if(spares_.begin(), spares_.end(), [&](const Spare& spare) { return spare.site == site; });
  if (found == spares_.end() || Steady::now() >= found->until) return std::nullopt;
  Spare spare = without_claim(found);
  return std::move(spare.session);
}

// Somebody has a place there without a session: one that has nothing to do goes at once, so that there are not too many.
void Scheduler::Impl::make_room_among_spares(const Gate& gate) {
  while (gate.must_spare()) {
    const auto found = std::find_if(spares_.begin(), spares_.end(), [&](const Spare& spare) {
      return spare.site.get() == &gate || spare.host.get() == &gate;
    });
    if (found == spares_.end()) return;
    without_claim(found);  // and closed
  }
}

// Nobody came for them.
void Scheduler::Impl::drop_spares() {
  while (!spares_.empty() && (stopping_ || Steady::now() >= spares_.front().until)) {
    Spare spare = without_claim(spares_.begin());
    tasks_.spawn("quit", quit(std::move(*spare.session)));
  }
}

asio::awaitable<void> Scheduler::Impl::quit(OpenSession session) { co_await session.client->quit(); }

}  // namespace hoplock::delivery
