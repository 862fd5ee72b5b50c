// SPDX-License-Identifier: Apache-2.0
#include "delivery/pool.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {
constexpr double setups_of_patience = 5, least_patience_ms = 50, most_patience_ms = 1000;
constexpr std::chrono::milliseconds least_hang{750},
    most_hang{3000};                          // of an attempt, before another lane goes past it
constexpr std::size_t most_hung = 64;         // addresses that are remembered
constexpr std::size_t most_set_aside = 1000;  // messages to them, leased
constexpr std::size_t most_past_knock = 3;    // lanes of a destination that was down, while its first message hangs
constexpr std::size_t working_share = 4;      // of all lanes, one in so many works at least while destinations wait
}  // namespace

void Destination::measure(Kind kind, double ms) {
  double& figure = kind == Kind::first ? setup_ms : message_ms;
  figure = figure == 0 ? ms : figure * 0.75 + ms * 0.25;
  if (message_ms == 0) message_ms = ms / 4;  // a guess until a second message was sent
}

bool Destination::is_back_too_often(queue::Id id, net::SteadyTime now) {
  constexpr unsigned few = 3;
  constexpr std::chrono::seconds a_while{30};
  if (back != id) {
    back = id;
    backs = 0;
    back_since = now;
  }
  ++backs;
  const bool too_often = backs > few && now > back_since + a_while;
  if (too_often) back = {};
  return too_often;
}

void Destination::ends(const BusyLane& lane, Took took, net::SteadyTime now) {
  busy.remove(&lane);
  if (took == Took::mail && hung.empty()) return;
  const auto& recipients = lane.job->recipients;
  if (took == Took::mail) {
    for (const queue::Due& one : recipients) hung.erase(one.address);
  } else if (recipients.size() == 1 && now >= lane.since + patience()) {  // of several it may have been any
    if (hung.size() >= most_hung) hung.clear();
    hung.insert(recipients.front().address);
  }
}

// The addresses that no further lane shall try.
std::set<std::string> Destination::taken_up(net::SteadyTime now) const {
  std::set<std::string> addresses;
  for (const BusyLane* lane : busy) {
    const bool hangs = now >= lane->since + patience();
    if (!hangs && hung.empty()) continue;
    for (const queue::Due& one : lane->job->recipients) {
      if (hangs || hung.contains(one.address)) addresses.insert(one.address);
    }
  }
  return addresses;
}

namespace {
bool is_for_any(const queue::Job& job, const std::set<std::string>& addresses) {
  return std::any_of(job.recipients.begin(), job.recipients.end(),
                     [&](const queue::Due& one) { return addresses.contains(one.address); });
}
}  // namespace

std::optional<queue::Job> Destination::take(net::SteadyTime now) {
  if (jobs.empty()) return std::nullopt;
  auto next = jobs.begin();
  if (jobs.size() < most_set_aside) {
    const auto addresses = taken_up(now);
    if (!addresses.empty())
      next = std::find_if(jobs.begin(), jobs.end(), [&](const queue::Job& job) { return !is_for_any(job, addresses); });
  }
  if (next == jobs.end()) return std::nullopt;
  queue::Job job = std::move(*next);
  jobs.erase(next);
  return job;
}

std::size_t Destination::takeable(net::SteadyTime now) const {
  if (jobs.empty() || jobs.size() >= most_set_aside) return jobs.size();
  const auto addresses = taken_up(now);
  if (addresses.empty()) return jobs.size();
  return static_cast<std::size_t>(
      std::count_if(jobs.begin(), jobs.end(), [&](const queue::Job& job) { return !is_for_any(job, addresses); }));
}

std::chrono::milliseconds Destination::patience() const {
  const auto usual = std::chrono::milliseconds(static_cast<int>(std::min(3 * message_ms, 1e6)));
  return std::clamp(usual, least_hang, most_hang);
}

std::optional<net::SteadyTime> Destination::overdue(net::SteadyTime now) const {
  if (lanes == 0 || busy.size() < lanes || (!more && takeable(now) == 0)) return std::nullopt;
  net::SteadyTime last = busy.front()->since;
  for (const BusyLane* lane : busy) last = std::max(last, lane->since);
  return last + patience();
}

bool Destination::is_behind() const {
  const std::size_t count = lanes == 0 ? 0 : takeable(net::SteadyTime::clock::now());
  if (count == 0) return false;
  const auto waiting = static_cast<double>(count * (more ? 2 : 1));
  return waiting * message_ms / static_cast<double>(lanes) > 2 * setup_ms;
}

std::size_t Destination::portion() const { return backoff ? 1 : std::min<std::size_t>(24 + 4 * lanes, 96); }

DestinationPtr Pool::active(const std::string& name) const {
  const auto found = active_.find(name);
  return found == active_.end() ? nullptr : found->second;
}

bool Pool::add(Waiting ready) {
  if (names_waiting_.contains(ready.destination)) return true;
  if (gates_ != nullptr && gates_->is_parked(ready.destination)) return true;
  if (waiting_.size() >= most_waiting) return false;
  if (ready.place == 0) ready.place = ++places_;
  names_waiting_.insert(ready.destination);
  line_up(waiting_, std::move(ready));
  return true;
}

bool Pool::park(const GatePtr& gate, Waiting ready) {
  if (ready.place == 0) ready.place = ++places_;
  return gates_->park(gate, std::move(ready));
}

DestinationPtr Pool::next() {
  // Also while all lanes are taken: for whom there is room at the gate waits for a lane here, and idle sessions give way.
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
    auto destination = std::make_shared<Destination>();
    destination->name = ready.destination;
    destination->place = ready.place;
    destination->backoff = std::move(ready.backoff);
    active_.emplace(std::move(ready.destination), destination);
    return destination;
  }
  return nullptr;
}

void Pool::lane_came(Destination& destination) {
  ++lanes_;
  ++destination.lanes;
}

bool Pool::lane_left(Destination& destination) {
  --lanes_;
  if (--destination.lanes > 0) return false;
  const auto found = active_.find(destination.name);
  if (found != active_.end() && found->second.get() == &destination) active_.erase(found);
  return true;
}

std::vector<DestinationPtr> Pool::all() const {
  std::vector<DestinationPtr> destinations;
  for (const auto& [name, destination] : active_) destinations.push_back(destination);
  return destinations;
}

bool Pool::may_grow(const Destination& destination, Why why) const {
  const SitePtr& site = destination.site;
  if (site && (site->is_closed(Gates::Clock::now()) || !site->waiting.empty())) return false;
  if (destination.backoff && (why == Why::backlog || destination.lanes >= most_past_knock)) return false;
  return !destination.held && destination.connected > 0 && waiting_.empty() && !is_full() &&
         destination.lanes < std::min(per_destination_, destination.most);
}

bool Pool::must_yield(const Destination& destination, Turn turn) const {
  if (lanes_ > sessions_ || destination.lanes > per_destination_) return true;  // the limits were lowered
  const SitePtr& site = destination.site;
  if (site && site->used > site->allowance.sessions() && destination.lanes > 1) return true;
  if (site && !site->waiting.empty() && site->is_full() && turn == Turn::over) return true;
  if (waiting_.empty() || !is_full()) return false;
  const std::size_t share = std::max<std::size_t>(1, sessions_ / (active_.size() + waiting_.size()));
  return turn == Turn::over || destination.lanes > share;
}

void Pool::idle_begins(IdleLane& lane) {
  lane.at->idle.push_back(&lane);
  idle_.push_back(&lane);
}

void Pool::forget_idle(IdleLane& lane) {
  lane.at->idle.remove(&lane);
  idle_.remove(&lane);
}

void Pool::idle_ends(IdleLane& lane) { forget_idle(lane); }

bool Pool::wake_idle(Destination& destination) {
  if (destination.idle.empty()) return false;
  IdleLane& lane = *destination.idle.back();  // the one whose session is freshest
  forget_idle(lane);
  lane.wake.notify_all();
  return true;
}

void Pool::make_room(const Gate& gate) {
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const IdleLane* lane) {
    return lane->host.get() == &gate || lane->at->site.get() == &gate;
  });
  if (found == idle_.end()) return;
  IdleLane& lane = **found;
  forget_idle(lane);
  lane.evicted = true;
  ++leaving_;
  lane.wake.notify_all();
}

void Pool::wake_all_idle() {
  for (IdleLane* lane : idle_) lane->wake.notify_all();
}

std::chrono::milliseconds Pool::patience() const {
  const std::size_t most = std::min(3 * sessions_, most_waiting);
  if (waiting_.size() >= most) return std::chrono::milliseconds(0);
  const auto room = static_cast<double>(most - waiting_.size()) / static_cast<double>(most);
  const double wish = std::clamp(setup_ms_ * setups_of_patience, least_patience_ms, most_patience_ms);
  return std::chrono::milliseconds(static_cast<int>(std::min(1.0, room * 1.5) * wish));
}

std::optional<net::SteadyTime> Pool::evict_idle(net::SteadyTime now) {
  while (is_full() && leaving_ < waiting_.size() && !idle_.empty()) {
    IdleLane& lane = *idle_.front();
    const auto due = lane.since + patience();
    const bool too_few_work = lanes_ - idle_.size() < sessions_ / working_share;
    if (due > now && !too_few_work) return due;
    forget_idle(lane);
    lane.evicted = true;
    ++leaving_;
    lane.wake.notify_all();
  }
  return std::nullopt;
}

std::vector<std::string> Pool::busy() const {
  std::vector<std::string> names;
  if (gates_ != nullptr) names = gates_->parked();
  for (const auto& [name, destination] : active_) {
    if (destination->idle.empty()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void Pool::remind_busy() {
  for (const auto& [name, destination] : active_) {
    if (destination->idle.empty()) destination->more = true;
  }
}

}  // namespace hoplock::delivery
