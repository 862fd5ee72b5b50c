// SPDX-License-Identifier: Apache-2.0
// A log file that cannot be opened for now: its directory is gone, its disk not mounted. Lines go where they went before; every half a
// minute, with a line to write, the file is tried again, and takes the lines from then on. Used by a pump's thread alone, but is_open().
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "daemon/log_pump.h"

namespace hoplock::daemon {

class LateLogFile final : public LogTarget {
 public:
  // `opened`: called by the pump's thread, once.
  LateLogFile(std::string path, std::shared_ptr<LogTarget> meanwhile, std::function<void()> opened);
  Wrote write_some(std::string_view text) override;
  bool is_open() const { return open_; }

 private:
  const std::string path_;
  std::shared_ptr<LogTarget> target_;
  const std::function<void()> opened_;
  std::atomic<bool> open_ = false;
  bool inside_line_ = false;
  std::chrono::steady_clock::time_point next_try_ = std::chrono::steady_clock::now();
};

}  // namespace hoplock::daemon
