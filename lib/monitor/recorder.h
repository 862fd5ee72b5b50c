// SPDX-License-Identifier: Apache-2.0
// Writes the figures of the status page's pictures down (statistics/series.h), one small write a minute, so that a restart
// forgets nothing but what a crash cuts off. What cannot be written now is kept in memory, bounded, and written with the next minute's.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <string>
#include <utility>

#include "monitor/counting_log.h"
#include "monitor/survey.h"
#include "net/clock.h"
#include "statistics/series.h"
#include "store/statistics_store.h"

namespace hoplock::monitor {

class Recorder {
 public:
  // REQUIRES: all outlive it.
  Recorder(boost::asio::any_io_executor executor, store::StatisticsStore& kept, CountingLog& log, Surveyor& surveyor,
           net::Clock clock = net::now)
      : executor_(std::move(executor)), kept_(kept), log_(log), surveyor_(surveyor), clock_(std::move(clock)) {}

  // For ever, until it is cancelled: at the beginning of each minute of the wall clock.
  boost::asio::awaitable<void> run();
  // Looks at what waits, and writes.
  boost::asio::awaitable<void> round();
  // At the end: what was counted since is handed to the store, and nobody waits for it.
  void end();

 private:
  boost::asio::any_io_executor executor_;
  store::StatisticsStore& kept_;
  CountingLog& log_;
  Surveyor& surveyor_;
  net::Clock clock_;
  std::string told_;  // the complaint, once
};

}  // namespace hoplock::monitor
