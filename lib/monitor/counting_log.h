// SPDX-License-Identifier: Apache-2.0
// The Log that services are given: passes lines on, and keeps the metrics of what they count, and the tally for the series. Reads no
// line, but for its level.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "monitor/counters.h"
#include "net/clock.h"
#include "statistics/series.h"

namespace hoplock::monitor {

class CountingLog : public Log {
 public:
  // REQUIRES: `to` outlives it, and it the loop's last run; the constructor runs on the thread that will run the loop.
  CountingLog(Log& to, boost::asio::any_io_executor loop, net::Clock clock = net::now)
      : to_(to), loop_(std::move(loop)), clock_(std::move(clock)) {}

  // Counts do not depend on the level: what is counted is made at least.
  bool enabled(Level level) const override { return level >= Level::info || to_.enabled(level); }
  void write(const Event& event) override {
    to_.write(event);
    if (event.level() < Level::warn) return;
    on_loop([this, level = event.level()] { counters_.add_line(level); });
  }
  void count(const counted::Value& value) override {
    on_loop([this, value] {
      counters_.add(value, std::chrono::steady_clock::now());
      tally_.add(value, clock_());
    });
  }

  // On the loop.
  const Counters& counters() const { return counters_; }
  statistics::Tally& tally() { return tally_; }

 private:
  template <class Call>
  void on_loop(Call call) {
    if (std::this_thread::get_id() == thread_) return call();
    boost::asio::post(loop_, std::move(call));
  }
  Log& to_;
  boost::asio::any_io_executor loop_;
  net::Clock clock_;
  std::thread::id thread_ = std::this_thread::get_id();
  Counters counters_;
  statistics::Tally tally_;
};

}  // namespace hoplock::monitor
