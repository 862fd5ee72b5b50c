// SPDX-License-Identifier: Apache-2.0
#include "delivery/rotation.h"

#include <algorithm>

namespace hoplock::delivery {

namespace {
constexpr std::size_t most_destinations = 4096;
constexpr std::size_t most_spots = 512;             // of one
constexpr std::chrono::hours memory{10};            // longer than the longest wait between attempts
constexpr std::chrono::minutes memory_of_good{10};  // then those that are better by preference are asked again
}  // namespace

const Rotation::Entry* Rotation::find(const std::string& destination, Clock::time_point now) const {
  const auto found = entries_.find(destination);
  return found == entries_.end() || now >= found->second.until ? nullptr : &found->second;
}

bool Rotation::is_behind(const std::string& destination, const std::string& host, Clock::time_point now) const {
  const Entry* entry = find(destination, now);
  return entry != nullptr && entry->behind.contains(host);
}

bool Rotation::was_tried(const std::string& destination, const Spot& spot, Clock::time_point now) const {
  const Entry* entry = find(destination, now);
  return entry != nullptr && !entry->behind.contains(spot.first) && entry->tried.contains(spot);
}

std::string Rotation::good(const std::string& destination) const {
  const auto found = entries_.find(destination);
  return found == entries_.end() ? std::string() : found->second.good;
}

void Rotation::forget_oldest() {
  entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                  [](const auto& a, const auto& b) { return a.second.noted < b.second.noted; }));
}

void Rotation::note(const std::string& destination, const Seen& seen, Clock::time_point now) {
  if (entries_.size() >= most_destinations && !entries_.contains(destination))
    std::erase_if(entries_, [now](const auto& entry) { return now >= entry.second.until; });
  if (entries_.size() >= most_destinations && !entries_.contains(destination)) forget_oldest();
  Entry& entry = entries_[destination];
  entry.noted = ++notes_;
  if (now >= entry.until || entry.tried.size() + seen.in_vain.size() > most_spots) {
    entry.tried.clear();
    entry.behind.clear();
  }
  if (!seen.in_vain.empty() || entry.until <= now) entry.until = now + memory;
  entry.tried.insert(seen.in_vain.begin(), seen.in_vain.end());
  entry.behind.insert(seen.hosts_through.begin(), seen.hosts_through.end());
  if (seen.good.empty()) return;
  entry.good = seen.good;
  entry.until = std::min(entry.until, now + memory_of_good);
}

}  // namespace hoplock::delivery
