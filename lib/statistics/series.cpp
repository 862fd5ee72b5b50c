// SPDX-License-Identifier: Apache-2.0
#include "statistics/series.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace hoplock::statistics {

namespace {

constexpr std::size_t most_minutes = 2 * 24 * 60;

std::int64_t floored(std::int64_t number, std::int64_t by) { return number / by - (number % by < 0 ? 1 : 0); }

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

Tally::Minutes in_steps(const Tally::Minutes& minutes, std::int64_t step) {
  Tally::Minutes sums;
  for (const auto& [minute, figures] : minutes) sums[floored(minute * 60, step)].add(figures);
  return sums;
}

Grid grid_of(Span span, Time now) {
  std::int64_t step = 86400, points = 2 * 365;
  if (span == Span::day) step = 60, points = 24 * 60;
  if (span == Span::week) step = 3600, points = 7 * 24;
  if (span == Span::month) step = 3600, points = 30 * 24;
  const std::int64_t last = floored(std::chrono::floor<Seconds>(now).time_since_epoch().count(), step);
  return {step, last - points + 1, last};
}

Series empty_series(const Grid& grid) {
  Series series;
  series.from = Time{Seconds(grid.first * grid.step)};
  series.step = Seconds(grid.step);
  series.points.resize(static_cast<std::size_t>(grid.last - grid.first + 1));
  return series;
}

}  // namespace hoplock::statistics
