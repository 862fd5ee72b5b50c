// SPDX-License-Identifier: Apache-2.0
// How many sessions a receiver takes at once, as found out by trying: cut to what works when it refuses one, grown again by one for every
// round of messages it took (additive increase), and kept at the limit that was found, which is tried again only from time to time, less
// and less often while it stands. All that is refused in one moment is one refusal: once it is over, half of what there was is tried again,
// as TCP does. Pure: time is an argument.
#pragma once
#include <chrono>
#include <cstddef>
#include <optional>

namespace hoplock::delivery {

class Allowance {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Allowance(std::size_t most) : most_(most), limit_(static_cast<double>(most)) {}

  // The operator's limit, which it never exceeds.
  void most(std::size_t most);
  std::size_t sessions() const { return static_cast<std::size_t>(limit_); }
  bool is_cut() const { return sessions() < most_; }
  // A session was refused while `working` others went on.
  void cut(std::size_t working, Clock::time_point now);
  // Not the receiver's word on how many, only room that is not there in this moment: silently smaller, and free to grow at once.
  void give_way(std::size_t sessions, Clock::time_point now);
  // No more than that, whatever there was before.
  void fit(std::size_t sessions);
  // A message was taken while `open` sessions were.
  void took(std::size_t open, Clock::time_point now);
  // Nothing was heard of it for long: what was learnt counts no more.
  bool is_stale(Clock::time_point now) const { return !is_cut() || now > changed_ + std::chrono::hours(1); }

 private:
  void note_moment(std::size_t open, Clock::time_point now);
  std::size_t half() const { return (moment_from_ + 1) / 2; }
  std::size_t most_;
  double limit_;
  std::optional<std::size_t> ceiling_;  // what it took when it last refused
  unsigned probes_ = 0;                 // that went well since
  bool refused_ = false;                // ever
  Clock::time_point probe_at_{};        // one more than that may be tried then
  Clock::time_point changed_{};
  Clock::duration probe_wait_{};
  Clock::time_point moment_at_{};
  std::size_t moment_from_ = 0;  // sessions when it began; 0: it is over
};

}  // namespace hoplock::delivery
