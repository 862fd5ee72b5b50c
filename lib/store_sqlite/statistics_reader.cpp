// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics_reader.h"

#include "disk/guarded.h"
#include "disk/migrations.h"
#include "store_sqlite/days.h"
#include "store_sqlite/statistics_series.h"

namespace hoplock::store_sqlite {

Result<SqliteStatisticsReader> SqliteStatisticsReader::open(const std::filesystem::path& database) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return SqliteStatisticsReader(std::move(*db));
}

SqliteStatisticsReader::Days SqliteStatisticsReader::days(disk::Tx& tx, const statistics::Range& range) {
  Days found;
  auto first = tx.prepare("SELECT min(day) FROM statistics_day");
  if (first.step() && !first.null(0)) found.since = day_of_number(first.integer(0));
  auto rows = tx.prepare("SELECT day FROM statistics_day WHERE day BETWEEN ?1 AND ?2 ORDER BY day");
  for (rows.bind(number_of(range.from), number_of(range.to)); rows.step();)
    found.days.push_back(day_of_number(rows.integer(0)));
  return found;
}

statistics::Partners SqliteStatisticsReader::read_day(disk::Tx& tx, statistics::Day day, const std::string& domain) {
  statistics::Partners found;
  auto rows = tx.prepare(
      "SELECT d.text, a.kind, w.text, a.count, a.messages, a.octets, a.first, a.last FROM statistics a"
      " JOIN statistics_text d ON d.id = a.domain JOIN statistics_text w ON w.id = a.what"
      " WHERE a.day = ?1 AND (?2 = '' OR a.domain = (SELECT id FROM statistics_text WHERE text = ?2))");
  for (rows.bind(number_of(day), domain); rows.step();) {
    if (rows.integer(1) > statistics::last_kind) continue;  // of a later version
    statistics::Sum sum;
    sum.count = static_cast<std::uint64_t>(rows.integer(3));
    sum.messages = static_cast<std::uint64_t>(rows.integer(4));
    sum.octets = static_cast<std::uint64_t>(rows.integer(5));
    sum.first = day + Seconds(rows.integer(6));
    sum.last = day + Seconds(rows.integer(7));
    found[std::string(rows.text(0))][{static_cast<statistics::Kind>(rows.integer(1)), std::string(rows.text(2))}].add(
        sum);
  }
  return found;
}

Result<statistics::Found> SqliteStatisticsReader::read(const statistics::Range& range) {
  return disk::guarded([&]() -> Result<statistics::Found> {
    statistics::Found found;
    Days days_;
    {
      disk::Tx tx(db_);
      if (!disk::has_table(tx, "statistics")) return found;
      days_ = days(tx, range);
    }
    found.since = days_.since;
    for (const statistics::Day day : days_.days) {
      disk::Tx tx(db_);
      for (const auto& [domain, partner] : read_day(tx, day, range.domain))
        for (const auto& [row, sum] : partner) found.partners[domain][row].add(sum);
    }
    return found;
  });
}

Result<statistics::Series> SqliteStatisticsReader::series(statistics::Span span, Time now) {
  return disk::guarded([&]() -> Result<statistics::Series> {
    disk::Tx tx(db_);
    return read_series(tx, span, now);
  });
}

}  // namespace hoplock::store_sqlite
