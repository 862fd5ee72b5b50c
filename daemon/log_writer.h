// SPDX-License-Identifier: Apache-2.0
// The daemon's Log: events become lines (base/log.h), spdlog filters them, and a LogPump writes them. Nobody ever waits for a slow
// terminal, pipe or disk, a reload and the end not for long (BND-04).
#pragma once
#include <spdlog/logger.h>

#include <atomic>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "daemon/log_pump.h"

namespace hoplock::daemon {

enum class LineFormat : std::uint8_t { logfmt, json };

struct LogOptions {
  Level level = Level::info;
  LineFormat format = LineFormat::logfmt;
  std::string file = "-";  // "-": standard error
};

class LogWriter : public Log {
 public:
  // Error: the file cannot be opened for appending.
  static Result<std::unique_ptr<LogWriter>> open(const LogOptions& options);
  static Result<std::unique_ptr<LogWriter>> open(const LogOptions& options, LogPump::Limits limits);
  ~LogWriter() override;  // writes what waits, while the target takes it

  bool enabled(Level level) const override;
  void write(const Event& event) override;

  // SIGHUP: opens the file anew (after a rotation) and takes new level and format. On an error the old file stays.
  Result<> reopen(const LogOptions& options);
  // Until everything written so far is out, or the target stands still; for the last words of a process.
  void flush();
  LogState state() const;

 private:
  // Any thread writes lines while a reload changes it.
  struct Manner {
    std::atomic<LineFormat> format;
    std::atomic<bool> journal;  // each line begins with its priority
  };
  static std::string to_line(const Event& event, const Manner& manner);
  LogWriter(std::shared_ptr<LogPump> pump, std::shared_ptr<Manner> manner, Level level);
  std::shared_ptr<LogPump> pump_;
  std::shared_ptr<Manner> manner_;
  spdlog::logger logger_;
};

}  // namespace hoplock::daemon
