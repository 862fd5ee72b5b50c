// SPDX-License-Identifier: Apache-2.0
// The daemon's Log: events become lines (base/log.h), and a LogPump writes them. Nobody ever waits for a slow
// terminal, pipe or disk, a reload and the end not for long (BND-04). Beside the file a log server may get them too, by a pump of its
// own, so that neither target waits for the other.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "config/config.h"
#include "daemon/log_late.h"
#include "daemon/log_pump.h"
#include "daemon/log_syslog.h"

namespace hoplock::daemon {

struct LogOptions {
  Level level = Level::info;
  config::LogFormat format = config::LogFormat::logfmt;
  std::string file = "-";  // "-": standard error
  std::optional<SyslogOptions> syslog{};
};

class LogWriter : public Log {
 public:
  // Error: the file cannot be opened for appending.
  static Result<std::unique_ptr<LogWriter>> open(const LogOptions& options);
  static Result<std::unique_ptr<LogWriter>> open(const LogOptions& options, LogPump::Limits limits);
  ~LogWriter() override;  // writes what waits, while the target takes it

  bool enabled(Level level) const override;
  void write(const Event& event) override;

  // SIGHUP: the file opened anew (after a rotation), for new level, format and log server; nothing changes by it. Error: another file than
  // before cannot be opened. Where the same one cannot be opened any more the old target goes on until it can: that is a fault of the
  // machine, and keeps no other change from being taken up.
  struct Plan {
    LogOptions options;
    Result<std::shared_ptr<LogTarget>> file;
  };
  Result<Plan> prepare(const LogOptions& options) const;
  void take(Plan plan);
  // Until everything written so far is out, or the target stands still; for the last words of a process.
  void flush();
  // A log server that is away is a problem once lines are lost by it.
  LogState state() const;
  // The log server's place, once after it was made, for follow_syslog(); null: nothing new to follow.
  std::shared_ptr<SyslogPlace> unfollowed_place();

 private:
  // Any thread writes lines while a reload changes it.
  struct Manner {
    std::atomic<Level> level;
    std::atomic<config::LogFormat> format;
    std::atomic<bool> journal;  // each line begins with its priority
  };
  // The log server, and the pump to it, which stays where the server goes.
  struct Server;
  static std::string to_line(const Event& event, const Manner& manner, Time time);
  static std::string to_journal_line(const Event& event, std::string line, const Manner& manner);
  static std::string to_file_line(const Event& event, const Manner& manner);
  // For the pumps' threads: writes to the file alone.
  std::function<void(const Event&)> teller() const;
  void set(const LogOptions& options);
  void wait_for_file(const Error& error);
  void set_server(const std::optional<SyslogOptions>& options);
  LogWriter(std::shared_ptr<LogPump> pump, std::shared_ptr<Manner> manner, LogPump::Limits limits);
  std::shared_ptr<LogPump> pump_;
  std::shared_ptr<Manner> manner_;
  const LogPump::Limits limits_;
  std::string file_;                   // its name
  std::shared_ptr<LogTarget> target_;  // of the file
  std::shared_ptr<LateLogFile> late_;  // the same while it cannot be opened
  std::string why_late_;
  std::shared_ptr<Server> server_;      // shared with its pump's thread
  std::shared_ptr<LogPump> to_server_;  // null until there is a log server for the first time
};

}  // namespace hoplock::daemon
