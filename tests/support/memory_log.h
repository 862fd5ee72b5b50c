// SPDX-License-Identifier: Apache-2.0
// A Log that keeps its events for the test to look at. Every level is enabled.
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
};

}  // namespace hoplock::support
