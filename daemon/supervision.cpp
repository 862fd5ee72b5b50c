// SPDX-License-Identifier: Apache-2.0
#include "daemon/supervision.h"

#include <pthread.h>
#include <systemd/sd-daemon.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "disk/vfs.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::seconds start_extension{30};  // by which a start's deadline moves from its last sign of life on
constexpr std::chrono::seconds between_extensions{1};
constexpr int feeds_in_patience = 4;
constexpr std::chrono::minutes longest_answer{15};  // of the disk thread, while the disk does something

std::string extension(std::chrono::microseconds by) { return "EXTEND_TIMEOUT_USEC=" + std::to_string(by.count()); }
}  // namespace

Supervision::Supervision() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) > 0) patience_ = std::chrono::microseconds(microseconds);
  if (std::getenv("NOTIFY_SOCKET") == nullptr) return;
  start_ = std::jthread([seen = disk::calls_done()](const std::stop_token& ended) mutable {
    ::pthread_setname_np(::pthread_self(), "start");
    const std::string goes_on =
        extension(start_extension) + "\nSTATUS=Starting: the database is checked and brought up to date";
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!ended.stop_requested()) {
      wake.wait_for(lock, ended, between_extensions, [] { return false; });
      if (const auto done = disk::calls_done(); done != std::exchange(seen, done)) sd_notify(0, goes_on.c_str());
    }
  });
}

void Supervision::ready() {
  if (start_.joinable()) {
    start_.request_stop();
    start_.join();  // what it tells comes before
  }
  sd_notify(0, "READY=1\nSTATUS=");
}

void Supervision::waits_for(const std::string& server) const {
  sd_notify(0, (extension(start_extension) + "\nSTATUS=Waiting for " + server).c_str());
}

void Supervision::reloading() const { sd_notify(0, "RELOADING=1"); }
void Supervision::reloaded() const { sd_notify(0, "READY=1"); }

void Supervision::stopping(std::chrono::milliseconds most) const {
  sd_notify(0, ("STOPPING=1\n" + extension(most)).c_str());
}

namespace {
asio::awaitable<void> ask(Supervision::Ask answer, std::shared_ptr<bool> answered) {
  co_await answer();
  *answered = true;
}
}  // namespace

asio::awaitable<void> Supervision::feed(Ask answer, net::TaskGroup& tasks) const {
  if (patience_.count() == 0) co_return;
  asio::steady_timer pause(co_await asio::this_coro::executor);
  const auto answered = std::make_shared<bool>(true);
  auto answered_at = Clock::now();
  for (std::uint64_t seen = 0;;) {
    const auto done = disk::calls_done();
    const bool lives = done != std::exchange(seen, done) && Clock::now() - answered_at < longest_answer;
    if (*answered || lives) sd_notify(0, "WATCHDOG=1");
    if (*answered) {
      answered_at = Clock::now();
      *answered = false;
      tasks.spawn("watchdog", ask(answer, answered));
    }
    pause.expires_after(patience_ / feeds_in_patience);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

}  // namespace hoplock::daemon
