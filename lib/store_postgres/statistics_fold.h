// SPDX-License-Identifier: Apache-2.0
// Rows made of many batches (statistics/batch.h), within the bounds of a node's day: what each domain always has is kept, what comes beyond
// is counted with the others of its kind, and beyond the domains with "other domains". Pure: what is known is handed in.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "statistics/rows.h"

namespace hoplock::store_postgres {

struct StatisticsLimits {
  std::uint64_t domains = 5'000;    // of a node's day
  std::uint64_t strangers = 2'500;  // of them domains that no day before had: who makes names up displaces no partner
  std::uint64_t rows = 20'000;      // of a node's day
  std::uint64_t rows_of_kind = 24;  // of a domain and day, where others choose the words
  std::uint64_t days = 5 * 366;     // kept
};

class StatisticsFold {
 public:
  struct Totals {
    std::uint64_t domains = 0;
    std::uint64_t strangers = 0;  // of them
    std::uint64_t rows = 0;
    bool changed = false;
  };
  using Sums = std::map<statistics::Row, statistics::Sum>;

  explicit StatisticsFold(StatisticsLimits limits = {}) : limits_(limits) {}
  // A batch, as it was stored.
  void gather(statistics::Day day, std::string_view octets);
  const Sums& gathered() const { return gathered_; }

  // What is stored of these days and their domains, "" among them.
  void know_row(statistics::Row row);
  void know_domain(std::string domain) { seen_.insert(std::move(domain)); }
  void know_day(statistics::Day day, Totals totals) { totals_[day] = totals; }

  // What was gathered, each at its place.
  void place();
  const Sums& placed() const { return placed_; }
  const std::map<statistics::Day, Totals>& totals() const { return totals_; }

 private:
  using OfDay = std::pair<statistics::Day, std::string>;
  struct OfKind {
    statistics::Day day{};
    std::string domain;
    statistics::Kind kind{};
    auto operator<=>(const OfKind&) const = default;
  };
  bool has_place(const statistics::Row& row);
  bool has_room(const statistics::Row& row);
  void make(const statistics::Row& row);

  StatisticsLimits limits_;
  Sums gathered_;
  Sums placed_;
  std::set<statistics::Row> known_;
  std::set<OfDay> domains_;
  std::map<OfKind, std::uint64_t> kinds_;
  std::set<std::string> seen_;
  std::map<statistics::Day, Totals> totals_;
};

}  // namespace hoplock::store_postgres
