// SPDX-License-Identifier: Apache-2.0
#include "delivery/concurrency.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {
constexpr double setups_kept = 5, least_keepalive_ms = 50, most_keepalive_ms = 1000;
constexpr std::size_t stuck_share = 2, stuck_share_of_owner = 10;  // of all workers, one in so many
constexpr std::size_t most_past_knock = 3;  // workers of a destination that was down, while its first message hangs
constexpr std::size_t working_share = 4;    // of all workers, one in so many works at least while destinations wait
}  // namespace

ActiveDestinationPtr ConcurrencyLimits::active(const std::string& name) const {
  const auto found = active_.find(name);
  return found == active_.end() ? nullptr : found->second;
}

bool ConcurrencyLimits::add(Waiting ready) {
  if (names_waiting_.contains(ready.destination)) return true;
  if (gates_ != nullptr && gates_->is_parked(ready.destination)) return true;
  if (waiting_.size() >= most_waiting) return false;
  if (ready.place == 0) ready.place = ++places_;
  names_waiting_.insert(ready.destination);
  line_up(waiting_, std::move(ready));
  return true;
}

bool ConcurrencyLimits::park(const GatePtr& gate, Waiting ready) {
  if (ready.place == 0) ready.place = ++places_;
  return gates_->park(gate, std::move(ready));
}

ActiveDestinationPtr ConcurrencyLimits::next() {
  // Also while all workers are taken: for whom there is room at the gate waits for a worker here, and idle sessions give way.
  if (gates_ != nullptr && (!is_full() || waiting_.empty())) {
    for (Waiting& one : gates_->take_ready()) {
      if (names_waiting_.insert(one.destination).second) line_up(waiting_, std::move(one));
    }
  }
  while (!waiting_.empty() && !is_full()) {
    Waiting ready = std::move(waiting_.front());
    waiting_.pop_front();
    names_waiting_.erase(ready.destination);
    if (active_.contains(ready.destination)) continue;
    const GatePtr closed = gates_ != nullptr ? gates_->closed_to(ready.destination) : nullptr;
    if (closed) {
      make_room(*closed);
      gates_->park(closed, std::move(ready));  // what there is no room for is in the queue
      continue;
    }
    auto destination = std::make_shared<ActiveDestination>();
    destination->name = ready.destination;
    destination->place = ready.place;
    destination->backoff = std::move(ready.backoff);
    active_.emplace(std::move(ready.destination), destination);
    return destination;
  }
  return nullptr;
}

void ConcurrencyLimits::worker_came(ActiveDestination& destination) {
  ++workers_;
  ++destination.workers;
}

bool ConcurrencyLimits::worker_left(ActiveDestination& destination) {
  --workers_;
  if (--destination.workers > 0) return false;
  const auto found = active_.find(destination.name);
  if (found != active_.end() && found->second.get() == &destination) active_.erase(found);
  return true;
}

std::size_t ConcurrencyLimits::crowd() const {
  return (is_full() ? waiting_.size() : 0) + (gates_ != nullptr ? gates_->waiting_unproven() : 0);
}

std::vector<const BusyWorker*> ConcurrencyLimits::stuck_too_many(net::SteadyTime now) const {
  std::size_t wanted = crowd();
  if (wanted == 0) return {};
  std::vector<const BusyWorker*> stuck, chosen;
  std::map<std::string, std::size_t> of_owner;
  for (const auto& [name, destination] : active_) {
    for (const BusyWorker* worker : destination->busy) {
      if (worker->access != nullptr && worker->access->gives_way.is_made()) {
        wanted -= std::min<std::size_t>(wanted, 1);
      } else if (now >= worker->began + destination->stuck_after()) {
        stuck.push_back(worker);
        ++of_owner[owner_of(name)];
      }
    }
  }
  std::sort(stuck.begin(), stuck.end(), [](const BusyWorker* a, const BusyWorker* b) { return a->began < b->began; });
  const std::size_t most = std::max<std::size_t>(1, sessions_ / stuck_share);
  const std::size_t most_of_owner = std::max<std::size_t>(1, sessions_ / stuck_share_of_owner);
  std::size_t left = stuck.size();
  for (const BusyWorker* worker : stuck) {
    if (chosen.size() >= wanted) break;
    std::size_t& owned = of_owner[owner_of(worker->at->name)];
    if (left <= most && owned <= most_of_owner) continue;
    --left;
    --owned;
    chosen.push_back(worker);
  }
  return chosen;
}

std::vector<ActiveDestinationPtr> ConcurrencyLimits::all() const {
  std::vector<ActiveDestinationPtr> destinations;
  for (const auto& [name, destination] : active_) destinations.push_back(destination);
  return destinations;
}

bool ConcurrencyLimits::may_grow(const ActiveDestination& destination, Why why) const {
  const SitePtr& site = destination.site;
  if (site && (site->is_closed(Gates::Clock::now()) || !site->waiting.empty())) return false;
  if (destination.backoff && (why == Why::backlog || destination.workers >= most_past_knock)) return false;
  return !destination.held && destination.connected > 0 && waiting_.empty() && !is_full() &&
         destination.workers < std::min(per_destination_, destination.most);
}

// Of each that has workers there, and of each that waits. A host's are counted by the site that they share.
std::size_t ConcurrencyLimits::share_at(const Gate& gate, const SitePtr& site) const {
  const auto here =
      std::count_if(active_.begin(), active_.end(), [&](const auto& one) { return one.second->site == site; });
  const std::size_t all = static_cast<std::size_t>(here) + gate.waiting.size();
  return std::max<std::size_t>(1, gate.sessions() / std::max<std::size_t>(1, all));
}

bool ConcurrencyLimits::must_yield(const ActiveDestination& destination, Turn turn, const Gate* host) const {
  if (workers_ > sessions_ || destination.workers > per_destination_) return true;  // the limits were lowered
  const SitePtr& site = destination.site;
  if (site && site->used > site->allowance.sessions() && destination.workers > 1) return true;
  for (const Gate* gate : {static_cast<const Gate*>(site.get()), host}) {
    if (gate == nullptr || gate->waiting.empty() || !gate->is_full()) continue;
    if (turn == Turn::over || destination.workers > share_at(*gate, site)) return true;
  }
  if (waiting_.empty() || !is_full()) return false;
  const std::size_t share = std::max<std::size_t>(1, sessions_ / (active_.size() + waiting_.size()));
  return turn == Turn::over || destination.workers > share;
}

void ConcurrencyLimits::idle_begins(IdleWorker& worker) {
  worker.at->idle.push_back(&worker);
  idle_.push_back(&worker);
}

void ConcurrencyLimits::forget_idle(IdleWorker& worker) {
  worker.at->idle.remove(&worker);
  idle_.remove(&worker);
}

void ConcurrencyLimits::idle_ends(IdleWorker& worker) { forget_idle(worker); }

bool ConcurrencyLimits::wake_idle(ActiveDestination& destination) {
  if (destination.idle.empty()) return false;
  IdleWorker& worker = *destination.idle.back();  // the one whose session is freshest
  forget_idle(worker);
  worker.wake.notify_all();
  return true;
}

void ConcurrencyLimits::make_room(const Gate& gate) {
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const IdleWorker* worker) {
    return worker->host.get() == &gate || worker->at->site.get() == &gate;
  });
  if (found == idle_.end()) return;
  IdleWorker& worker = **found;
  forget_idle(worker);
  worker.evicted = true;
  ++leaving_;
  worker.wake.notify_all();
}

void ConcurrencyLimits::wake_all_idle() {
  for (IdleWorker* worker : idle_) worker->wake.notify_all();
}

std::chrono::milliseconds ConcurrencyLimits::idle_keepalive() const {
  const std::size_t most = std::min(3 * sessions_, most_waiting);
  if (waiting_.size() >= most) return std::chrono::milliseconds(0);
  const auto room = static_cast<double>(most - waiting_.size()) / static_cast<double>(most);
  const double longest = std::clamp(setup_ms_ * setups_kept, least_keepalive_ms, most_keepalive_ms);
  return std::chrono::milliseconds(static_cast<int>(std::min(1.0, room * 1.5) * longest));
}

std::optional<net::SteadyTime> ConcurrencyLimits::evict_idle(net::SteadyTime now) {
  while (is_full() && leaving_ < waiting_.size() && !idle_.empty()) {
    IdleWorker& worker = *idle_.front();
    const auto due = worker.since + idle_keepalive();
    const bool too_few_work = workers_ - idle_.size() < sessions_ / working_share;
    if (due > now && !too_few_work) return due;
    forget_idle(worker);
    worker.evicted = true;
    ++leaving_;
    worker.wake.notify_all();
  }
  return std::nullopt;
}

std::vector<std::string> ConcurrencyLimits::busy() const {
  std::vector<std::string> names;
  if (gates_ != nullptr) names = gates_->parked();
  for (const auto& [name, destination] : active_) {
    if (destination->idle.empty()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<queue::InLine> ConcurrencyLimits::in_line(Time now) const {
  std::vector<queue::InLine> all;
  if (gates_ != nullptr) all = gates_->in_line(now);
  const std::string why = "all " + std::to_string(sessions_) + " sessions are in use";
  for (const Waiting& one : waiting_) all.push_back({one.destination, why, std::nullopt});
  return all;
}

void ConcurrencyLimits::recheck_busy() {
  for (const auto& [name, destination] : active_) {
    if (destination->idle.empty()) destination->more = true;
  }
}

}  // namespace hoplock::delivery
