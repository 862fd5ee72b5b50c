// SPDX-License-Identifier: Apache-2.0
// Figures over time, for pictures: what was accepted and what became of it, under which proof mail left, how much waited and how long. Each
// minute for 2 days, each hour for 90, each day for 2 years: 2,880 + 2,160 + 730 rows of about 60 octets, below 400 KiB, whatever happens.
// A Tally gathers in memory what is counted for the metrics, by the minute of the wall clock in which it happened; written down, it is added
// to the rows. So each event is counted once, whatever the clock does, and a restart loses what was gathered since it was last written alone, a
// minute at most. A clock that is set forward leaves a hole as long as its jump, which costs nothing; one that is set back adds to rows
// that are there. Of too many rows those go that are farthest from now, so that what a wrong clock left makes room for what is right.
// Pure.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/counted.h"
#include "base/time.h"
#include "statistics/proof.h"

namespace hoplock::statistics {

// What waits, at one moment.
struct Waiting {
  std::uint64_t messages = 0;
  Seconds oldest{0};  // the age of the oldest one; 0: none waits
  bool operator==(const Waiting&) const = default;
};

// Of one minute, hour or day. Counts are recipients, of `accepted` those of accepted messages; `deferred` counts attempts.
struct Figures {
  std::uint64_t accepted = 0;
  std::uint64_t delivered = 0;
  std::uint64_t deferred = 0;
  std::uint64_t bounced = 0;              // expired mail among them
  std::array<std::uint64_t, 5> proofs{};  // of the delivered, by Proof
  std::optional<Waiting> waiting;         // the most, and the longest; nothing: nobody looked
  void add(const Figures& more);
  bool operator==(const Figures&) const = default;
};

class Tally {
 public:
  using Minutes = std::map<std::int64_t, Figures>;  // by minutes since 1970
  void add(const counted::Value& value, Time now);
  void look(const Waiting& waiting, Time now);
  // All that was gathered, which is nobody else's from now on.
  Minutes take();
  // What could not be written after all. Of more than two days' minutes the oldest are added up.
  void put_back(const Minutes& minutes);

 private:
  Figures& at(Time now);
  Minutes minutes_;
};

enum class Span : std::uint8_t { day, week, month, years };  // 24 h in minutes; 7 d, 30 d in hours; 2 years in days

// How finely it is kept; times are counted in steps since 1970.
struct Resolution {
  std::int64_t step = 60;  // seconds
  std::int64_t kept = 0;   // rows
};
inline constexpr std::array<Resolution, 3> resolutions{{{60, 2 * 24 * 60}, {3600, 90 * 24}, {86400, 2 * 365}}};
// Added up by steps.
Tally::Minutes in_steps(const Tally::Minutes& minutes, std::int64_t step);

// The times of a span.
struct Grid {
  std::int64_t step = 60;
  std::int64_t first = 0;
  std::int64_t last = 0;  // holds `now`
};
Grid grid_of(Span span, Time now);

// An even grid of times, the last of which holds `now`.
struct Series {
  Time from{};  // where the first one begins
  Seconds step{60};
  std::vector<std::optional<Figures>> points;  // nothing: the daemon did not run, or the clock never said so
};
Series empty_series(const Grid& grid);

}  // namespace hoplock::statistics
