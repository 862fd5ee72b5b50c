// SPDX-License-Identifier: Apache-2.0
// What an Attempt means to the queue, and what the log and the metrics tell of its hops: each made by a pure function from what outcome.h
// concluded, so that each has its own test. The recipients' lines are made in lines.h.
#pragma once
#include <optional>
#include <vector>

#include "base/log.h"
#include "delivery/attempt.h"
#include "delivery/lines.h"
#include "delivery/notices.h"
#include "queue/schedule.h"
#include "store/message.h"

namespace hoplock::delivery {

struct Schedule {
  queue::Retry retry;
  Milliseconds expire{std::chrono::hours{24 * 5}};
  Milliseconds expire_bounces{std::chrono::hours{24}};  // mail with the empty sender
  Milliseconds life_of(const std::string& sender) const { return sender.empty() ? expire_bounces : expire; }
  std::optional<DsnOptions> dsn_options;  // nothing: nobody is told
  double random = 0.5;                    // in [0, 1)
  std::optional<store::Backoff> hold;     // the destination is down as a whole: until when
};

// Results for the queue, one for each recipient, in order. REQUIRES: the attempt is concluded.
std::vector<store::RecipientResult> results(const Attempt& attempt, const Schedule& schedule);

// `hop` lines: one for each host that was refused before the next was tried, and for each relaxed one. Before them an `sts-policy`
// line where a policy that nobody could look for was given up.
std::vector<Event> hop_events(const Attempt& attempt);
// What hop_events() tells, counted.
std::vector<counted::Value> hop_counts(const Attempt& attempt);

}  // namespace hoplock::delivery
