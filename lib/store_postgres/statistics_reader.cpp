// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/statistics_reader.h"

#include "statistics/batch.h"
#include "store_postgres/ledger_rows.h"
#include "store_postgres/statistics_series.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::statement;

namespace {

constexpr std::string_view find_days =
    "SELECT min(day)::bigint, NULL::bigint FROM (SELECT min(day) AS day FROM statistics_day UNION ALL"
    " SELECT min(day) FROM statistics_batch) s"
    " UNION ALL SELECT NULL, d.day FROM (SELECT day FROM statistics_day UNION SELECT day FROM statistics_batch) d"
    " WHERE d.day BETWEEN $1 AND $2";

// Rows and batches in one state of the database: what is moved from these to those meanwhile is counted once.
constexpr std::string_view find_counted =
    "SELECT domain, kind, what, sum(count)::bigint, sum(messages)::bigint, sum(octets)::bigint, min(first), max(last),"
    " NULL::bytea FROM statistics WHERE day = $1 AND ($2 = '' OR domain = $2) GROUP BY domain, kind, what"
    " UNION ALL SELECT '', 0::smallint, '', 0, 0, 0, 0, 0, data FROM statistics_batch WHERE day = $1";

}  // namespace

Result<> PostgresStatisticsReader::read_day(statistics::Day day, const std::string& domain, statistics::Partners& to) {
  const auto rows = connection_.run(statement(std::string(find_counted), number_of(day), text_of(domain)));
  if (!rows) return rows.error();
  for (const postgres::Row row : *rows) {
    if (!row.null(8)) {
      statistics::unpack(row.bytea(8), day, [&](const statistics::Unpacked& one) {
        if (static_cast<int>(one.kind) > statistics::last_kind || (!domain.empty() && one.domain != domain)) return;
        to[std::string(one.domain)][{one.kind, std::string(one.what)}].add(one.sum);
      });
      continue;
    }
    if (row.integer(1) > statistics::last_kind) continue;  // of a later version
    statistics::Sum sum;
    sum.count = static_cast<std::uint64_t>(row.integer(3));
    sum.messages = static_cast<std::uint64_t>(row.integer(4));
    sum.octets = static_cast<std::uint64_t>(row.integer(5));
    sum.first = day + Seconds(row.integer(6));
    sum.last = day + Seconds(row.integer(7));
    to[std::string(row.text(0))][{static_cast<statistics::Kind>(row.integer(1)), std::string(row.text(2))}].add(sum);
  }
  return {};
}

Result<statistics::Found> PostgresStatisticsReader::read(const statistics::Range& range) {
  const auto days =
      connection_.run(statement(std::string(find_days) + " ORDER BY 2", number_of(range.from), number_of(range.to)));
  if (!days) return days.error();
  statistics::Found found;
  for (const postgres::Row row : *days) {
    if (const auto since = row.maybe_integer(0)) found.since = day_of_number(*since);
    if (row.null(1)) continue;
    const auto read = read_day(day_of_number(row.integer(1)), range.domain, found.partners);
    if (!read) return read.error();
  }
  return found;
}

Result<statistics::Series> PostgresStatisticsReader::series(statistics::Span span, Time now) {
  const auto rows = connection_.run(select_series(span, now));
  if (!rows) return rows.error();
  return series_of(*rows, span, now);
}

}  // namespace hoplock::store_postgres
