// Sessions that outlive their lane: where others of the same site wait for its place, the next lane there takes the session over, and saves
// a handshake where it may carry its mail (hop::may_carry). Each for a moment only.
#include <algorithm>
#include <utility>

#include "delivery/lane.h"

namespace hoplock::delivery {

namespace {
constexpr std::chrono::seconds longest_spare{1};
constexpr std::size_t most_spares = 64;
}  // namespace

// REQUIRES: the lane has a session, and ends.
void Scheduler::Impl::pass_on(Lane& lane) {
  const SitePtr& site = lane.destination->site;
  if (!site || stopping_ || spares_.size() >= most_spares || !lane.session->client->usable() || !is_wanted(lane))
    return;
  Spare spare;
  spare.site = site;
  spare.until = Steady::now() + longest_spare;
  spare.session = std::exchange(lane.session, std::nullopt);
  spare.session->place.reset();  // whoever takes it over takes the place
  spares_.push_back(std::move(spare));
  if (spares_.front().until < asleep_until_) wake_.notify_all();
}

std::optional<OpenSession> Scheduler::Impl::take_spare(const SitePtr& site) {
  const auto found =
      std::find_if(spares_.begin(), spares_.end(), [&](const Spare& spare) { return spare.site == site; });
  if (found == spares_.end() || Steady::now() >= found->until) return std::nullopt;
  const GatePtr host = gates_.host(found->session->ip);
  if (host->is_full()) return std::nullopt;
  std::optional<OpenSession> session = std::move(found->session);
  spares_.erase(found);
  session->place = gates_.use(host);
  return session;
}

// Nobody came for them. When the next one will have waited long enough.
void Scheduler::Impl::drop_spares() {
  while (!spares_.empty() && (stopping_ || Steady::now() >= spares_.front().until)) {
    tasks_.spawn("quit", quit(std::move(spares_.front().session->client)));
    spares_.pop_front();
  }
}

asio::awaitable<void> Scheduler::Impl::quit(std::unique_ptr<Client> client) { co_await client->quit(); }

}  // namespace hoplock::delivery
