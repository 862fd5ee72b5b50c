// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics_series.h"

#include <algorithm>
#include <array>
#include <utility>

#include "disk/guarded.h"
#include "disk/migrations.h"

namespace hoplock::store_sqlite {

namespace {

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
void forget_points(disk::Tx& tx, const statistics::Resolution& of, std::int64_t now) {
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
  for (const statistics::Resolution& one : statistics::resolutions) {
    const auto sums = statistics::in_steps(minutes, one.step);
    for (const auto& [at, figures] : sums) put_figures(tx, one.step, at, figures);
    if (!sums.empty()) forget_points(tx, one, sums.rbegin()->first);
  }
}

statistics::Series read_series(disk::Tx& tx, statistics::Span span, Time now) {
  const statistics::Grid grid = statistics::grid_of(span, now);
  statistics::Series series = statistics::empty_series(grid);
  if (!disk::has_table(tx, "statistics_series")) return series;
  auto rows = tx.prepare(
      "SELECT at, accepted, delivered, deferred, bounced, dane, sts, verified, encrypted, clear, depth, oldest"
      " FROM statistics_series WHERE step = ?1 AND at BETWEEN ?2 AND ?3");
  for (rows.bind(grid.step, grid.first, grid.last); rows.step();)
    series.points[static_cast<std::size_t>(rows.integer(0) - grid.first)] = figures_of(rows, 1);
  return series;
}

}  // namespace hoplock::store_sqlite
