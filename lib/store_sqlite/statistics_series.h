// SPDX-License-Identifier: Apache-2.0
// Figures over time (statistics/series.h) in the table statistics_series, which statistics.cpp makes.
#pragma once
#include "disk/job.h"
#include "statistics/series.h"

namespace hoplock::store_sqlite {

// On the disk thread, inside a job.
void write_series(disk::Tx& tx, const statistics::Tally::Minutes& minutes);
statistics::Series read_series(disk::Tx& tx, statistics::Span span, Time now);

}  // namespace hoplock::store_sqlite
