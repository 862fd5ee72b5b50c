// SPDX-License-Identifier: Apache-2.0
#include "delivery/openings.h"

#include <algorithm>

namespace hoplock::delivery {

void Openings::limit(std::size_t sessions) {
  if (most_ == sessions_) most_ = sessions;
  sessions_ = sessions;
  most_ = std::min(most_, sessions_);
}

// Down by an eighth, up by one, as TCP looks for what a path takes.
void Openings::measured(Clock::duration delay) {
  delay_ += (delay - delay_) / 8;
  if (delay_ > is_busy) most_ = std::max(std::min(least, sessions_), most_ - std::max<std::size_t>(1, most_ / 8));
  if (delay_ < is_calm) most_ = std::min(sessions_, most_ + 1);
}

std::optional<Openings::Clock::time_point> Openings::full_until(Clock::time_point now) const {
  std::size_t young = 0;
  for (auto one = begun_.rbegin(); one != begun_.rend() && *one + counted > now; ++one) {
    if (++young == most_) return *one + counted;
  }
  return std::nullopt;
}

}  // namespace hoplock::delivery
