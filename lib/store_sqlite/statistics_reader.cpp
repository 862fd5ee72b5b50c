// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics_reader.h"

#include <set>

#include "disk/guarded.h"
#include "disk/migrations.h"
#include "statistics/batch.h"
#include "store_sqlite/days.h"
#include "store_sqlite/snapshot.h"
#include "store_sqlite/statistics_series.h"

namespace hoplock::store_sqlite {

Result<SqliteStatisticsReader> SqliteStatisticsReader::open(const std::filesystem::path& database) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return SqliteStatisticsReader(std::move(*db));
}

SqliteStatisticsReader::Days SqliteStatisticsReader::days(disk::Tx& tx, const statistics::Range& range,
                                                          Batches batches) {
  std::set<statistics::Day> all;
  auto first = tx.prepare("SELECT min(day) FROM statistics_day");
  if (first.step() && !first.null(0)) all.insert(day_of_number(first.integer(0)));
  auto rows = tx.prepare("SELECT day FROM statistics_day WHERE day BETWEEN ?1 AND ?2");
  for (rows.bind(number_of(range.from), number_of(range.to)); rows.step();) all.insert(day_of_number(rows.integer(0)));
  if (batches == Batches::there) {
    auto counted = tx.prepare("SELECT DISTINCT day FROM statistics_batch");
    while (counted.step()) all.insert(day_of_number(counted.integer(0)));
  }
  Days found;
  if (!all.empty()) found.since = *all.begin();
  if (range.from <= range.to) found.days.assign(all.lower_bound(range.from), all.upper_bound(range.to));
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

void SqliteStatisticsReader::add_batches(disk::Tx& tx, statistics::Day day, const std::string& domain,
                                         statistics::Partners& to) {
  auto batches = tx.prepare("SELECT data FROM statistics_batch WHERE day = ?1");
  for (batches.bind(number_of(day)); batches.step();) {
    statistics::unpack(batches.blob(0), day, [&](const statistics::Unpacked& one) {
      if (static_cast<int>(one.kind) > statistics::last_kind || (!domain.empty() && one.domain != domain)) return;
      to[std::string(one.domain)][{one.kind, std::string(one.what)}].add(one.sum);
    });
  }
}

Result<statistics::Found> SqliteStatisticsReader::read(const statistics::Range& range) {
  return disk::guarded([&]() -> Result<statistics::Found> {
    statistics::Found found;
    Days known;
    Batches batches = Batches::none;
    {
      const Snapshot snapshot(db_);
      disk::Tx tx(db_);
      if (!disk::has_table(tx, "statistics")) return found;
      if (disk::has_table(tx, "statistics_batch")) batches = Batches::there;
      known = days(tx, range, batches);
    }
    found.since = known.since;
    for (const statistics::Day day : known.days) {
      const Snapshot snapshot(db_);
      disk::Tx tx(db_);
      statistics::Partners of_day = read_day(tx, day, range.domain);
      if (batches == Batches::there) add_batches(tx, day, range.domain, of_day);
      for (const auto& [domain, partner] : of_day)
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
