// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics_series.h"

#include <algorithm>
#include <array>
#include <utility>

#include "disk/guarded.h"
#include "disk/migrations.h"

namespace hoplock::store_sqlite {

namespace {

// statistics_series.step is the number of seconds; `at` counts such steps since 1970.
struct Resolution {
  std::int64_t step = 60;
  std::int64_t kept = 0;  // rows
};
constexpr std::array<Resolution, 3> resolutions{{{60, 2 * 24 * 60}, {3600, 90 * 24}, {86400, 2 * 365}}};
struct Extent {
  std::int64_t step = 60;
  std::size_t points = 0;
};
Extent extent_of(statistics::Span span) {
  switch (span) {
    case statistics::Span::day:
      return {60, 24 * 60};
    case statistics::Span::week:
      return {3600, 7 * 24};
    case statistics::Span::month:
      return {3600, 30 * 24};
    case statistics::Span::years:
      break;
  }
  return {86400, 2 * 365};
}

std::int64_t floored(std::int64_t number, std::int64_t by) { return number / by - (number % by < 0 ? 1 : 0); }

void put_figures(disk::Tx& tx, std::int64_t step, std::int64_t at, const statistics::Figures& figures) {
  std::optional<std::uint64_t> depth;
  std::optional<std::int64_t> oldest;
  if (figures.waiting) {
    depth = figures.waiting->messages;
    oldest = figures.waiting->oldest.count();
  }
  const auto& by = figures.proofs;
  tx.prepare(
        "INSERT INTO statistics_series (step, at, accepted, delivered, deferred, bounced, dane, sts, verified, "
        "encrypted,"
        " clear, depth, oldest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        " ON CONFLICT (step, at) DO UPDATE SET accepted = accepted + ?3, delivered = delivered + ?4,"
        " deferred = deferred + ?5, bounced = bounced + ?6, dane = dane + ?7, sts = sts + ?8, verified = verified + ?9,"
        " encrypted = encrypted + ?10, clear = clear + ?11,"
        " depth = max(ifnull(depth, ?12), ifnull(?12, depth)), oldest = max(ifnull(oldest, ?13), ifnull(?13, oldest))")
      .bind(step, at, figures.accepted, figures.delivered, figures.deferred, figures.bounced, by[0], by[1], by[2],
            by[3], by[4], depth, oldest)
      .run();
}

// Of too many rows those that lie farthest from `now`, on either side. So a clock that is set wrong for a while costs no more of what was
// kept than it had rows of its own, and those are the first to go once it is right again.
void forget_points(disk::Tx& tx, const Resolution& of, std::int64_t now) {
  tx.prepare(
        "DELETE FROM statistics_series WHERE step = ?1 AND at IN (SELECT at FROM statistics_series WHERE step = ?1"
        " ORDER BY abs(at - ?2) DESC LIMIT max(0, (SELECT count(*) FROM statistics_series WHERE step = ?1) - ?3))")
      .bind(of.step, now, of.kept)
      .run();
}

statistics::Figures figures_of(const disk::Statement& row, int column) {
  const auto next = [&] { return static_cast<std::uint64_t>(row.integer(column++)); };
  statistics::Figures figures;
  figures.accepted = next();
  figures.delivered = next();
  figures.deferred = next();
  figures.bounced = next();
  for (std::uint64_t& one : figures.proofs) one = next();
  if (row.null(column)) return figures;
  statistics::Waiting waiting;
  waiting.messages = next();
  waiting.oldest = Seconds(row.integer(column));
  figures.waiting = waiting;
  return figures;
}

}  // namespace

void write_series(disk::Tx& tx, const statistics::Tally::Minutes& minutes) {
  for (const Resolution& one : resolutions) {
    statistics::Tally::Minutes sums;
    for (const auto& [minute, figures] : minutes) sums[floored(minute * 60, one.step)].add(figures);
    for (const auto& [at, figures] : sums) put_figures(tx, one.step, at, figures);
    if (!sums.empty()) forget_points(tx, one, sums.rbegin()->first);
  }
}

statistics::Series read_series(disk::Tx& tx, statistics::Span span, Time now) {
  const Extent extent = extent_of(span);
  const auto last = floored(std::chrono::floor<Seconds>(now).time_since_epoch().count(), extent.step);
  const std::int64_t first = last - static_cast<std::int64_t>(extent.points) + 1;
  statistics::Series series;
  series.from = Time{Seconds(first * extent.step)};
  series.step = Seconds(extent.step);
  series.points.resize(extent.points);
  if (!disk::has_table(tx, "statistics_series")) return series;
  auto rows = tx.prepare(
      "SELECT at, accepted, delivered, deferred, bounced, dane, sts, verified, encrypted, clear, depth, oldest"
      " FROM statistics_series WHERE step = ?1 AND at BETWEEN ?2 AND ?3");
  for (rows.bind(extent.step, first, last); rows.step();)
    series.points[static_cast<std::size_t>(rows.integer(0) - first)] = figures_of(rows, 1);
  return series;
}

}  // namespace hoplock::store_sqlite
