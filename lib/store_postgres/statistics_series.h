// SPDX-License-Identifier: Apache-2.0
// Figures over time (statistics/series.h) in the table statistics_series: of each node its own, added up when they are read; what waits, in
// the queue that all share, is the most that any of them saw. For this module's own sources.
#pragma once
#include "postgres/batch.h"
#include "statistics/series.h"

namespace hoplock::store_postgres {

void add_series(postgres::Batch& batch, const statistics::Tally::Minutes& minutes);
postgres::Statement select_series(statistics::Span span, Time now);
statistics::Series series_of(const postgres::Rows& rows, statistics::Span span, Time now);

}  // namespace hoplock::store_postgres
