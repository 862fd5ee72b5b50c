// SPDX-License-Identifier: Apache-2.0
// Where attempts go on that may not try every address a destination has: behind those that were tried in vain, so that a good host behind
// dead ones is reached, and once it was found, mail goes there for a while before the dead ones are asked again, few at a time.
// Bounded, in memory, time is an argument.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/ip.h"

namespace hoplock::delivery {

class Rotation {
 public:
  using Clock = std::chrono::steady_clock;
  // Of one attempt: a host as text, and its address.
  using Spot = std::pair<std::string, Ip>;

  // The host has addresses that were all tried in vain lately.
  bool is_behind(const std::string& destination, const std::string& host, Clock::time_point now) const;
  bool was_tried(const std::string& destination, const Spot& spot, Clock::time_point now) const;
  // The host that worked when others did not; "": none is known.
  std::string good(const std::string& destination) const;
  std::size_t size() const { return entries_.size(); }
  bool knows(const std::string& destination) const { return entries_.contains(destination); }

  struct Seen {
    std::vector<Spot> in_vain;
    std::vector<std::string> hosts_through;  // that have no other address
    std::string good;
  };
  // Others were left.
  void note(const std::string& destination, const Seen& seen, Clock::time_point now);
  // All had their turn.
  void start_over(const std::string& destination) { entries_.erase(destination); }

 private:
  struct Entry {
    std::set<Spot> tried;
    std::set<std::string> behind;
    std::string good;
    Clock::time_point until;
    std::uint64_t noted = 0;  // the last time, as a number
  };
  const Entry* find(const std::string& destination, Clock::time_point now) const;
  void forget_oldest();
  std::map<std::string, Entry> entries_;
  std::uint64_t notes_ = 0;
};

}  // namespace hoplock::delivery
