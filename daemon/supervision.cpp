// SPDX-License-Identifier: Apache-2.0
#include "daemon/supervision.h"

#include <systemd/sd-daemon.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <string>

namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::seconds start_extension{30};  // by which a start's deadline moves from its last sign of life on
constexpr std::chrono::seconds between_extensions{1};
constexpr int feeds_in_patience = 4;

std::string extension(std::chrono::microseconds by) { return "EXTEND_TIMEOUT_USEC=" + std::to_string(by.count()); }
}  // namespace

Supervision::Supervision() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) > 0) patience_ = std::chrono::microseconds(microseconds);
}

void Supervision::progress() {
  if (ready_) return;
  const auto now = Clock::now();
  auto told = told_.load();
  if (told != Clock::time_point::min() && now - told < between_extensions) return;
  if (!told_.compare_exchange_strong(told, now)) return;  // another thread tells it
  sd_notify(0,
            (extension(start_extension) + "\nSTATUS=Starting: the database is checked and brought up to date").c_str());
}

void Supervision::ready() {
  ready_ = true;
  sd_notify(0, "READY=1\nSTATUS=");
}

void Supervision::reloading() const { sd_notify(0, "RELOADING=1"); }
void Supervision::reloaded() const { sd_notify(0, "READY=1"); }

void Supervision::stopping(std::chrono::milliseconds most) const {
  sd_notify(0, ("STOPPING=1\n" + extension(most)).c_str());
}

asio::awaitable<void> Supervision::feed(disk::Disk& disk) const {
  if (patience_.count() == 0) co_return;
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (;;) {
    auto answer = [](disk::Tx&) -> Result<> { return {}; };
    co_await disk.run(disk::Durability::read, std::move(answer));  // an error is an answer, too: it does not hang
    sd_notify(0, "WATCHDOG=1");
    pause.expires_after(patience_ / feeds_in_patience);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

}  // namespace hoplock::daemon
