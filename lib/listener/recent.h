// SPDX-License-Identifier: Apache-2.0
// What happened lately: keys with the time they were last seen. Bounded; what is old, or was seen longest ago, is forgotten first.
#pragma once
#include <algorithm>
#include <chrono>
#include <map>

#include "net/condition.h"

namespace hoplock::listener {

template <class Key>
class Recent {
 public:
  static constexpr std::size_t most = 10000;
  static constexpr std::chrono::hours lately{24};

  void add(const Key& key, net::SteadyTime now) {
    seen_[key] = now;
    if (seen_.size() <= most) return;
    std::erase_if(seen_, [now](const auto& one) { return now - one.second > lately; });
    if (seen_.size() <= most) return;
    seen_.erase(std::min_element(seen_.begin(), seen_.end(), [](auto& a, auto& b) { return a.second < b.second; }));
  }
  bool has(const Key& key, net::SteadyTime now) const {
    const auto found = seen_.find(key);
    return found != seen_.end() && now - found->second <= lately;
  }
  std::size_t size() const { return seen_.size(); }

 private:
  std::map<Key, net::SteadyTime> seen_;
};

}  // namespace hoplock::listener
