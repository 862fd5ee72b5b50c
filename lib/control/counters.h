// SPDX-License-Identifier: Apache-2.0
// What happened since the start, counted from the very events that become log lines: so metrics, status page and log say the same in
// the same words. Labels are words of closed lists (CONTRACT, "The words for a hop's security"), never domains or addresses. Pure;
// one thread (the loop).
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "base/log.h"
#include "control/exposition.h"

namespace hoplock::control {

using SteadyTime = std::chrono::steady_clock::time_point;

// Counts by a few words of the event. However many there were, the number of combinations is bounded.
class Family {
 public:
  struct Options {
    std::string_view name;  // of the metric
    std::string_view help;
    std::vector<std::string_view> keys;  // of the event, and so the labels; "event" is its name
  };
  explicit Family(Options options) : options_(std::move(options)) {}
  // So that the first one of these is an increase from 0, not from nothing. REQUIRES: one key.
  void expect(std::initializer_list<std::string_view> values);

  // What the event is counted under: its words, in the order of `keys`, each with a newline behind it.
  std::string key_of(const Event& event) const;
  void add(const std::string& key);
  void write(Exposition& to) const;

 private:
  Options options_;
  std::map<std::string, std::uint64_t> counts_;
};

// Counts of the last hour, forgotten by the minute.
class LastHour {
 public:
  void add(const std::string& key, SteadyTime now);
  std::map<std::string, std::uint64_t> sum(SteadyTime now) const;

 private:
  struct Minute {
    std::int64_t number = -1;
    std::map<std::string, std::uint64_t> counts;
  };
  std::array<Minute, 60> minutes_;
};

class Counters {
 public:
  Counters();
  void add(const Event& event, SteadyTime now);
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

 private:
  Family attempts_, hops_, accepted_, rejected_, policies_, reports_, logged_;
  std::uint64_t recipients_ = 0;
  std::uint64_t octets_ = 0;
  std::uint64_t notices_dropped_ = 0;
  std::uint64_t report_bounces_ = 0;
  std::uint64_t limits_cut_ = 0;
  std::uint64_t limits_grown_ = 0;
  std::uint64_t reputation_holds_ = 0;
  std::uint64_t damaged_ = 0;
  Histogram delay_;
  LastHour attempts_hour_, policies_hour_;
};

}  // namespace hoplock::control
