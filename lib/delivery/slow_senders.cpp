// SPDX-License-Identifier: Apache-2.0
#include "delivery/slow_senders.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {
constexpr std::size_t most_slow_senders = 4096;
constexpr std::size_t most_of_one = 64;

std::string slow_key(const std::string& destination, const dns::Name& domain, const store::Envelope& from, By by) {
  return destination + '\n' + domain.text() + '\n' + std::to_string(static_cast<int>(by)) + origin_of(from, by);
}
}  // namespace

const SlowSenders::Entry* SlowSenders::holding(const std::string& key, Time now) const {
  const auto found = entries_.find(key);
  const bool holds = found != entries_.end() && found->second.hold && found->second.hold->until > now;
  return holds ? &found->second : nullptr;
}

std::optional<SlowSenders::Held> SlowSenders::held(const store::Job& job, const std::string& site, Time now) const {
  if (entries_.empty()) return std::nullopt;
  for (const By by : all_origins) {
    const Entry* entry = holding(slow_key(job.destination, job.recipients.front().domain, job.envelope, by), now);
    if (entry == nullptr && !site.empty()) entry = holding(origin_at_site(site, job.envelope, by), now);
    if (entry != nullptr) return Held{*entry->hold, entry->since};
  }
  return std::nullopt;
}

std::optional<store::Backoff> SlowSenders::last(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::nullopt : found->second.hold;
}

bool SlowSenders::was_held(const Attempt& attempt, const std::string& site) const {
  if (entries_.empty()) return false;
  return std::any_of(all_origins.begin(), all_origins.end(), [&](By by) {
    return last(origin_at(attempt, by)) || last(origin_at_site(site, attempt.envelope, by));
  });
}

std::size_t SlowSenders::put_off(const Attempt& attempt, By by, std::uint64_t whom) {
  const std::string key = origin_at(attempt, by);
  if (entries_.size() >= most_slow_senders && !entries_.contains(key)) entries_.clear();
  Entry& entry = entries_[key];
  if (entry.whom.size() < most_of_one) entry.whom.insert(whom);
  entry.from.add(attempt.envelope);
  return by == By::sender || entry.from.are_several(By::sender) ? entry.whom.size() : 0;
}

void SlowSenders::hold(const std::string& key, store::Backoff hold) {
  if (entries_.size() >= most_slow_senders && !entries_.contains(key)) entries_.clear();
  Entry& entry = entries_[key];
  entry.whom.clear();
  entry.from.clear();
  if (hold.failures <= 1 || !entry.hold) entry.since = hold.last;
  entry.hold = std::move(hold);
}

void SlowSenders::took(const Attempt& attempt, const std::string& site) {
  if (entries_.empty()) return;
  for (const By by : all_origins) {
    entries_.erase(origin_at(attempt, by));
    entries_.erase(origin_at_site(site, attempt.envelope, by));
  }
}

std::string origin_at(const Attempt& attempt, By by) {
  return slow_key(attempt.destination, attempt.domain, attempt.envelope, by);
}

// No destination's name has a line's end: none begins so.
std::string origin_at_site(const std::string& site, const store::Envelope& from, By by) {
  return '\n' + site + '\n' + std::to_string(static_cast<int>(by)) + origin_of(from, by);
}

}  // namespace hoplock::delivery
