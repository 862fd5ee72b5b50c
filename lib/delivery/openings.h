// SPDX-License-Identifier: Apache-2.0
// How many sessions are opened at a time. Opening one costs far more of this machine than a message over one that is open: while what is
// ready on the loop waits for its turn, fewer are opened at a time, so that those come soon, and mail for the others gathers meanwhile
// and leaves over one session each. What waits for a server costs nothing and holds up nobody: an opening counts for 25 ms. Pure: the
// times are arguments.
#pragma once
#include <chrono>
#include <cstddef>
#include <list>
#include <optional>

namespace hoplock::delivery {

class Openings {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t least = 6;                    // at a time, however busy the machine is
  static constexpr std::chrono::milliseconds counted{25};    // of an opening's time
  static constexpr std::chrono::microseconds is_busy{1500};  // above it fewer are opened
  static constexpr std::chrono::microseconds is_calm{500};   // below it more

  // A session that is being opened, until it is let go of. REQUIRES: the Openings outlives it.
  class Place {
   public:
    Place(Openings& of, Clock::time_point now) : of_(of), at_(of.begun_.insert(of.begun_.end(), now)) {}
    ~Place() { of_.begun_.erase(at_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Openings& of_;
    std::list<Clock::time_point>::iterator at_;
  };

  // delivery.sessions: never more than that.
  void limit(std::size_t sessions);
  // How long something that was ready on the loop waited for its turn.
  void measured(Clock::duration delay);
  std::size_t most() const { return most_; }
  bool has_room(Clock::time_point now) const { return !full_until(now); }
  // While there is no room: when there will be, at the latest.
  std::optional<Clock::time_point> full_until(Clock::time_point now) const;

 private:
  std::list<Clock::time_point> begun_;  // oldest first
  std::size_t sessions_ = 1;
  std::size_t most_ = 1;
  Clock::duration delay_{};  // smoothed
};

}  // namespace hoplock::delivery
