#include "delivery/ending.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {

Ending ending_for(queue::Id id, const std::string& destination) {
  Ending ending;
  ending.settled.id = id;
  ending.settled.destination = destination;
  return ending;
}

Event expired_event(const queue::Job& job, const queue::Due& due, const queue::RecipientResult& result, Time now) {
  Event event(Level::warn, "expired");
  event.add("id", job.id.text())
      .add("from", job.envelope.sender.empty() ? "<>" : job.envelope.sender)
      .add("to", due.address);
  event.add("attempt", std::int64_t{due.attempts}).add("domain", due.domain.text());
  // "mx1.example.org[192.0.2.1]"; the brackets of a literal stand alone
  const auto bracket = result.host.find('[', 1);
  event.add("mx", result.host.substr(0, bracket));
  if (bracket != std::string::npos) event.add("ip", result.host.substr(bracket + 1, result.host.size() - bracket - 2));
  event.add("reason", result.reason)
      .add("dsn", result.status)
      .add("reply", result.reply)
      .add("delay", std::max<std::int64_t>(0, std::chrono::duration_cast<Seconds>(now - job.received).count()));
  return event;
}

}  // namespace

Ending ending_of(const Attempt& attempt, const Schedule& schedule) {
  Ending ending = ending_for(attempt.id, attempt.destination);
  ending.settled.recipients = results(attempt, schedule);
  ending.events = recipient_events(attempt, ending.settled.recipients);
  return ending;
}

Ending give_back(const queue::Job& job) { return ending_for(job.id, job.destination); }

Ending internal_error(const queue::Job& job, Time now, const Schedule& schedule) {
  Attempt attempt;
  attempt.id = job.id;
  attempt.destination = job.destination;
  attempt.sender = job.envelope.sender;
  attempt.received = job.received;
  attempt.ended = now;
  for (const queue::Due& due : job.recipients) {
    RecipientOutcome outcome;
    outcome.due = due;
    outcome.halt = Halt{std::nullopt, "internal error"};
    attempt.recipients.push_back(std::move(outcome));
  }
  return ending_of(attempt, schedule);
}

Ending expired_behind(const queue::Backoff& hold, const queue::Job& job, Time now) {
  Ending ending = ending_for(job.id, job.destination);
  for (const queue::Due& due : job.recipients) {
    queue::RecipientResult result;
    result.seq = due.seq;
    result.verdict = queue::Verdict::expired;
    result.status = hold.status;
    result.reply = hold.reply;
    result.reason = hold.reason;
    result.host = hold.host;
    ending.events.push_back(expired_event(job, due, result, now));
    ending.settled.recipients.push_back(std::move(result));
  }
  return ending;
}

queue::Backoff hold_for(const Down& why, Time now, const Holding& holding) {
  queue::Backoff hold;
  hold.failures = (holding.before ? holding.before->failures : 0) + 1;
  const queue::Delay delay = queue::delay_after(holding.retry, hold.failures, holding.random);
  hold.until = now + delay.wait;
  if (holding.end && *holding.end > now) hold.until = std::min(hold.until, *holding.end);
  hold.interval = delay.interval;
  hold.last = now;
  hold.status = why.status;
  hold.reply = why.reply;
  hold.reason = why.reason;
  hold.host = why.host;
  return hold;
}

}  // namespace hoplock::delivery
