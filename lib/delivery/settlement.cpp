// SPDX-License-Identifier: Apache-2.0
#include "delivery/settlement.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "delivery/history_entry.h"
#include "delivery/remembered.h"

namespace hoplock::delivery {

namespace {

constexpr Milliseconds longest_rest = std::chrono::hours{1};  // between the end of a hold and the attempt that follows
constexpr Milliseconds longest_spread =
    std::chrono::minutes{10};  // of what waits behind a hold, over the time after it

Settlement settlement_for(store::Id id, const std::string& destination) {
  Settlement settlement;
  settlement.settled.id = id;
  settlement.settled.destination = destination;
  return settlement;
}

// The line about a recipient that ends without an attempt.
RecipientLine ended_line(const store::Job& job, const store::Due& due, const store::RecipientResult& result, Time now) {
  RecipientLine line;
  line.verdict = result.verdict;
  line.id = job.id;
  line.from = job.envelope.sender;
  line.to = due.address;
  line.attempt = due.attempts;
  line.domain = due.domain.text();
  line.reason = result.reason;
  line.status = result.status;
  line.reply = result.reply;
  line.delay = std::max(Seconds{0}, std::chrono::duration_cast<Seconds>(now - job.received));
  return line;
}

// What is stored of a hold names its host as Hop::where() does, and no more of it.
HopWords words_of_host(const std::string& where) {
  HopWords words;
  const auto bracket = where.find('[', 1);  // the brackets of a literal stand alone
  words.mx = where.substr(0, bracket);
  if (bracket != std::string::npos) words.ip = where.substr(bracket + 1, where.size() - bracket - 2);
  return words;
}

// Whose words a stored hold has, its text alone tells: a server's begin with their code.
hop::Words words_of_hold(const store::Backoff& hold) {
  const std::string& text = hold.reply;
  const bool coded = text.size() >= 3 && is_digit(text[0]) && is_digit(text[1]) && is_digit(text[2]);
  return coded && hop::parse_reason(hold.reason) == hop::Reason::smtp_reply ? hop::Words::peer : hop::Words::ours;
}

// What log and metrics tell of them.
void describe(Settlement& settlement, const std::vector<RecipientLine>& lines) {
  for (const RecipientLine& line : lines) {
    settlement.events.push_back(to_event(line));
    settlement.metrics.emplace_back(to_count(line));
  }
}

DsnMessage subject_of(const store::Job& job, Time now) {
  DsnMessage subject;
  subject.id = job.id;
  subject.envelope = job.envelope;
  subject.received = job.received;
  subject.size = job.size;
  subject.now = now;
  return subject;
}

// RPT-40: nobody is told that a report came back, but the ledger is.
std::vector<Settlement::ReturnedReport> returned_reports(const DsnMessage& subject,
                                                         const std::vector<DsnRecipient>& told) {
  std::vector<Settlement::ReturnedReport> all;
  for (const DsnRecipient& one : told) {
    if (one.result.verdict != store::Verdict::bounced && one.result.verdict != store::Verdict::expired) continue;
    all.push_back({subject.id, "mailto:" + one.due.address, one.result.reply});
  }
  return all;
}

void tell(Settlement& settlement, const DsnMessage& subject, const std::vector<DsnRecipient>& told,
          const Schedule& schedule) {
  if (subject.envelope.kind == store::Kind::report) {
    settlement.returned = returned_reports(subject, told);
    return;
  }
  for (Event& event : dropped(subject, told)) {
    settlement.events.push_back(std::move(event));
    settlement.metrics.emplace_back(counted::Once::notice_dropped);
  }
  if (schedule.dsn_options) settlement.notices = notices(subject, told, *schedule.dsn_options);
}

store::RecipientResult result_behind(const store::Backoff& hold, const store::Due& due, store::Verdict verdict) {
  store::RecipientResult result;
  result.seq = due.seq;
  result.verdict = verdict;
  result.status = hold.status;
  result.reply = hold.reply;
  result.reason = hold.reason;
  result.host = hold.host;
  return result;
}

std::vector<DsnRecipient> told_of(const Attempt& attempt, const Settlement& settlement) {
  std::vector<DsnRecipient> all;
  for (std::size_t i = 0; i < attempt.recipients.size(); ++i) {
    const RecipientStatus& status = attempt.recipients[i];
    DsnRecipient told;
    told.due = status.due;
    told.result = settlement.settled.recipients[i];
    told.words = attempt.outcomes[i].words;
    if (const Hop* hop = deciding_hop(attempt, i)) told.policy = hop->policy;
    told.peer_tells = status.hop && attempt.hops[*status.hop].dsn;
    all.push_back(std::move(told));
  }
  return all;
}

// Of a job that ends without an attempt: `each` has what becomes of a recipient, and the line about it.
template <class Each>
Settlement untried(const store::Job& job, Time now, const Schedule& schedule, Each each) {
  Settlement settlement = settlement_for(job.id, job.destination);
  std::vector<DsnRecipient> told;
  std::vector<RecipientLine> lines;
  for (const store::Due& due : job.recipients) {
    std::pair<DsnRecipient, RecipientLine> one = each(due);
    settlement.settled.recipients.push_back(one.first.result);
    told.push_back(std::move(one.first));
    lines.push_back(std::move(one.second));
  }
  describe(settlement, lines);
  settlement.settled.history_entry = history_entry(lines);
  settlement.statistics = remembered(now, lines);
  tell(settlement, subject_of(job, now), told, schedule);
  return settlement;
}

}  // namespace

Settlement settlement_of(const Attempt& attempt, const Schedule& schedule) {
  Settlement settlement = settlement_for(attempt.id, attempt.destination);
  settlement.settled.recipients = results(attempt, schedule);
  const std::vector<RecipientLine> lines = lines_of_recipients(attempt, settlement.settled.recipients);
  describe(settlement, lines);
  settlement.settled.history_entry = history_entry(attempt, lines);
  settlement.statistics = remembered(attempt, lines);
  DsnMessage subject;
  subject.id = attempt.id;
  subject.envelope = attempt.envelope;
  subject.envelope.sender = attempt.sender;
  subject.received = attempt.received;
  subject.size = attempt.size;
  subject.now = attempt.ended;
  tell(settlement, subject, told_of(attempt, settlement), schedule);
  settlement.counts = attempt.counts;
  return settlement;
}

Settlement released(const store::Job& job) { return settlement_for(job.id, job.destination); }

Settlement internal_error(const store::Job& job, Time now, const Schedule& schedule) {
  Attempt attempt;
  attempt.id = job.id;
  attempt.destination = job.destination;
  attempt.sender = job.envelope.sender;
  attempt.envelope = job.envelope;
  attempt.size = job.size;
  attempt.domain = job.recipients.front().domain;
  attempt.received = job.received;
  attempt.ended = now;
  for (const store::Due& due : job.recipients) {
    RecipientStatus status;
    status.due = due;
    status.stop = StopReason{std::nullopt, "internal error"};
    attempt.recipients.push_back(std::move(status));
  }
  return settlement_of(concluded(std::move(attempt)), schedule);
}

Settlement expired_on_hold(const store::Backoff& hold, const store::Job& job, const Schedule& schedule) {
  return untried(job, hold.last, schedule, [&](const store::Due& due) {
    store::RecipientResult result = result_behind(hold, due, store::Verdict::expired);
    RecipientLine line = ended_line(job, due, result, hold.last);
    line.hop = words_of_host(hold.host);
    return std::pair(DsnRecipient{due, std::move(result), words_of_hold(hold)}, std::move(line));
  });
}

// Not all at the moment when the hold ends: should it begin anew, each of them is leased and put back once more, others behind them.
Settlement deferred_on_hold(const store::Backoff& hold, Time told_since, const store::Job& job, Time now,
                            const Schedule& schedule) {
  const Milliseconds life = schedule.life_of(job.envelope.sender);
  if (queue::is_over({job.received, life}, now)) return expired_on_hold(hold, job, schedule);
  const auto spread = std::chrono::round<Milliseconds>(std::min(hold.interval, longest_spread) * schedule.random);
  Settlement settlement = untried(job, now, schedule, [&](const store::Due& due) {
    store::RecipientResult result = result_behind(hold, due, store::Verdict::deferred);
    result.due = std::min(hold.until + spread, job.received + life);
    result.interval = due.interval;
    RecipientLine line = ended_line(job, due, result, now);
    line.next = result.due;
    return std::pair(DsnRecipient{due, std::move(result), words_of_hold(hold)}, std::move(line));
  });
  const bool told = std::all_of(job.recipients.begin(), job.recipients.end(),
                                [&](const store::Due& due) { return due.last && *due.last >= told_since; });
  if (!told) return settlement;
  settlement.events.clear();
  settlement.metrics.clear();
  settlement.settled.history_entry.clear();
  settlement.statistics = {};
  return settlement;
}

Settlement bounced_by_operator(const std::string& operator_name, const store::Job& job, Time now,
                               const Schedule& schedule) {
  return untried(job, now, schedule, [&](const store::Due& due) {
    store::RecipientResult result;
    result.seq = due.seq;
    result.verdict = store::Verdict::bounced;
    result.status = "5.0.0";
    result.reply = "554 5.0.0 bounced by the administrator";
    if (!due.reply.empty()) result.reply += "; the last attempt had ended with: " + due.reply;
    RecipientLine line = ended_line(job, due, result, now);
    line.by = operator_name;
    return std::pair(DsnRecipient{due, std::move(result)}, std::move(line));
  });
}

Settlement delay_notice_on_hold(const store::Backoff& hold, const store::Job& job, const Schedule& schedule) {
  Settlement settlement = released(job);
  std::vector<DsnRecipient> told;
  for (const store::Due& due : job.recipients)
    told.push_back({due, result_behind(hold, due, store::Verdict::deferred), words_of_hold(hold)});
  tell(settlement, subject_of(job, hold.last), told, schedule);
  return settlement;
}

store::Backoff backoff_after(const DestinationFailure& why, Time now, const Holding& holding) {
  store::Backoff hold;
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
  if (why.reason) hold.reason = to_text(*why.reason);
  hold.host = why.host;
  return hold;
}

}  // namespace hoplock::delivery
