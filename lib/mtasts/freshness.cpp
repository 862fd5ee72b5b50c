// SPDX-License-Identifier: Apache-2.0
#include "mtasts/freshness.h"

#include <algorithm>

namespace hoplock::mtasts {

namespace {
constexpr Seconds shortest_wait{300};   // RFC 8461 section 3.3: five minutes
constexpr Seconds longest_wait{3600};   // a domain that mends its policy is not left without it for longer
constexpr unsigned most_doublings = 8;  // far beyond longest_wait

Seconds wait_after(unsigned failures) {
  const unsigned doublings = std::min(failures - 1, most_doublings);
  return std::min(Seconds{shortest_wait.count() << doublings}, longest_wait);
}
}  // namespace

Freshness settled(Freshness row, Time now) {
  if (row.held) row.held->fetched = std::min(row.held->fetched, now);
  row.failures.last = std::min(row.failures.last, now);
  return row;
}

Time expires(const Held& held) { return held.fetched + held.max_age; }

bool is_live(const Held& held, Time now) { return now < expires(held) && held.fetched - now <= held.max_age; }

Time may_fetch_at(const Failures& failures, std::string_view id) {
  if (failures.count == 0) return Time::min();
  return failures.last + (failures.id == id ? wait_after(failures.count) : shortest_wait);
}

Need need(const Freshness& row, std::string_view id, Time now) {
  if (row.held && is_live(*row.held, now) && row.held->id == id) return Need::nothing;
  const bool clock_set_back = row.failures.last > now;
  return clock_set_back || now >= may_fetch_at(row.failures, id) ? Need::fetch : Need::wait;
}

std::optional<Time> refresh_at(const Freshness& row, Seconds every, double jitter) {
  if (!row.held) return std::nullopt;
  const Seconds half = row.held->max_age / 2;
  if (half < std::min(every, shortest_wait)) return std::nullopt;
  const auto after = std::min(every, half);
  const auto early = std::chrono::duration_cast<Seconds>(after * (std::clamp(jitter, 0.0, 1.0) / 5));
  const Time due = row.held->fetched + after - early;
  return std::max(due, may_fetch_at(row.failures, row.failures.id));
}

}  // namespace hoplock::mtasts
