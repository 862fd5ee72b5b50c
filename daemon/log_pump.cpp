// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_pump.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace hoplock::daemon {

namespace {
using Clock = std::chrono::steady_clock;
constexpr std::size_t most_into_pipe = 4096;  // PIPE_BUF: what poll() promises room for
constexpr int poll_ms = 100;

std::uint64_t lines_in(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}
class LogFile final : public LogTarget {
 public:
  explicit LogFile(int descriptor) : descriptor_(descriptor) {
    struct stat about {};
    is_file_ = fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode);
  }
  ~LogFile() override {
    if (descriptor_ != STDERR_FILENO) close(descriptor_);
  }

  Wrote write_some(std::string_view text) override {
    if (!is_file_) {
      pollfd ready{descriptor_, POLLOUT, 0};
      if (poll(&ready, 1, poll_ms) <= 0) return {};
      text = text.substr(0, most_into_pipe);
    }
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written >= 0) return {static_cast<std::size_t>(written), {}, false};
    if (errno == EAGAIN || errno == EINTR) return {};
    return {0, std::strerror(errno), errno == EPIPE || errno == EBADF || errno == EINVAL};
  }

 private:
  int descriptor_;
  bool is_file_ = false;
};
}  // namespace

Result<std::shared_ptr<LogTarget>> open_log_target(const std::string& path) {
  if (path == "-") return std::make_shared<LogFile>(STDERR_FILENO);
  int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
  if (descriptor < 0 && errno == ENXIO) descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);  // a FIFO
  if (descriptor < 0)
    return fail(error_code(errno, boost::system::system_category()),
                "the log file '" + path + "' cannot be opened for writing");
  return std::make_shared<LogFile>(descriptor);
}

struct LogPump::State {
  // Lines for one target.
  struct Batch {
    std::shared_ptr<LogTarget> target;
    std::string text;
    std::uint64_t tells = 0;  // dropped lines that this text tells of
  };

  State(std::shared_ptr<LogTarget> to, Tell how, Limits within)
      : tell(std::move(how)), limits(within), target(std::move(to)) {}

  void run();
  enum class Fate : bool { written, dropped };
  Fate write_out(Batch& batch, std::unique_lock<std::mutex>& lock);
  bool is_given_up(const Batch& batch) const;
  void drop(Batch& batch);
  void note_progress();
  void tell_dropped();
  void take_out(const Batch& batch, std::size_t octets);
  void close_retired(std::unique_lock<std::mutex>& lock);
  // What waits for older targets leaves room for as much again.
  bool is_full_for(std::size_t octets) const {
    return waiting - older + octets >= limits.waiting || waiting + octets >= 2 * limits.waiting;
  }
  bool is_done() const { return batches.empty() && idle; }
  bool is_hopeless(Clock::time_point since) const;

  const Tell tell;
  const Limits limits;
  mutable std::mutex mutex;  // guards all that follows; never held during a system call that writes
  std::condition_variable wake;
  std::condition_variable changed;
  std::shared_ptr<LogTarget> target;
  std::vector<std::shared_ptr<LogTarget>> retired;  // which the thread closes: that may take a moment
  std::deque<Batch> batches;
  std::size_t waiting = 0;  // octets, those under way included
  std::size_t older = 0;    // of these, for targets that were replaced
  std::uint64_t untold = 0;
  std::uint64_t dropped = 0;
  std::string error;  // of the last write; "": it went well
  std::string told_error;
  Clock::time_point progress = Clock::now();
  Clock::time_point replaced{};
  bool idle = true;
  bool stopping = false;
  bool ended = false;
};

// One that was replaced, or whose daemon ends, has a grace as long as nothing moves.
bool LogPump::State::is_given_up(const Batch& batch) const {
  if (batch.target == target && !stopping) return false;
  return Clock::now() - std::max(progress, replaced) > limits.grace;
}

void LogPump::State::drop(Batch& batch) {
  const std::uint64_t lines = lines_in(batch.text);
  untold += lines + batch.tells - (batch.tells > 0 ? 1 : 0);
  dropped += lines - (batch.tells > 0 ? 1 : 0);
  batch.text.clear();
}

void LogPump::State::take_out(const Batch& batch, std::size_t octets) {
  waiting -= octets;
  if (batch.target != target) older -= octets;
}

void LogPump::State::note_progress() {
  progress = Clock::now();
  if (!error.empty()) told_error = std::exchange(error, {});
}

LogPump::State::Fate LogPump::State::write_out(Batch& batch, std::unique_lock<std::mutex>& lock) {
  std::string_view rest = batch.text;
  while (!rest.empty()) {
    lock.unlock();
    LogTarget::Wrote wrote = batch.target->write_some(rest);
    lock.lock();
    if (wrote.octets > 0) {
      rest.remove_prefix(wrote.octets);
      take_out(batch, wrote.octets);
      note_progress();
      continue;
    }
    const bool failed = !wrote.error.empty();
    if (failed) error = std::move(wrote.error);
    if (wrote.useless || is_given_up(batch)) {
      take_out(batch, rest.size());
      batch.text.erase(0, batch.text.size() - rest.size());
      drop(batch);
      return Fate::dropped;
    }
    if (failed) wake.wait_for(lock, limits.retry, [&] { return stopping || batch.target != target; });
  }
  return Fate::written;
}

void LogPump::State::tell_dropped() {
  if (!error.empty() || (untold == 0 && told_error.empty())) return;
  Batch batch{target, tell(untold, told_error) + "\n", untold};
  untold = 0;
  told_error.clear();
  waiting += batch.text.size();
  batches.push_front(std::move(batch));
}

void LogPump::State::run() {
  ::pthread_setname_np(::pthread_self(), "log");
  std::unique_lock lock(mutex);
  for (;;) {
    tell_dropped();
    if (batches.empty()) {
      idle = true;
      changed.notify_all();
      wake.wait(lock, [this] { return stopping || !batches.empty() || !retired.empty(); });
    }
    close_retired(lock);
    if (batches.empty() && stopping) break;
    if (batches.empty()) continue;
    idle = false;
    Batch batch = std::move(batches.front());
    batches.pop_front();
    const Fate fate = write_out(batch, lock);
    changed.notify_all();
    if (fate == Fate::dropped && stopping && batch.target == target) break;
    if (batch.target != target) retired.push_back(std::move(batch.target));
  }
  retired.push_back(std::move(target));
  batches.clear();
  close_retired(lock);
  ended = true;
  changed.notify_all();
}

void LogPump::State::close_retired(std::unique_lock<std::mutex>& lock) {
  auto closing = std::exchange(retired, {});
  lock.unlock();
  closing.clear();
  lock.lock();
}

bool LogPump::State::is_hopeless(Clock::time_point since) const {
  const auto now = Clock::now();
  return now - since > limits.most || now - std::max(progress, since) > limits.grace + limits.grace / 2;
}

LogPump::LogPump(std::shared_ptr<LogTarget> target, Tell tell, Limits limits)
    : state_(std::make_shared<State>(std::move(target), std::move(tell), limits)) {
  thread_ = std::thread([state = state_] { state->run(); });
}

LogPump::~LogPump() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->replaced = Clock::now();
  state_->wake.notify_all();
  const auto since = Clock::now();
  while (!state_->ended && !state_->is_hopeless(since)) {
    state_->changed.wait_for(lock, std::chrono::milliseconds(poll_ms));
  }
  const bool ended = state_->ended;
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();  // it hangs in the system; the process ends without it
  }
}

void LogPump::add(std::string_view line) {
  std::unique_lock lock(state_->mutex);
  if (state_->is_full_for(line.size())) {
    ++state_->untold;
    ++state_->dropped;
    return;
  }
  if (state_->batches.empty() || state_->batches.back().target != state_->target || state_->batches.back().tells > 0) {
    state_->batches.push_back({state_->target, {}, 0});
  }
  std::string& text = state_->batches.back().text;
  text.append(line);
  text += '\n';
  state_->waiting += line.size() + 1;
  const bool asleep = std::exchange(state_->idle, false);
  if (asleep) state_->progress = Clock::now();
  lock.unlock();  // else the thread wakes only to wait for the lock, and we for it to take it
  if (asleep) state_->wake.notify_one();
}

void LogPump::replace(std::shared_ptr<LogTarget> target) {
  const std::lock_guard lock(state_->mutex);
  if (state_->older == 0)
    state_->replaced = Clock::now();  // else again and again would give a dead one time without end
  state_->older = state_->waiting;
  state_->retired.push_back(std::exchange(state_->target, std::move(target)));
  state_->wake.notify_all();
}

void LogPump::flush() {
  std::unique_lock lock(state_->mutex);
  state_->wake.notify_all();
  const auto since = Clock::now();
  while (!state_->is_done() && !state_->is_hopeless(since)) {
    state_->changed.wait_for(lock, std::chrono::milliseconds(poll_ms));
  }
}

LogState LogPump::state() const {
  const std::lock_guard lock(state_->mutex);
  LogState seen;
  seen.dropped = state_->dropped;
  const auto still = Clock::now() - state_->progress;
  if (!state_->error.empty()) {
    seen.problem = "the log cannot be written: " + state_->error;
  } else if (!state_->is_done() && still > state_->limits.quiet) {
    seen.problem = "the log's reader has taken nothing for " +
                   std::to_string(std::chrono::duration_cast<std::chrono::seconds>(still).count()) + " s";
  }
  seen.losing = state_->untold > 0;
  if (seen.losing)
    seen.problem += (seen.problem.empty() ? "" : "; ") + std::to_string(state_->untold) + " lines were dropped";
  return seen;
}

}  // namespace hoplock::daemon
