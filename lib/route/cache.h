// SPDX-License-Identifier: Apache-2.0
// Values kept for a time, the least recently used dropped when there are too many. Pure: `now` is an argument.
#pragma once
#include <chrono>
#include <list>
#include <map>
#include <optional>
#include <utility>

namespace hoplock::route {

template <class Key, class Value>
class Cache {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Cache(std::size_t capacity) : capacity_(capacity) {}

  std::optional<Value> find(const Key& key, Clock::time_point now) {
    const auto found = index_.find(key);
    if (found == index_.end()) return std::nullopt;
    if (found->second->until <= now) {
      entries_.erase(found->second);
      index_.erase(found);
      return std::nullopt;
    }
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->value;
  }

  void put(const Key& key, Value value, Clock::time_point until) {
    if (const auto found = index_.find(key); found != index_.end()) {
      entries_.erase(found->second);
      index_.erase(found);
    }
    entries_.push_front(Entry{key, std::move(value), until});
    index_.emplace(key, entries_.begin());
    if (entries_.size() <= capacity_) return;
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }

  void erase(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    entries_.erase(found->second);
    index_.erase(found);
  }

  void clear() {
    index_.clear();
    entries_.clear();
  }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Key key;
    Value value;
    Clock::time_point until;
  };
  std::size_t capacity_;
  std::list<Entry> entries_;  // the most recently used first
  std::map<Key, typename std::list<Entry>::iterator> index_;
};

}  // namespace hoplock::route
