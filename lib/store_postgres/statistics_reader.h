// SPDX-License-Identifier: Apache-2.0
// The statistics as the tool and the status page read them: what all nodes counted, a day at a time.
#pragma once
#include "postgres/blocking.h"
#include "store/readers.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresStatisticsReader final : public store::StatisticsReader {
 public:
  explicit PostgresStatisticsReader(postgres::BlockingConnection connection) : connection_(std::move(connection)) {}

  Result<statistics::Found> read(const statistics::Range& range) override;
  Result<statistics::Series> series(statistics::Span span, Time now) override;

 private:
  Result<> read_day(statistics::Day day, const std::string& domain, statistics::Partners& to);

  postgres::BlockingConnection connection_;
};

}  // namespace hoplock::store_postgres
