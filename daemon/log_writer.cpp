// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_writer.h"

#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "daemon/journal.h"
#include "net/clock.h"

namespace hoplock::daemon {

namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::trace:
      return spdlog::level::trace;
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

using net::now;

bool goes_to_journal(const LogOptions& options) { return options.file == "-" && is_journal(STDERR_FILENO); }

Event telling(std::uint64_t lines, const std::string& error) {
  if (lines == 0) return Event(Level::info, "log-works").add("error", error);
  return Event(Level::error, "log-dropped").add("lines", static_cast<std::int64_t>(lines)).add("error", error);
}

// spdlog's end of the pump.
class Sink : public spdlog::sinks::sink {
 public:
  explicit Sink(std::shared_ptr<LogPump> pump) : pump_(std::move(pump)) {}
  void log(const spdlog::details::log_msg& message) override {
    pump_->add(std::string_view(message.payload.data(), message.payload.size()));
  }
  void flush() override {}
  void set_pattern(const std::string& /*pattern*/) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter> /*formatter*/) override {}

 private:
  std::shared_ptr<LogPump> pump_;
};

}  // namespace

Result<std::unique_ptr<LogWriter>> LogWriter::open(const LogOptions& options) {
  return open(options, LogPump::Limits{});
}

Result<std::unique_ptr<LogWriter>> LogWriter::open(const LogOptions& options, LogPump::Limits limits) {
  auto target = open_log_target(options.file);
  if (!target) return target.error();
  auto manner = std::make_shared<Manner>();
  manner->format = options.format;
  manner->journal = goes_to_journal(options);
  auto tell = [manner](std::uint64_t lines, const std::string& error) {
    return to_line(telling(lines, error), *manner);
  };
  auto pump = std::make_shared<LogPump>(std::move(*target), std::move(tell), limits);
  return std::unique_ptr<LogWriter>(new LogWriter(std::move(pump), std::move(manner), options.level));
}

std::string LogWriter::to_line(const Event& event, const Manner& manner) {
  std::string line = manner.format == LineFormat::json ? to_json(event, now()) : to_logfmt(event, now());
  if (manner.journal) line.insert(0, priority(event.level()));
  return line;
}

LogWriter::LogWriter(std::shared_ptr<LogPump> pump, std::shared_ptr<Manner> manner, Level level)
    : pump_(std::move(pump)), manner_(std::move(manner)), logger_("hoplock", std::make_shared<Sink>(pump_)) {
  logger_.set_level(to_spdlog(level));
}

LogWriter::~LogWriter() = default;

bool LogWriter::enabled(Level level) const { return logger_.should_log(to_spdlog(level)); }

void LogWriter::write(const Event& event) {
  if (enabled(event.level())) logger_.log(to_spdlog(event.level()), to_line(event, *manner_));
}

Result<> LogWriter::reopen(const LogOptions& options) {
  auto target = open_log_target(options.file);
  if (!target) return target.error();
  pump_->replace(std::move(*target));
  logger_.set_level(to_spdlog(options.level));
  manner_->format = options.format;
  manner_->journal = goes_to_journal(options);
  return {};
}

void LogWriter::flush() { pump_->flush(); }

LogState LogWriter::state() const { return pump_->state(); }

}  // namespace hoplock::daemon
