// SPDX-License-Identifier: Apache-2.0
// Where log lines go: a queue of lines and a thread of its own that writes them. No target can stop anybody else, be it a pipe whose
// reader stands still, a full disk, a file that hangs or a log server that is away: who logs never waits, a change of target waits for
// nothing, and the end waits a bounded time. What does not fit in the queue is dropped, counted, and told by a line of its own
// (`log-dropped`) as soon as the target takes lines again.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"

namespace hoplock::daemon {

// Where one pump's lines end up. Its thread alone writes.
class LogTarget {
 public:
  struct Wrote {
    std::size_t octets = 0;  // 0 without an error: nothing can be written now
    std::string error;       // try again later
    bool useless = false;    // or never: nobody will ever read it
  };
  LogTarget() = default;
  virtual ~LogTarget() = default;
  LogTarget(const LogTarget&) = delete;
  LogTarget& operator=(const LogTarget&) = delete;
  // Some of the begin of `text`, which is whole lines but for what an earlier call took. Waits a tenth of a second at most, but for
  // a file whose disk hangs.
  virtual Wrote write_some(std::string_view text) = 0;
};

// "-" is standard error. A FIFO is opened whether anybody reads it or not; other files are appended to.
Result<std::shared_ptr<LogTarget>> open_log_target(const std::string& path);

// As it is at the moment; for health and metrics.
struct LogState {
  std::uint64_t dropped = 0;  // lines, since the start
  std::string problem;        // "": lines come through
  bool losing = false;        // lines are being dropped
};

class LogPump {
 public:
  struct Limits {
    std::size_t waiting = std::size_t{16} << 20U;  // octets of lines
    std::chrono::milliseconds grace{1000};         // without progress, for an old target and at the end
    std::chrono::milliseconds most{5000};          // for the end as a whole
    std::chrono::milliseconds retry{1000};         // between two tries at a target that fails
    std::chrono::milliseconds quiet{5000};         // without progress: the target is a problem
  };
  // The line that tells how many were dropped (0: all were kept) and what the system said, without the newline. Called by the pump's
  // thread, which may outlive the pump.
  using Tell = std::function<std::string(std::uint64_t lines, const std::string& error)>;

  LogPump(std::shared_ptr<LogTarget> target, Tell tell, Limits limits);
  // Writes what waits as long as the target takes it.
  ~LogPump();
  LogPump(const LogPump&) = delete;
  LogPump& operator=(const LogPump&) = delete;

  // Any thread. `line` is without its newline and has none in it.
  void add(std::string_view line);
  // What was added before goes to the old target still, unless that stands still.
  void replace(std::shared_ptr<LogTarget> target);
  // Waits until everything is written, while the target makes progress.
  void flush();
  LogState state() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the thread, which may hang in the system longer than this lives
  std::thread thread_;
};

}  // namespace hoplock::daemon
