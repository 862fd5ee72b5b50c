// SPDX-License-Identifier: Apache-2.0
#include "statistics/series.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "disk/guarded.h"
#include "disk/migrations.h"

namespace hoplock::statistics {

namespace {

// statistics_series.step is the number of seconds; `at` counts such steps since 1970.
struct Resolution {
  std::int64_t step = 60;
  std::int64_t kept = 0;  // rows
};
constexpr std::array<Resolution, 3> resolutions{{{60, 2 * 24 * 60}, {3600, 90 * 24}, {86400, 2 * 365}}};
constexpr std::size_t most_minutes = 2 * 24 * 60;

struct Extent {
  std::int64_t step = 60;
  std::size_t points = 0;
};
Extent extent_of(Span span) {
  switch (span) {
    case Span::day:
      return {60, 24 * 60};
    case Span::week:
      return {3600, 7 * 24};
    case Span::month:
      return {3600, 30 * 24};
    case Span::years:
      break;
  }
  return {86400, 2 * 365};
}

std::int64_t floored(std::int64_t number, std::int64_t by) { return number / by - (number % by < 0 ? 1 : 0); }

void put(disk::Tx& tx, std::int64_t step, std::int64_t at, const Figures& figures) {
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

Figures figures_of(const disk::Statement& row, int column) {
  const auto next = [&] { return static_cast<std::uint64_t>(row.integer(column++)); };
  Figures figures;
  figures.accepted = next();
  figures.delivered = next();
  figures.deferred = next();
  figures.bounced = next();
  for (std::uint64_t& one : figures.proofs) one = next();
  if (row.null(column)) return figures;
  Waiting waiting;
  waiting.messages = next();
  waiting.oldest = Seconds(row.integer(column));
  figures.waiting = waiting;
  return figures;
}

}  // namespace

void Figures::add(const Figures& more) {
  accepted += more.accepted;
  delivered += more.delivered;
  deferred += more.deferred;
  bounced += more.bounced;
  for (std::size_t i = 0; i < proofs.size(); ++i) proofs[i] += more.proofs[i];
  if (!more.waiting) return;
  if (!waiting) waiting.emplace();
  waiting->messages = std::max(waiting->messages, more.waiting->messages);
  waiting->oldest = std::max(waiting->oldest, more.waiting->oldest);
}

Figures& Tally::at(Time now) {
  const std::int64_t minute = std::chrono::floor<std::chrono::minutes>(now).time_since_epoch().count();
  if (minutes_.size() < most_minutes || minutes_.contains(minute)) return minutes_[minute];
  return minutes_.begin()->second;
}

void Tally::add(const counted::Value& value, Time now) {
  if (const auto* accepted = std::get_if<counted::Accepted>(&value)) {
    at(now).accepted += accepted->recipients;
    return;
  }
  const auto* attempt = std::get_if<counted::Attempt>(&value);
  if (attempt == nullptr) return;
  Figures& figures = at(now);
  if (attempt->outcome == "delivered") {
    ++figures.delivered;
    ++figures.proofs[static_cast<std::size_t>(proof_of(attempt->policy, attempt->tls, attempt->auth))];
  } else {
    ++(attempt->outcome == "deferred" ? figures.deferred : figures.bounced);
  }
}

void Tally::look(const Waiting& waiting, Time now) {
  Figures figures;
  figures.waiting = waiting;
  at(now).add(figures);
}

Tally::Minutes Tally::take() { return std::exchange(minutes_, {}); }

void Tally::put_back(const Minutes& minutes) {
  for (const auto& [minute, figures] : minutes) minutes_[minute].add(figures);
  while (minutes_.size() > most_minutes) {
    const auto oldest = minutes_.begin();
    std::next(oldest)->second.add(oldest->second);
    minutes_.erase(oldest);
  }
}

void write(disk::Tx& tx, const Tally::Minutes& minutes) {
  for (const Resolution& one : resolutions) {
    Tally::Minutes sums;
    for (const auto& [minute, figures] : minutes) sums[floored(minute * 60, one.step)].add(figures);
    for (const auto& [at, figures] : sums) put(tx, one.step, at, figures);
    if (!sums.empty()) forget_points(tx, one, sums.rbegin()->first);
  }
}

Result<Series> read_series(const std::filesystem::path& database, Span span, Time now) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return disk::guarded([&]() -> Result<Series> {
    const Extent extent = extent_of(span);
    const auto last = floored(std::chrono::floor<Seconds>(now).time_since_epoch().count(), extent.step);
    const std::int64_t first = last - static_cast<std::int64_t>(extent.points) + 1;
    Series series;
    series.from = Time{Seconds(first * extent.step)};
    series.step = Seconds(extent.step);
    series.points.resize(extent.points);
    disk::Tx tx(*db);
    if (!disk::has_table(tx, "statistics_series")) return series;
    auto rows = tx.prepare(
        "SELECT at, accepted, delivered, deferred, bounced, dane, sts, verified, encrypted, clear, depth, oldest"
        " FROM statistics_series WHERE step = ?1 AND at BETWEEN ?2 AND ?3");
    for (rows.bind(extent.step, first, last); rows.step();)
      series.points[static_cast<std::size_t>(rows.integer(0) - first)] = figures_of(rows, 1);
    return series;
  });
}

}  // namespace hoplock::statistics
