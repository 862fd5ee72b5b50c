// SPDX-License-Identifier: Apache-2.0
#include "delivery/attempt_limits.h"

#include <algorithm>
#include <chrono>

namespace hoplock::delivery {

namespace {
using Steady = std::chrono::steady_clock;
constexpr std::size_t most_closed = 20;  // connections of an attempt to hosts that never take its mail
}  // namespace

AttemptLimits::AttemptLimits(Progress& progress)
    : progress_(progress), deadline_(Steady::now() + progress.common.options.attempt_timeout) {}

void AttemptLimits::begin_source() {
  connections_ = sessions_ = 0;
  full_at_.reset();
}

net::SteadyTime AttemptLimits::deadline() {
  const Access* access = progress_.access;
  if (access != nullptr && access->gives_way.is_made()) deadline_ = std::min(deadline_, Steady::now());
  return deadline_;
}

bool AttemptLimits::is_enough(const route::Host& next) {
  const Options& options = progress_.common.options;
  const bool over = connections_ >= options.addresses_per_attempt || sessions_ >= options.sessions_per_attempt ||
                    Steady::now() >= deadline();
  progress_.cut_short = progress_.cut_short || over;
  return over || (full_at_ && next.preference > *full_at_);
}

void AttemptLimits::note_full(const route::Host& host) {
  if (!full_at_) full_at_ = host.preference;
}

void AttemptLimits::count_out(std::size_t before) {
  const std::size_t spent = std::max<std::size_t>(1, connections_ - before);
  if (closed_ + spent > most_closed) return;
  closed_ += spent;
  connections_ = before;
  --sessions_;
}

}  // namespace hoplock::delivery
