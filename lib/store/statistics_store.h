// SPDX-License-Identifier: Apache-2.0
// Where figures over time are kept. What is counted by day and domain comes with the results that it tells of (MailStore::settle).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/result.h"
#include "statistics/series.h"

namespace hoplock::store {

namespace asio = boost::asio;

class StatisticsStore {
 public:
  using MinutesPtr = std::shared_ptr<const statistics::Tally::Minutes>;
  StatisticsStore() = default;
  StatisticsStore(const StatisticsStore&) = delete;
  StatisticsStore& operator=(const StatisticsStore&) = delete;
  virtual ~StatisticsStore() = default;

  // Adds them to what is kept.
  virtual asio::awaitable<Result<>> write(MinutesPtr minutes) = 0;
  virtual void write_later(MinutesPtr minutes) = 0;  // without waiting
  // Makes rows of what was counted by day and domain, and forgets a part of what is older than the statistics go.
  virtual asio::awaitable<Result<>> tend() = 0;
};

}  // namespace hoplock::store
