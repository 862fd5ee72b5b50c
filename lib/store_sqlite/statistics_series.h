// SPDX-License-Identifier: Apache-2.0
// Figures over time (statistics/series.h) in the table statistics_series, which statistics.cpp makes.
#pragma once
#include <filesystem>

#include "base/result.h"
#include "disk/job.h"
#include "statistics/series.h"

namespace hoplock::store_sqlite {

// On the disk thread, inside a job.
void write_series(disk::Tx& tx, const statistics::Tally::Minutes& minutes);
// Straight from the database file, as StatisticsReader does.
Result<statistics::Series> read_series(const std::filesystem::path& database, statistics::Span span, Time now);

}  // namespace hoplock::store_sqlite
