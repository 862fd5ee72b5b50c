// SPDX-License-Identifier: Apache-2.0
#include "delivery/allowance.h"

#include <algorithm>

namespace hoplock::delivery {

namespace {
constexpr std::chrono::seconds first_probe{5};
constexpr std::chrono::minutes last_probe{5};
constexpr std::chrono::seconds burst{1};  // refusals of one moment are one refusal
}  // namespace

void Allowance::most(std::size_t most) {
  if (sessions() == most_ || limit_ > static_cast<double>(most)) limit_ = static_cast<double>(most);
  most_ = most;
}

// One that began before anything was taken since goes on from half of the last one.
void Allowance::note_moment(std::size_t open, Clock::time_point now) {
  if (moment_from_ > 0 && now <= moment_at_ + burst) return;
  moment_from_ = std::max(half(), std::min(open, sessions()));
  moment_at_ = now;
}

void Allowance::cut(std::size_t working, Clock::time_point now) {
  note_moment(working + 1, now);
  const std::size_t before = sessions();
  const std::size_t to = std::max<std::size_t>(1, std::min(working, before > 1 ? before - 1 : 1));
  limit_ = static_cast<double>(std::min(to, most_));
  if (now > changed_ + burst || probe_wait_ == Clock::duration{}) {
    const bool knew = refused_ && now < changed_ + 4 * last_probe;
    probe_wait_ = knew ? std::min<Clock::duration>(probe_wait_ * 2, last_probe) : first_probe;
  }
  ceiling_ = to;
  refused_ = true;
  probes_ = 0;
  probe_at_ = now + probe_wait_;
  changed_ = now;
}

void Allowance::give_way(std::size_t sessions, Clock::time_point now) {
  note_moment(sessions + 1, now);
  limit_ = std::min(limit_, static_cast<double>(std::max<std::size_t>(1, sessions)));
}

void Allowance::fit(std::size_t sessions) {
  limit_ = std::min(limit_, static_cast<double>(std::max<std::size_t>(1, sessions)));
  moment_from_ = 0;
}

void Allowance::took(std::size_t open, Clock::time_point now) {
  const auto most = static_cast<double>(most_);
  if (moment_from_ > 0 && now > moment_at_ + burst) {
    limit_ = std::max(limit_, std::min(most, static_cast<double>(half())));
    if (ceiling_) ceiling_ = std::max(*ceiling_, sessions());
    moment_from_ = 0;
  }
  if (limit_ >= most || open < sessions()) return;
  if (ceiling_ && sessions() >= *ceiling_) {
    if (now < probe_at_) return;
    probe_at_ = now + burst;  // one more at a time beyond what was refused
    limit_ = std::min(most, static_cast<double>(sessions() + 1));
    ceiling_ = sessions();
    if (++probes_ > 2) ceiling_.reset();  // it was a bad moment, not a limit
    return;
  }
  limit_ = std::min(most, limit_ + 1 / limit_);
}

}  // namespace hoplock::delivery
