// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/statistics_series.h"

#include <array>
#include <utility>
#include <vector>

namespace hoplock::store_postgres {

using postgres::Parameter;
using postgres::statement;

namespace {

// Figures as columns.
struct FigureColumns {
  using Numbers = std::vector<std::int64_t>;
  Numbers at, accepted, delivered, deferred, bounced;
  std::array<Numbers, 5> proofs;
  std::vector<std::optional<std::int64_t>> depth, oldest;

  void add(std::int64_t place, const statistics::Figures& figures) {
    const auto put = [](Numbers& to, std::uint64_t value) { to.push_back(static_cast<std::int64_t>(value)); };
    at.push_back(place);
    put(accepted, figures.accepted);
    put(delivered, figures.delivered);
    put(deferred, figures.deferred);
    put(bounced, figures.bounced);
    for (std::size_t i = 0; i < proofs.size(); ++i) put(proofs[i], figures.proofs[i]);
    depth.emplace_back();
    oldest.emplace_back();
    if (!figures.waiting) return;
    depth.back() = static_cast<std::int64_t>(figures.waiting->messages);
    oldest.back() = figures.waiting->oldest.count();
  }
};

constexpr std::string_view put_figures = R"(
INSERT INTO statistics_series AS s (step, at, slot, accepted, delivered, deferred, bounced, dane, sts, verified, encrypted,
  clear, depth, oldest)
SELECT $1, f.at, $2, f.accepted, f.delivered, f.deferred, f.bounced, f.dane, f.sts, f.verified, f.encrypted, f.clear,
  f.depth, f.oldest
FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
  AS f(at, accepted, delivered, deferred, bounced, dane, sts, verified, encrypted, clear, depth, oldest)
ON CONFLICT (step, at, slot) DO UPDATE SET accepted = s.accepted + excluded.accepted,
  delivered = s.delivered + excluded.delivered, deferred = s.deferred + excluded.deferred,
  bounced = s.bounced + excluded.bounced, dane = s.dane + excluded.dane, sts = s.sts + excluded.sts,
  verified = s.verified + excluded.verified, encrypted = s.encrypted + excluded.encrypted,
  clear = s.clear + excluded.clear, depth = greatest(s.depth, excluded.depth),
  oldest = greatest(s.oldest, excluded.oldest))";

// Of too many rows those that lie farthest from `now`, on either side. So a clock that is set wrong for a while costs no more of what was
// kept than it had rows of its own, and those are the first to go once it is right again.
constexpr std::string_view forget_points = R"(
DELETE FROM statistics_series WHERE step = $1 AND slot = $2 AND at IN (
  SELECT at FROM statistics_series WHERE step = $1 AND slot = $2 ORDER BY abs(at - $3) DESC
  LIMIT greatest(0, (SELECT count(*) FROM statistics_series WHERE step = $1 AND slot = $2) - $4)))";

statistics::Figures figures_of(const postgres::Row& row) {
  int column = 1;
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

void add_series(postgres::Batch& batch, const statistics::Tally::Minutes& minutes) {
  for (const statistics::Resolution& one : statistics::resolutions) {
    const auto sums = statistics::in_steps(minutes, one.step);
    if (sums.empty()) continue;
    FigureColumns columns;
    for (const auto& [at, figures] : sums) columns.add(at, figures);
    const auto& by = columns.proofs;
    batch.push_back(statement(std::string(put_figures), one.step, Parameter::slot(), columns.at, columns.accepted,
                              columns.delivered, columns.deferred, columns.bounced, by[0], by[1], by[2], by[3], by[4],
                              columns.depth, columns.oldest));
    batch.push_back(statement(std::string(forget_points), one.step, Parameter::slot(), sums.rbegin()->first, one.kept));
  }
}

postgres::Statement select_series(statistics::Span span, Time now) {
  const statistics::Grid grid = statistics::grid_of(span, now);
  return statement(
      "SELECT at, sum(accepted)::bigint, sum(delivered)::bigint, sum(deferred)::bigint, sum(bounced)::bigint,"
      " sum(dane)::bigint, sum(sts)::bigint, sum(verified)::bigint, sum(encrypted)::bigint, sum(clear)::bigint,"
      " max(depth), max(oldest) FROM statistics_series WHERE step = $1 AND at BETWEEN $2 AND $3 GROUP BY at",
      grid.step, grid.first, grid.last);
}

statistics::Series series_of(const postgres::Rows& rows, statistics::Span span, Time now) {
  const statistics::Grid grid = statistics::grid_of(span, now);
  statistics::Series series = statistics::empty_series(grid);
  for (const postgres::Row row : rows)
    series.points[static_cast<std::size_t>(row.integer(0) - grid.first)] = figures_of(row);
  return series;
}

}  // namespace hoplock::store_postgres
