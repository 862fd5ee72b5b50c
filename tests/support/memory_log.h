// SPDX-License-Identifier: Apache-2.0
// A Log that keeps its events, and what was counted, for the test to look at. Every level is enabled.
#pragma once
#include <algorithm>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace hoplock::support {

class MemoryLog : public Log {
 public:
  bool enabled(Level) const override { return true; }
  void write(const Event& event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
  }
  void count(const counted::Value& value) override {
    const std::lock_guard lock(mutex_);
    counted_.push_back(value);
  }
  template <class Kind>
  std::vector<Kind> counts() const {
    const std::lock_guard lock(mutex_);
    std::vector<Kind> found;
    for (const counted::Value& one : counted_)
      if (const auto* value = std::get_if<Kind>(&one)) found.push_back(*value);
    return found;
  }
  std::vector<Event> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::vector<Event> events(std::string_view name) const {
    std::vector<Event> found = events();
    std::erase_if(found, [&](const Event& event) { return event.name() != name; });
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<counted::Value> counted_;
};

}  // namespace hoplock::support
