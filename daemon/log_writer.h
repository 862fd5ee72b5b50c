// The daemon's Log: events become lines (base/log.h), spdlog filters them, and a sink of ours with a thread of its own writes
// them in few large writes. The loop never waits for a slow terminal, pipe or disk: beyond a cap lines are dropped, counted, and
// the count is told in a line of its own.
#pragma once
#include <spdlog/logger.h>

#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace hoplock::daemon {

enum class LineFormat : std::uint8_t { logfmt, json };

struct LogOptions {
  Level level = Level::info;
  LineFormat format = LineFormat::logfmt;
  std::string file = "-";  // "-": standard error
};

class LogSink;

class LogWriter : public Log {
 public:
  // Error: the file cannot be opened for appending.
  static Result<std::unique_ptr<LogWriter>> open(const LogOptions& options);
  ~LogWriter() override;  // writes what waits

  bool enabled(Level level) const override;
  void write(const Event& event) override;

  // SIGHUP: opens the file anew (after a rotation) and takes new level and format. On an error the old file stays.
  Result<> reopen(const LogOptions& options);
  // Blocks until everything written so far is out; for the last words of a process.
  void flush();

 private:
  LogWriter(std::shared_ptr<LogSink> sink, const LogOptions& options);
  std::shared_ptr<LogSink> sink_;
  spdlog::logger logger_;
  LineFormat format_;
};

}  // namespace hoplock::daemon
