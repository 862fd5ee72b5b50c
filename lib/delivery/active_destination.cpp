// SPDX-License-Identifier: Apache-2.0
#include "delivery/active_destination.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {
constexpr std::chrono::milliseconds least_hang{750},
    most_hang{3000};  // of an attempt, before another worker goes past it
constexpr std::chrono::milliseconds least_stuck{10'000}, most_stuck{60'000};
constexpr std::size_t most_hung = 64;         // addresses that are remembered
constexpr std::size_t most_set_aside = 1000;  // messages to them, leased

bool is_for_any(const store::Job& job, const std::set<std::string>& addresses) {
  return std::any_of(job.recipients.begin(), job.recipients.end(),
                     [&](const store::Due& one) { return addresses.contains(one.address); });
}
}  // namespace

void ActiveDestination::measure(Kind kind, double ms) {
  double& figure = kind == Kind::first ? setup_ms : message_ms;
  figure = figure == 0 ? ms : figure * 0.75 + ms * 0.25;
  if (message_ms == 0) message_ms = ms / 4;  // a guess until a second message was sent
}

bool Backs::are_too_many(const std::string& destination, store::Id id, net::SteadyTime now) {
  constexpr unsigned few = 3;
  constexpr std::chrono::seconds a_while{30};
  constexpr std::chrono::minutes another_time{5};  // what comes back after that was tried in between
  constexpr std::size_t most = 4096;
  if (backs_.size() >= most)
    std::erase_if(backs_, [&](const auto& one) { return now > one.second.last + another_time; });
  const auto earlier = [](const auto& a, const auto& b) { return a.second.last < b.second.last; };
  const std::pair key(destination, id.value);
  if (backs_.size() >= most && !backs_.contains(key))
    backs_.erase(std::min_element(backs_.begin(), backs_.end(), earlier));
  Back& back = backs_[key];
  if (back.times == 0 || now > back.last + another_time) back = {0, now, now};
  ++back.times;
  back.last = now;
  const bool too_many = back.times > few && now > back.since + a_while;
  if (too_many) backs_.erase(key);
  return too_many;
}

void ActiveDestination::ends(const BusyWorker& worker, Took took, net::SteadyTime now) {
  busy.remove(&worker);
  if (took == Took::mail && hung.empty()) return;
  const auto& recipients = worker.job->recipients;
  if (took == Took::mail) {
    for (const store::Due& one : recipients) hung.erase(one.address);
  } else if (recipients.size() == 1 && now >= worker.since + hang_timeout()) {  // of several it may have been any
    if (hung.size() >= most_hung) hung.clear();
    hung.insert(recipients.front().address);
  }
}

// The addresses that no further worker shall try.
std::set<std::string> ActiveDestination::taken_up(net::SteadyTime now) const {
  std::set<std::string> addresses;
  for (const BusyWorker* worker : busy) {
    const bool hangs = now >= worker->since + hang_timeout();
    if (!hangs && hung.empty()) continue;
    for (const store::Due& one : worker->job->recipients) {
      if (hangs || hung.contains(one.address)) addresses.insert(one.address);
    }
  }
  return addresses;
}

std::optional<store::Job> ActiveDestination::take(net::SteadyTime now) {
  if (jobs.empty()) return std::nullopt;
  auto next = jobs.begin();
  if (jobs.size() < most_set_aside) {
    const auto addresses = taken_up(now);
    if (!addresses.empty())
      next = std::find_if(jobs.begin(), jobs.end(), [&](const store::Job& job) { return !is_for_any(job, addresses); });
  }
  if (next == jobs.end()) return std::nullopt;
  store::Job job = std::move(*next);
  jobs.erase(next);
  return job;
}

std::size_t ActiveDestination::takeable(net::SteadyTime now) const {
  if (jobs.empty() || jobs.size() >= most_set_aside) return jobs.size();
  const auto addresses = taken_up(now);
  if (addresses.empty()) return jobs.size();
  return static_cast<std::size_t>(
      std::count_if(jobs.begin(), jobs.end(), [&](const store::Job& job) { return !is_for_any(job, addresses); }));
}

std::chrono::milliseconds ActiveDestination::hang_timeout() const {
  const auto usual = std::chrono::milliseconds(static_cast<int>(std::min(3 * message_ms, 1e6)));
  return std::clamp(usual, least_hang, most_hang);
}

std::chrono::milliseconds ActiveDestination::stuck_after() const {
  const auto usual = std::chrono::milliseconds(static_cast<int>(std::min(5 * message_ms, 1e6)));
  return std::clamp(usual, least_stuck, most_stuck);
}

std::optional<net::SteadyTime> ActiveDestination::overdue(net::SteadyTime now) const {
  if (workers == 0 || busy.size() < workers || (!more && takeable(now) == 0)) return std::nullopt;
  net::SteadyTime last = busy.front()->since;
  for (const BusyWorker* worker : busy) last = std::max(last, worker->since);
  return last + hang_timeout();
}

bool ActiveDestination::is_behind() const {
  const std::size_t count = workers == 0 ? 0 : takeable(net::SteadyTime::clock::now());
  if (count == 0) return false;
  const auto waiting = static_cast<double>(count * (more ? 2 : 1));
  return waiting * message_ms / static_cast<double>(workers) > 2 * setup_ms;
}

std::size_t ActiveDestination::portion() const { return backoff ? 1 : std::min<std::size_t>(24 + 4 * workers, 96); }

}  // namespace hoplock::delivery
