// SPDX-License-Identifier: Apache-2.0
#include "delivery/describe.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "delivery/retry_class.h"

namespace hoplock::delivery {

std::vector<store::RecipientResult> results(const Attempt& attempt, const Schedule& schedule) {
  if (attempt.outcomes.size() != attempt.recipients.size()) throw std::logic_error("an attempt without its outcomes");
  std::vector<store::RecipientResult> found;
  for (std::size_t i = 0; i < attempt.outcomes.size(); ++i) {
    const RecipientOutcome& outcome = attempt.outcomes[i];
    const store::Due& due = attempt.recipients[i].due;
    store::RecipientResult result;
    result.seq = due.seq;
    result.status = outcome.status;
    result.reply = outcome.reply;
    if (outcome.reason) result.reason = to_text(*outcome.reason);
    if (const Hop* hop = deciding_hop(attempt, i)) result.host = hop->where();
    if (outcome.fate == Fate::delivered) {
      result.verdict = store::Verdict::delivered;
    } else if (outcome.fate == Fate::bounced) {
      result.verdict = store::Verdict::bounced;
    } else if (queue::is_over({attempt.received, schedule.life_of(attempt.sender)}, attempt.ended)) {
      result.verdict = store::Verdict::expired;
    } else {
      const queue::Retry retry = retry_for(retry_class_of(outcome.reason, outcome.reply), schedule.retry);
      const queue::Delay delay = queue::next_delay(retry, due.interval, schedule.random);
      // the last attempt is made when its time is over, not when the retry after that would be due
      result.due = std::min(schedule.hold ? schedule.hold->until : attempt.ended + delay.wait,
                            attempt.received + schedule.life_of(attempt.sender));
      result.interval = schedule.hold ? schedule.hold->interval : delay.interval;
    }
    found.push_back(std::move(result));
  }
  return found;
}

std::vector<Event> hop_events(const Attempt& attempt) {
  std::vector<Event> events;
  if (const auto text = overlooked_text(attempt)) events.push_back(overlooked_event(attempt, *text));
  for (const HopLine& line : lines_of_hops(attempt)) events.push_back(to_event(line));
  return events;
}

std::vector<counted::Value> hop_counts(const Attempt& attempt) {
  std::vector<counted::Value> counts;
  if (attempt.overlooked) counts.emplace_back(counted::StsPolicy{"failed"});
  for (const HopLine& line : lines_of_hops(attempt)) counts.emplace_back(to_count(line));
  return counts;
}

}  // namespace hoplock::delivery
