// SPDX-License-Identifier: Apache-2.0
// What happened since the start, counted from the values that were told beside the log's lines: so metrics, status page and log say the
// same in the same words, and no key of the log matters here. Labels are words of closed lists (CONTRACT, "The words for a hop's
// security"), never domains or addresses. Pure; one thread (the loop).
#pragma once
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/counted.h"
#include "base/histogram.h"
#include "base/log.h"
#include "monitor/exposition.h"

namespace hoplock::monitor {

using SteadyTime = std::chrono::steady_clock::time_point;

// Counts by a few words. However many there were, the number of combinations is bounded.
class Family {
 public:
  struct Options {
    std::string_view name;  // of the metric
    std::string_view help;
    std::vector<std::string_view> labels;
  };
  explicit Family(Options options) : options_(std::move(options)) {}
  // So that the first one of these is an increase from 0, not from nothing. REQUIRES: one label.
  void expect(std::initializer_list<std::string_view> values);
  void expect_key(const std::string& key) { counts_[key] += 0; }

  // What these words, in the order of the labels, are counted under: each with a newline behind it.
  static std::string key_of(std::initializer_list<std::string_view> words);
  void add(const std::string& key);
  void write(Exposition& to) const;

 private:
  Options options_;
  std::map<std::string, std::uint64_t> counts_;
};

// Counts of the last `slots` times `each`, forgotten slot by slot.
class Lately {
 public:
  Lately(std::size_t slots, std::chrono::minutes each) : slots_(slots), each_(each) {}
  void add(const std::string& key, SteadyTime now);
  std::map<std::string, std::uint64_t> sum(SteadyTime now) const;

 private:
  std::int64_t number_of(SteadyTime time) const { return time.time_since_epoch() / each_; }
  struct Slot {
    std::int64_t number = -1;
    std::map<std::string, std::uint64_t> counts;
  };
  std::vector<Slot> slots_;
  std::chrono::minutes each_;
};

class Counters {
 public:
  Counters();
  void add(const counted::Value& value, SteadyTime now);
  // A line of the log, whether or not log.level shows it.
  void add_line(Level level);
  void write(Exposition& to) const;

  // Recipients' attempts.
  struct Attempts {
    std::string outcome, policy, tls, auth, reason;  // as in the log lines; may be empty
    std::uint64_t count = 0;
  };
  std::vector<Attempts> last_hour(SteadyTime now) const;  // most first
  // Fetches of MTA-STS policies.
  struct Fetches {
    std::uint64_t good = 0;
    std::uint64_t failed = 0;
  };
  Fetches fetches_last_hour(SteadyTime now) const;
  // Recipients' attempts that delivered nothing.
  struct Failures {
    std::string outcome, reason;
    std::uint64_t count = 0;
  };
  std::vector<Failures> failures_last_day(SteadyTime now) const;  // what ended first, then most first

 private:
  void take(const counted::Attempt& attempt, SteadyTime now);
  void take(const counted::RefusedHop& hop, SteadyTime now);
  void take(const counted::Accepted& message, SteadyTime now);
  void take(const counted::Rejected& reply, SteadyTime now);
  void take(const counted::StsPolicy& news, SteadyTime now);
  void take(const counted::Report& report, SteadyTime now);
  void take(const counted::SessionLimit& limit, SteadyTime now);
  void take(counted::Once what, SteadyTime now);
  Family attempts_, failures_, hops_, accepted_, rejected_, policies_, reports_, logged_;
  std::uint64_t recipients_ = 0;
  std::uint64_t octets_ = 0;
  std::uint64_t notices_dropped_ = 0;
  std::uint64_t report_bounces_ = 0;
  std::uint64_t limits_cut_ = 0;
  std::uint64_t limits_grown_ = 0;
  std::uint64_t reputation_holds_ = 0;
  std::uint64_t gave_way_ = 0;
  std::uint64_t damaged_ = 0;
  Histogram delay_;
  Lately attempts_hour_{60, std::chrono::minutes(1)}, policies_hour_{60, std::chrono::minutes(1)};
  Lately failures_day_{24, std::chrono::hours(1)};
};

}  // namespace hoplock::monitor
