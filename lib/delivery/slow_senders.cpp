// SPDX-License-Identifier: Apache-2.0
#include "delivery/slow_senders.h"

#include <utility>

namespace hoplock::delivery {

namespace {
constexpr std::size_t most_slow_senders = 4096;

std::string slow_key(const std::string& destination, const dns::Name& domain, const std::string& sender) {
  return destination + '\n' + domain.text() + '\n' + sender;
}
}  // namespace

std::optional<queue::Backoff> SlowSenders::held(const std::string& key, Time now) const {
  auto hold = last(key);
  if (hold && hold->until <= now) hold.reset();
  return hold;
}

std::optional<queue::Backoff> SlowSenders::last(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::nullopt : found->second.hold;
}

std::size_t SlowSenders::put_off(const std::string& key, std::uint64_t whom) {
  if (entries_.size() >= most_slow_senders && !entries_.contains(key)) entries_.clear();
  Entry& entry = entries_[key];
  entry.whom.insert(whom);
  return entry.whom.size();
}

void SlowSenders::hold(const std::string& key, queue::Backoff hold) {
  Entry& entry = entries_[key];
  entry.whom.clear();
  entry.hold = std::move(hold);
}

std::string sender_at(const queue::Job& job) {
  return slow_key(job.destination, job.recipients.front().domain, job.envelope.sender);
}
std::string sender_at(const Attempt& attempt) { return slow_key(attempt.destination, attempt.domain, attempt.sender); }

}  // namespace hoplock::delivery
