// SPDX-License-Identifier: Apache-2.0
#include "delivery/ending.h"

#include "delivery/story.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {

constexpr Milliseconds longest_rest = std::chrono::hours{1};  // between the end of a hold and the attempt that follows

Ending ending_for(queue::Id id, const std::string& destination) {
  Ending ending;
  ending.settled.id = id;
  ending.settled.destination = destination;
  return ending;
}

// The beginning of the line about a recipient that ends without an attempt.
Event ended_event(std::string_view name, const queue::Job& job, const queue::Due& due) {
  Event event(Level::warn, name);
  event.add("id", job.id.text())
      .add("from", job.envelope.sender.empty() ? "<>" : job.envelope.sender)
      .add("to", due.address);
  event.add("attempt", std::int64_t{due.attempts}).add("domain", due.domain.text());
  return event;
}

std::int64_t seconds_waited(Time then, Time now) {
  return std::max<std::int64_t>(0, std::chrono::duration_cast<Seconds>(now - then).count());
}

Event expired_event(const queue::Job& job, const queue::Due& due, const queue::RecipientResult& result, Time now) {
  Event event = ended_event("expired", job, due);
  // "mx1.example.org[192.0.2.1]"; the brackets of a literal stand alone
  const auto bracket = result.host.find('[', 1);
  event.add("mx", result.host.substr(0, bracket));
  if (bracket != std::string::npos) event.add("ip", result.host.substr(bracket + 1, result.host.size() - bracket - 2));
  event.add("reason", result.reason)
      .add("dsn", result.status)
      .add("reply", result.reply)
      .add("delay", seconds_waited(job.received, now));
  return event;
}

Subject subject_of(const queue::Job& job, Time now) {
  Subject subject;
  subject.id = job.id;
  subject.envelope = job.envelope;
  subject.received = job.received;
  subject.size = job.size;
  subject.now = now;
  return subject;
}

// RPT-40: nobody is told that a report came back, but the ledger is.
std::vector<Ending::ReturnedReport> returned_reports(const Subject& subject, const std::vector<Told>& told) {
  std::vector<Ending::ReturnedReport> all;
  for (const Told& one : told) {
    if (one.result.verdict != queue::Verdict::bounced && one.result.verdict != queue::Verdict::expired) continue;
    all.push_back({subject.id, "mailto:" + one.due.address, one.result.reply});
  }
  return all;
}

void tell(Ending& ending, const Subject& subject, const std::vector<Told>& told, const Schedule& schedule) {
  if (subject.envelope.kind == queue::Kind::report) {
    ending.returned = returned_reports(subject, told);
    return;
  }
  for (Event& event : dropped(subject, told)) ending.events.push_back(std::move(event));
  if (schedule.telling) ending.notices = notices(subject, told, *schedule.telling);
}

queue::RecipientResult result_behind(const queue::Backoff& hold, const queue::Due& due, queue::Verdict verdict) {
  queue::RecipientResult result;
  result.seq = due.seq;
  result.verdict = verdict;
  result.status = hold.status;
  result.reply = hold.reply;
  result.reason = hold.reason;
  result.host = hold.host;
  return result;
}

std::vector<Told> told_of(const Attempt& attempt, const Ending& ending) {
  std::vector<Told> all;
  for (std::size_t i = 0; i < attempt.recipients.size(); ++i) {
    const RecipientOutcome& outcome = attempt.recipients[i];
    Told told;
    told.due = outcome.due;
    told.result = ending.settled.recipients[i];
    told.policy = ending.events[i].get("policy");
    told.peer_tells = outcome.hop && attempt.hops[*outcome.hop].dsn;
    all.push_back(std::move(told));
  }
  return all;
}

// Of a job that ends without an attempt: `each` has what becomes of a recipient, and the line about it.
template <class Each>
Ending untried(const queue::Job& job, Time now, const Schedule& schedule, Each each) {
  Ending ending = ending_for(job.id, job.destination);
  std::vector<Told> told;
  for (const queue::Due& due : job.recipients) {
    std::pair<queue::RecipientResult, Event> one = each(due);
    told.push_back({due, one.first, "", false});
    ending.settled.recipients.push_back(std::move(one.first));
    ending.events.push_back(std::move(one.second));
  }
  ending.settled.story = story({}, ending.events);
  tell(ending, subject_of(job, now), told, schedule);
  return ending;
}

}  // namespace

Ending ending_of(const Attempt& attempt, const Schedule& schedule) {
  Ending ending = ending_for(attempt.id, attempt.destination);
  ending.settled.recipients = results(attempt, schedule);
  ending.events = recipient_events(attempt, ending.settled.recipients);
  Subject subject;
  subject.id = attempt.id;
  subject.envelope = attempt.envelope;
  subject.envelope.sender = attempt.sender;
  subject.received = attempt.received;
  subject.size = attempt.size;
  subject.now = attempt.ended;
  std::vector<Event> hops = hop_events(attempt);
  for (Event& event : conversations(attempt)) hops.push_back(std::move(event));
  ending.settled.story = story(hops, ending.events);
  tell(ending, subject, told_of(attempt, ending), schedule);
  ending.counts = attempt.counts;
  return ending;
}

Ending give_back(const queue::Job& job) { return ending_for(job.id, job.destination); }

Ending internal_error(const queue::Job& job, Time now, const Schedule& schedule) {
  Attempt attempt;
  attempt.id = job.id;
  attempt.destination = job.destination;
  attempt.sender = job.envelope.sender;
  attempt.envelope = job.envelope;
  attempt.size = job.size;
  attempt.domain = job.recipients.front().domain;
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

Ending expired_behind(const queue::Backoff& hold, const queue::Job& job, const Schedule& schedule) {
  return untried(job, hold.last, schedule, [&](const queue::Due& due) {
    queue::RecipientResult result = result_behind(hold, due, queue::Verdict::expired);
    Event event = expired_event(job, due, result, hold.last);
    return std::pair(std::move(result), std::move(event));
  });
}

Ending deferred_behind(const queue::Backoff& hold, const queue::Job& job, Time now, const Schedule& schedule) {
  const Milliseconds life = schedule.life_of(job.envelope.sender);
  if (queue::is_over({job.received, life}, now)) return expired_behind(hold, job, schedule);
  return untried(job, now, schedule, [&](const queue::Due& due) {
    queue::RecipientResult result = result_behind(hold, due, queue::Verdict::deferred);
    result.due = std::min(hold.until, job.received + life);
    result.interval = due.interval;
    Event event = ended_event("deferred", job, due);
    event.add("reason", result.reason).add("dsn", result.status).add("reply", result.reply);
    event.add("delay", seconds_waited(job.received, now)).add("next", to_rfc3339(result.due));
    return std::pair(std::move(result), std::move(event));
  });
}

Ending bounced_by(const std::string& operator_name, const queue::Job& job, Time now, const Schedule& schedule) {
  return untried(job, now, schedule, [&](const queue::Due& due) {
    queue::RecipientResult result;
    result.seq = due.seq;
    result.verdict = queue::Verdict::bounced;
    result.status = "5.0.0";
    result.reply = "554 5.0.0 bounced by the administrator";
    if (!due.reply.empty()) result.reply += "; the last attempt had ended with: " + due.reply;
    Event event = ended_event("bounced", job, due);
    event.add("dsn", result.status).add("reply", result.reply).add("delay", seconds_waited(job.received, now));
    event.add("by", operator_name);
    return std::pair(std::move(result), std::move(event));
  });
}

Ending delayed_behind(const queue::Backoff& hold, const queue::Job& job, const Schedule& schedule) {
  Ending ending = give_back(job);
  std::vector<Told> told;
  for (const queue::Due& due : job.recipients)
    told.push_back({due, result_behind(hold, due, queue::Verdict::deferred), "", false});
  tell(ending, subject_of(job, hold.last), told, schedule);
  return ending;
}

queue::Backoff hold_for(const Down& why, Time now, const Holding& holding) {
  queue::Backoff hold;
  // One that ended long ago is another trouble's: nothing was to be delivered there since.
  const bool follows =
      holding.before && now <= holding.before->until + std::max(holding.before->interval, longest_rest);
  hold.failures = (follows ? holding.before->failures : 0) + 1;
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
