// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_writer.h"

#include <unistd.h>

#include <string_view>
#include <utility>

#include "daemon/journal.h"
#include "net/clock.h"

namespace hoplock::daemon {

namespace {

using net::now;

bool goes_to_journal(const LogOptions& options) { return options.file == "-" && is_journal(STDERR_FILENO); }

Event telling(std::uint64_t lines, const std::string& error) {
  if (lines == 0) return Event(Level::info, "log-works").add("error", error);
  return Event(Level::error, "log-dropped").add("lines", static_cast<std::int64_t>(lines)).add("error", error);
}

}  // namespace

Result<std::unique_ptr<LogWriter>> LogWriter::open(const LogOptions& options) {
  return open(options, LogPump::Limits{});
}

struct LogWriter::Server {
  mutable std::mutex mutex;  // guards all that follows
  std::optional<SyslogOptions> options;
  std::shared_ptr<SyslogPlace> place;
  std::atomic<bool> on = false;
  bool followed = true;

  SyslogOrigin origin() const {
    const std::lock_guard lock(mutex);
    return {options ? options->hostname : "", getpid()};
  }
};

Result<std::unique_ptr<LogWriter>> LogWriter::open(const LogOptions& options, LogPump::Limits limits) {
  auto target = open_log_target(options.file);
  if (!target) return target.error();
  auto manner = std::make_shared<Manner>();
  auto tell = [manner](std::uint64_t lines, const std::string& error) {
    return to_file_line(telling(lines, error), *manner);
  };
  auto pump = std::make_shared<LogPump>(*target, std::move(tell), limits);
  std::unique_ptr<LogWriter> writer(new LogWriter(std::move(pump), std::move(manner), limits));
  writer->target_ = std::move(*target);
  writer->file_ = options.file;
  writer->set(options);
  return writer;
}

std::string LogWriter::to_line(const Event& event, const Manner& manner, Time time) {
  return manner.format == config::LogFormat::json ? to_json(event, time) : to_logfmt(event, time);
}

std::string LogWriter::to_journal_line(const Event& event, std::string line, const Manner& manner) {
  if (manner.journal) line.insert(0, priority(event.level()));
  return line;
}

std::string LogWriter::to_file_line(const Event& event, const Manner& manner) {
  return to_journal_line(event, to_line(event, manner, now()), manner);
}

LogWriter::LogWriter(std::shared_ptr<LogPump> pump, std::shared_ptr<Manner> manner, LogPump::Limits limits)
    : pump_(std::move(pump)), manner_(std::move(manner)), limits_(limits), server_(std::make_shared<Server>()) {}

LogWriter::~LogWriter() = default;

bool LogWriter::enabled(Level level) const { return level >= manner_->level; }

void LogWriter::write(const Event& event) {
  if (!enabled(event.level())) return;
  const Time time = now();
  std::string line = to_line(event, *manner_, time);
  if (server_->on) to_server_->add(to_syslog(event, line, server_->origin(), time));
  pump_->add(to_journal_line(event, std::move(line), *manner_));
}

std::function<void(const Event&)> LogWriter::teller() const {
  return [file = std::weak_ptr<LogPump>(pump_), manner = manner_](const Event& event) {
    const auto pump = file.lock();
    if (pump && event.level() >= manner->level) pump->add(to_file_line(event, *manner));
  };
}

void LogWriter::set(const LogOptions& options) {
  manner_->level = options.level;
  manner_->format = options.format;
  manner_->journal = goes_to_journal(options);
  set_server(options.syslog);
}

// The connection stays where nothing changed. What changes is said in the file: a pump that cannot write cannot tell so.
void LogWriter::set_server(const std::optional<SyslogOptions>& options) {
  std::shared_ptr<SyslogPlace> place = options ? std::make_shared<SyslogPlace>(options->server) : nullptr;
  {
    const std::lock_guard lock(server_->mutex);  // not beside a pump's own, whose thread takes them the other way round
    if (options == server_->options) return;
    server_->options = options;
    server_->place = place;
    server_->followed = !place || !place->name();
  }
  std::shared_ptr<LogTarget> target = make_no_target();
  if (options) {
    auto news = [in_file = teller()](const std::string& error) {
      in_file(error.empty() ? Event(Level::info, "syslog-works")
                            : Event(Level::warn, "syslog-failed").add("error", error));
    };
    target = make_syslog_target(*options, std::move(place), std::move(news));
  }
  if (to_server_) {
    to_server_->replace(std::move(target));
  } else if (options) {
    auto tell = [server = server_, manner = manner_](std::uint64_t lines, const std::string& error) {
      const Event event = telling(lines, error);
      const Time time = now();
      return to_syslog(event, to_line(event, *manner, time), server->origin(), time);
    };
    to_server_ = std::make_shared<LogPump>(std::move(target), std::move(tell), limits_);
  }
  server_->on = options.has_value();
}

Result<LogWriter::Plan> LogWriter::prepare(const LogOptions& options) const {
  auto file = open_log_target(options.file);
  if (!file && options.file != file_) return file.error();
  return Plan{options, std::move(file)};
}

void LogWriter::take(Plan plan) {
  if (plan.file) {
    file_ = plan.options.file;
    target_ = *plan.file;
    late_.reset();
    pump_->replace(std::move(*plan.file));
  } else {
    wait_for_file(plan.file.error());
  }
  set(plan.options);
}

void LogWriter::wait_for_file(const Error& error) {
  why_late_ = error.detail + ": " + error.code.message();
  if (!late_ || late_->is_open()) {
    auto opened = [in_file = teller()] { in_file(Event(Level::info, "log-works")); };
    late_ = std::make_shared<LateLogFile>(file_, target_, std::move(opened));
    target_ = late_;
    pump_->replace(late_);
  }
  write(Event(Level::error, "log-failed").add("error", why_late_));
}

void LogWriter::flush() {
  pump_->flush();
  if (to_server_) to_server_->flush();
}

LogState LogWriter::state() const {
  LogState seen = pump_->state();
  if (late_ && !late_->is_open())
    seen.problem = why_late_ + "; lines go where they went before" + (seen.problem.empty() ? "" : "; " + seen.problem);
  if (!to_server_) return seen;
  const LogState there = to_server_->state();
  seen.dropped += there.dropped;
  if (!there.losing) return seen;
  seen.problem += (seen.problem.empty() ? "" : "; ") + std::string("the log server: ") + there.problem;
  return seen;
}

std::shared_ptr<SyslogPlace> LogWriter::unfollowed_place() {
  const std::lock_guard lock(server_->mutex);
  return std::exchange(server_->followed, true) ? nullptr : server_->place;
}

}  // namespace hoplock::daemon
