#include "daemon/log_writer.h"

#include <fcntl.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace hoplock::daemon {

namespace {

constexpr std::size_t most_waiting = 16U << 20U;  // octets of lines that wait for the writer

class File {
 public:
  File() = default;
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, STDERR_FILENO)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~File() {
    if (descriptor_ != STDERR_FILENO) close(descriptor_);
  }
  void write_all(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(descriptor_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;  // nobody to tell: the log itself is what fails
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }

 private:
  int descriptor_ = STDERR_FILENO;
};

Result<File> open_file(const std::string& path) {
  if (path == "-") return File{};
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (descriptor < 0)
    return fail(error_code(errno, boost::system::system_category()),
                "the log file '" + path + "' cannot be opened for writing");
  return File{descriptor};
}

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

Time now() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

}  // namespace

// Thread-safe: any thread appends a line, the writer's own thread writes all that waits at once.
class LogSink : public spdlog::sinks::sink {
 public:
  explicit LogSink(File file) : file_(std::move(file)), writer_([this] { run(); }) {}
  ~LogSink() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    writer_.join();
  }

  void log(const spdlog::details::log_msg& message) override {
    std::unique_lock lock(mutex_);
    if (waiting_.size() + message.payload.size() >= most_waiting) {
      ++lost_;
      return;
    }
    waiting_.append(message.payload.data(), message.payload.size());
    waiting_ += '\n';
    const bool asleep = std::exchange(idle_, false);
    lock.unlock();  // else the writer wakes only to wait for the lock, and we for it to take it
    if (asleep) wake_.notify_one();
  }
  void flush() override {
    std::unique_lock lock(mutex_);
    if (idle_) wake_.notify_one();
    written_.wait(lock, [this] { return waiting_.empty() && idle_; });
  }
  void set_pattern(const std::string& /*pattern*/) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter> /*formatter*/) override {}

  void replace(File file) {
    flush();
    const std::lock_guard lock(file_mutex_);
    file_ = std::move(file);
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      idle_ = true;
      written_.notify_all();
      wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      idle_ = false;
      std::string lines = std::exchange(waiting_, {});
      const std::uint64_t lost = std::exchange(lost_, 0);
      lock.unlock();
      if (lost > 0) {
        lines += to_logfmt(Event(Level::error, "log-lost").add("lines", static_cast<std::int64_t>(lost)), now()) + "\n";
      }
      {
        const std::lock_guard file_lock(file_mutex_);
        file_.write_all(lines);
      }
      lock.lock();
    }
  }

  std::mutex mutex_;       // guards the lines
  std::mutex file_mutex_;  // guards the file
  std::condition_variable wake_;
  std::condition_variable written_;
  std::string waiting_;
  std::uint64_t lost_ = 0;
  bool stop_ = false;
  bool idle_ = true;
  File file_;
  std::thread writer_;
};

Result<std::unique_ptr<LogWriter>> LogWriter::open(const LogOptions& options) {
  auto file = open_file(options.file);
  if (!file) return file.error();
  auto sink = std::make_shared<LogSink>(std::move(*file));
  return std::unique_ptr<LogWriter>(new LogWriter(std::move(sink), options));
}

LogWriter::LogWriter(std::shared_ptr<LogSink> sink, const LogOptions& options)
    : sink_(std::move(sink)), logger_("hoplock", sink_), format_(options.format) {
  logger_.set_level(to_spdlog(options.level));
}

LogWriter::~LogWriter() = default;

bool LogWriter::enabled(Level level) const { return logger_.should_log(to_spdlog(level)); }

void LogWriter::write(const Event& event) {
  if (!enabled(event.level())) return;
  logger_.log(to_spdlog(event.level()), format_ == LineFormat::json ? to_json(event, now()) : to_logfmt(event, now()));
}

Result<> LogWriter::reopen(const LogOptions& options) {
  auto file = open_file(options.file);
  if (!file) return file.error();
  sink_->replace(std::move(*file));
  logger_.set_level(to_spdlog(options.level));
  format_ = options.format;
  return {};
}

void LogWriter::flush() { sink_->flush(); }

}  // namespace hoplock::daemon
