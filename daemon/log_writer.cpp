// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_writer.h"
#include "net/clock.h"

#include <spdlog/sinks/sink.h>

#include <string_view>
#include <utility>

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

std::string to_line(const Event& event, LineFormat format) {
  return format == LineFormat::json ? to_json(event, now()) : to_logfmt(event, now());
}

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
  auto format = std::make_shared<std::atomic<LineFormat>>(options.format);
  auto tell = [format](std::uint64_t lines, const std::string& error) {
    return to_line(telling(lines, error), *format);
  };
  auto pump = std::make_shared<LogPump>(std::move(*target), std::move(tell), limits);
  return std::unique_ptr<LogWriter>(new LogWriter(std::move(pump), std::move(format), options.level));
}

LogWriter::LogWriter(std::shared_ptr<LogPump> pump, Format format, Level level)
    : pump_(std::move(pump)), format_(std::move(format)), logger_("hoplock", std::make_shared<Sink>(pump_)) {
  logger_.set_level(to_spdlog(level));
}

LogWriter::~LogWriter() = default;

bool LogWriter::enabled(Level level) const { return logger_.should_log(to_spdlog(level)); }

void LogWriter::write(const Event& event) {
  if (enabled(event.level())) logger_.log(to_spdlog(event.level()), to_line(event, *format_));
}

Result<> LogWriter::reopen(const LogOptions& options) {
  auto target = open_log_target(options.file);
  if (!target) return target.error();
  pump_->replace(std::move(*target));
  logger_.set_level(to_spdlog(options.level));
  *format_ = options.format;
  return {};
}

void LogWriter::flush() { pump_->flush(); }

LogState LogWriter::state() const { return pump_->state(); }

}  // namespace hoplock::daemon
