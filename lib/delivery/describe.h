// SPDX-License-Identifier: Apache-2.0
// What an Attempt means: the queue's results for its recipients and the log lines, each made by a pure function, so that each has its
// own test. CONTRACT, "Log lines" and the enhanced codes by reason.
#pragma once
#include <optional>
#include <vector>

#include "base/log.h"
#include "delivery/attempt.h"
#include "delivery/notices.h"
#include "queue/message.h"
#include "queue/schedule.h"

namespace hoplock::delivery {

struct Schedule {
  queue::Retry retry;
  Milliseconds expire{std::chrono::hours{24 * 5}};
  Milliseconds expire_bounces{std::chrono::hours{24}};  // mail with the empty sender
  Milliseconds life_of(const std::string& sender) const { return sender.empty() ? expire_bounces : expire; }
  std::optional<Telling> telling;      // nothing: nobody is told
  double random = 0.5;                 // in [0, 1)
  std::optional<queue::Backoff> hold;  // the destination is down as a whole: until when
};

// Results for the queue, one for each recipient, in order.
std::vector<queue::RecipientResult> results(const Attempt& attempt, const Schedule& schedule);

// `hop` lines: one for each host that was refused before the next was tried, and for each relaxed one. Before them an `sts-policy`
// line where a policy that nobody could look for was given up.
std::vector<Event> hop_events(const Attempt& attempt);
// `delivered`, `deferred`, `bounced` or `expired`: one for each recipient, to be logged once `results` are on stable storage.
std::vector<Event> recipient_events(const Attempt& attempt, const std::vector<queue::RecipientResult>& results);

// Every host that there is refuses this mail for good, and one of them because of REQUIRETLS (RTLS-08).
bool is_unfit_everywhere(const Attempt& attempt, const RecipientOutcome& outcome);

// Why the destination as a whole is down: nothing when some host was ready for mail, or when the refusal is permanent.
struct Down {
  std::string status;
  std::string reply;
  std::string reason;
  std::string host;
};
std::optional<Down> down(const Attempt& attempt);
// Somebody was delivered.
bool took_any(const Attempt& attempt);
// What became of its first recipient, in the same words, whoever is to blame.
Down failure_of(const Attempt& attempt);

}  // namespace hoplock::delivery
