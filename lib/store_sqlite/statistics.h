// SPDX-License-Identifier: Apache-2.0
// The statistics: what is remembered for years of how mail left, one row for each UTC day, partner domain and proof, for `hoplock audit`; and
// the figures of each minute, hour and day for the status page's pictures. The tables statistics, statistics_text, statistics_day,
// statistics_batch and statistics_series. Its functions run inside disk jobs; the counts of an attempt are written in the transaction that
// stores its results, so that both stand or neither does: as a batch (statistics/batch.h), one row whatever was counted. The rows are made of
// many batches at once, in a transaction that takes these away; what reads adds up both. Nothing here reads the queue, the history or the log: what was not counted when it happened is
// never counted. It knows no clock.
//
// How large it grows. A row takes about 32 octets (day, two numbers of texts, five sums); its texts are stored once for all days. A relay
// that writes to 100 partners a day keeps some 5 rows for each (two proofs, two keys, a record): 16 KiB a day, 6 MiB a year. At worst,
// under attack, a day holds StatisticsLimits::domains domains, StatisticsLimits::rows rows, and beyond them what each domain always has: the row "others" of
// each kind, and its deliveries, whose words are few. (20,000 + 5,000 * 10) * 32 octets and 20,000 texts of 100 octets, twice: 6 MiB a
// day. A domain that shows a new certificate at each session has StatisticsLimits::rows_of_kind of them a day; what comes then is counted with the
// others of its kind, and what comes beyond the domains with "other domains", so that no sum is ever wrong for it.
// The batches take 1 MiB at most beside them.
// Rows of the StatisticsLimits::days latest days that saw mail are kept, whatever a clock that was set wrong said meanwhile.
#pragma once
#include <cstdint>
#include <string_view>

#include "disk/job.h"
#include "disk/migrations.h"
#include "statistics/rows.h"

namespace hoplock::store_sqlite {

disk::Migration statistics_migration();
disk::Migration statistics_batch_migration();  // after it

struct StatisticsLimits {
  std::uint64_t domains = 5'000;    // of a day
  std::uint64_t strangers = 2'500;  // of them domains that no day before had: who makes names up displaces no partner
  std::uint64_t rows = 20'000;      // of a day
  std::uint64_t rows_of_kind = 24;  // of a domain and day, where others choose the words
  std::uint64_t days = 5 * 366;     // kept
};
// A batch. True: they have become many, and rows are to be made of them soon, in a transaction of its own: it takes some milliseconds, or
// more where what was counted differs much, and no result of a delivery may wait or fail for it.
bool add_statistics(disk::Tx& tx, const statistics::Counts& counts);
// Rows of all the batches that are there.
void fold_statistics(disk::Tx& tx, const StatisticsLimits& limits = {});

// Forgets what is older than the days that are kept, a part of it at a time: true: there is more.
bool forget_statistics(disk::Tx& tx, const StatisticsLimits& limits = {});

}  // namespace hoplock::store_sqlite
