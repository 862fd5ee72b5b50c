// SPDX-License-Identifier: Apache-2.0
#include "delivery/describe.h"

#include <algorithm>

#include "delivery/patience.h"
#include "delivery/story.h"

namespace hoplock::delivery {

namespace {

using hop::Reason;

// What decided over one recipient, in words for queue and log.
struct Judgement {
  Fate fate = Fate::deferred;
  const Hop* hop = nullptr;
  std::optional<Reason> reason;
  std::string status;
  std::string reply;
};

// Several hosts: the last one refused by policy, else the last one tried (CONTRACT).
const Hop* deciding_hop(const Attempt& attempt) {
  const auto refused = [](const Hop& hop) { return hop.refusal && !hop.was_tried_again(); };
  const auto& hops = attempt.hops;
  const auto policy = std::find_if(hops.rbegin(), hops.rend(), [&](const Hop& hop) {
    return refused(hop) && !hop.definite && is_policy(hop.refusal->reason);
  });
  if (policy != hops.rend()) return &*policy;
  const auto temporary =
      std::find_if(hops.rbegin(), hops.rend(), [&](const Hop& hop) { return refused(hop) && !hop.definite; });
  if (temporary != hops.rend()) return &*temporary;
  return hops.empty() ? nullptr : &hops.back();
}

// The class of an enhanced code while the message is kept (x is 4), or for good.
std::string with_class(smtp::EnhancedStatus status, Fate fate) {
  if (fate != Fate::delivered) status.category = fate == Fate::deferred ? 4 : 5;
  return status.text();
}

void judge_by_reply(Judgement& judgement, const smtp::Reply& reply) {
  judgement.status = with_class(reply.status_or_default(), judgement.fate);
  judgement.reply = reply.one_line();
  if (judgement.fate != Fate::delivered) judgement.reason = Reason::smtp_reply;
}

// A refusal whose text is the server's own reply ("554 5.7.1 no"): its codes stand, in the class of a message that is kept.
std::optional<smtp::EnhancedStatus> status_in(const std::string& text) {
  const auto first = text.find(' ');
  if (first == std::string::npos) return std::nullopt;
  const auto second = text.find(' ', first + 1);
  return smtp::EnhancedStatus::parse(
      std::string_view(text).substr(first + 1, second == std::string::npos ? second : second - first - 1));
}

void judge_by_refusal(Judgement& judgement, const Hop& hop, const hop::Refusal& refusal) {
  judgement.reason = refusal.reason;
  if (refusal.reason == Reason::smtp_reply) {
    judgement.status = with_class(status_in(refusal.text).value_or(smtp::EnhancedStatus{4, 0, 0}), Fate::deferred);
    judgement.reply = refusal.text;
    return;
  }
  judgement.status = "4." + hop::code(refusal);
  judgement.reply = hop::refusal_text(refusal, hop.where(), hop::Kept::yes);
}

void judge_halt(Judgement& judgement, const Halt& halt, const Hop* hop) {
  judgement.hop = hop;
  judgement.reason = halt.reason;
  if (halt.reason == Reason::smtp_reply) {  // in the server's words, or in place of them
    judgement.status = with_class(status_in(halt.text).value_or(smtp::EnhancedStatus{4, 0, 0}), Fate::deferred);
    judgement.reply = halt.text;
    return;
  }
  judgement.status = halt.reason ? "4." + std::string(hop::code(*halt.reason)) : "4.3.0";
  judgement.reply = halt.reason && hop != nullptr
                        ? hop::refusal_text({*halt.reason, halt.text}, hop->where(), hop::Kept::yes)
                        : "450 " + judgement.status + " " + halt.text;
}

Judgement judge_destination(const route::NoHosts& none, const RecipientOutcome& outcome) {
  Judgement judgement;
  judgement.fate = none.kind == route::NoHosts::Kind::permanent ? Fate::bounced : Fate::deferred;
  judgement.reason = none.reason;
  judgement.status = none.enhanced;
  judgement.reply = std::to_string(none.code) + " " + none.enhanced + " " +
                    (none.reason ? std::string(to_text(*none.reason)) + ": " : "") + outcome.due.domain.text() + ": " +
                    none.text;
  return judgement;
}

// MX-06: there are hosts, and every one of them is definitely unusable.
Judgement judge_unusable(const Hop& hop) {
  Judgement judgement;
  judgement.fate = Fate::bounced;
  judgement.hop = &hop;
  judgement.status = "5.4.4";
  judgement.reply = "550 5.4.4 " + hop.where() + ": " + hop.refusal->text;
  return judgement;
}

bool was_unfit(const Hop& hop) {
  return !hop.outdated && hop.refusal && hop.refusal->reason == Reason::requiretls_not_supported;
}

// MX-18, MX-19, RTLS-08: every host that there is lacks what the message needs.
bool is_closed_everywhere(const Attempt& attempt, const Lacking& lacking) {
  if (attempt.hosts_left) return false;
  for (std::size_t i = 0; i < attempt.hops.size(); ++i) {
    const Hop& hop = attempt.hops[i];
    const bool lacks = std::any_of(lacking.hops.begin(), lacking.hops.end(),
                                   [&](std::size_t at) { return at == i || speaks_for(attempt.hops[at], hop); });
    const bool elsewhere = std::any_of(attempt.hops.begin(), attempt.hops.end(), [&](const Hop& one) {
      return (one.no_mail || was_unfit(one)) && speaks_for(one, hop);
    });
    if (!lacks && !elsewhere && !hop.was_tried_again() && !hop.definite && !hop.no_mail && !was_unfit(hop))
      return false;
  }
  return true;
}

// 5.7.30, or 5.7.10; of several hosts the last one.
Judgement judge_unfit(const Attempt& attempt) {
  const auto hop = std::find_if(attempt.hops.rbegin(), attempt.hops.rend(), was_unfit);
  Judgement judgement;
  judgement.fate = Fate::bounced;
  judgement.hop = &*hop;
  judgement.reason = hop->refusal->reason;
  judgement.status = "5." + hop::code(*hop->refusal);
  judgement.reply = hop::refusal_text(*hop->refusal, hop->where(), hop::Kept::no);
  return judgement;
}

// MX-24: some host says that it never takes mail, and no other one is left that might.
bool takes_no_mail(const Attempt& attempt) {
  if (attempt.hosts_left) return false;
  const auto over = [&attempt](const Hop& hop) {
    const auto speaks = [&hop](const Hop& one) { return one.no_mail && speaks_for(one, hop); };
    return hop.no_mail || hop.definite || hop.was_tried_again() ||
           std::any_of(attempt.hops.begin(), attempt.hops.end(), speaks);
  };
  return std::all_of(attempt.hops.begin(), attempt.hops.end(), over) &&
         std::any_of(attempt.hops.begin(), attempt.hops.end(),
                     [](const Hop& hop) { return hop.no_mail && hop.refusal; });
}

Judgement judge_no_mail(const Attempt& attempt) {
  const auto hop = std::find_if(attempt.hops.rbegin(), attempt.hops.rend(),
                                [](const Hop& one) { return one.no_mail && one.refusal; });
  Judgement judgement;
  judgement.fate = Fate::bounced;
  judgement.hop = &*hop;
  judgement.reason = Reason::smtp_reply;
  judgement.status = with_class(status_in(hop->refusal->text).value_or(smtp::EnhancedStatus{5, 3, 2}), Fate::bounced);
  judgement.reply = hop->refusal->text;
  return judgement;
}

Judgement judge_lacking(const Hop& hop, const Lacking& lacking) {
  Judgement judgement;
  judgement.fate = Fate::bounced;
  judgement.hop = &hop;
  judgement.status = lacking.status;
  judgement.reply = "554 " + lacking.status + " " + hop.where() + ": " + lacking.text;
  return judgement;
}

Judgement judge(const Attempt& attempt, const RecipientOutcome& outcome) {
  if (attempt.no_hosts) return judge_destination(*attempt.no_hosts, outcome);
  Judgement judgement;
  judgement.fate = outcome.fate;
  if (outcome.fate != Fate::deferred && outcome.hop && outcome.reply) {
    judgement.hop = &attempt.hops[*outcome.hop];
    judge_by_reply(judgement, *outcome.reply);
    return judgement;
  }
  if (outcome.halt) {
    judge_halt(judgement, *outcome.halt, outcome.hop ? &attempt.hops[*outcome.hop] : nullptr);
    return judgement;
  }
  if (is_unfit_everywhere(attempt, outcome)) return judge_unfit(attempt);
  if (!outcome.lacking.hops.empty() && is_closed_everywhere(attempt, outcome.lacking))
    return judge_lacking(attempt.hops[outcome.lacking.hops.back()], outcome.lacking);
  if (takes_no_mail(attempt)) return judge_no_mail(attempt);
  const Hop* decisive = deciding_hop(attempt);
  if (decisive == nullptr || !decisive->refusal) {
    judgement.hop = decisive;
    judgement.status = "4.3.0";
    judgement.reply = "450 4.3.0 internal error: nothing decided";
    return judgement;
  }
  const bool all_definite = !attempt.hosts_left && std::all_of(attempt.hops.begin(), attempt.hops.end(),
                                                               [](const Hop& hop) { return hop.definite; });
  if (all_definite) return judge_unusable(*decisive);
  judgement.hop = decisive;
  if (outcome.hop && outcome.reply && &attempt.hops[*outcome.hop] == decisive) {
    judge_by_reply(judgement, *outcome.reply);
  } else {
    judge_by_refusal(judgement, *decisive, *decisive->refusal);
  }
  return judgement;
}

std::string_view event_name(queue::Verdict verdict) {
  switch (verdict) {
    case queue::Verdict::delivered:
      return "delivered";
    case queue::Verdict::deferred:
      return "deferred";
    case queue::Verdict::bounced:
      return "bounced";
    case queue::Verdict::expired:
      return "expired";
  }
  return "?";
}

std::int64_t seconds_since(Time then, Time now) {
  return std::max<std::int64_t>(0, std::chrono::duration_cast<Seconds>(now - then).count());
}

// Who and under which policy: shared by `hop` lines and recipients' lines.
void add_hop_keys(Event& event, const Hop& hop) {
  event.add("mx", hop.mx).add("ip", hop.ip ? hop.ip->text() : "").add("src", hop.src ? hop.src->text() : "");
  event.add("policy", std::string(to_text(hop.policy)));
  event.add("tls", hop.tls ? hop.tls->version : "none");
}

// "sts:ok", "sts-testing:mx-not-in-policy": a rule that did not decide, and what it would have refused the host for.
std::string observed_text(const hop::Observation& observed) {
  return std::string(to_text(observed.policy)) + ":" +
         (observed.defect ? std::string(to_text(observed.defect->reason)) : "ok");
}

void add_proof_keys(Event& event, const Hop& hop) {
  event.add("mx_dnssec", std::string(dns::to_text(hop.mx_security)));
  if (hop.tls) event.add("sni", hop.tls->sni);
  if (hop.matched && hop.auth != hop::Auth::none) event.add("tlsa", hop.matched->params());
  if (hop.observed) event.add("observed", observed_text(*hop.observed));
}

std::string_view action_word(Hop::Action action) {
  switch (action) {
    case Hop::Action::next_host:
      return "next-host";
    case Hop::Action::plaintext:
      return "plaintext";
    case Hop::Action::audit:
      return "audit";
    case Hop::Action::none:
      break;
  }
  return "";
}

Event hop_event(const Attempt& attempt, const Hop& hop, const hop::Refusal& why, std::string_view action) {
  Judgement judgement;
  if (hop.definite) {
    judgement.reply = hop.where() + ": " + why.text;
  } else {
    judge_by_refusal(judgement, hop, why);
  }
  Event event(Level::warn, "hop");
  event.add("id", attempt.id.text()).add("domain", attempt.domain.text());
  add_hop_keys(event, hop);
  event.add("auth", std::string(to_text(hop.auth))).add("cert", hop.tls ? hop.tls->key : "");
  event.add("reason", judgement.reason ? std::string(to_text(*judgement.reason)) : "")
      .add("dsn", judgement.status)
      .add("reply", judgement.reply)
      .add("action", std::string(action));
  add_proof_keys(event, hop);
  event.add("note", attempt.note);
  return event;
}

// STS-06: mail goes on without a policy that there may be. Nobody is to learn that from a delivery's silence.
Event overlooked_event(const Attempt& attempt, const hop::Refusal& why) {
  const auto waited = std::chrono::duration_cast<std::chrono::minutes>(hop::sts_patience).count();
  Event event(Level::warn, "sts-policy");
  event.add("domain", attempt.domain.text()).add("action", "failed");
  event.add("error", std::string(to_text(why.reason)) + ": " + why.text + "; after " + std::to_string(waited) +
                         " minutes in the queue mail is sent as if there were no policy");
  return event;
}

}  // namespace

bool is_unfit_everywhere(const Attempt& attempt, const RecipientOutcome& outcome) {
  return std::any_of(attempt.hops.begin(), attempt.hops.end(), was_unfit) &&
         is_closed_everywhere(attempt, outcome.lacking);
}

std::vector<queue::RecipientResult> results(const Attempt& attempt, const Schedule& schedule) {
  std::vector<queue::RecipientResult> found;
  for (const RecipientOutcome& outcome : attempt.recipients) {
    const Judgement judgement = judge(attempt, outcome);
    queue::RecipientResult result;
    result.seq = outcome.due.seq;
    result.status = judgement.status;
    result.reply = judgement.reply;
    if (judgement.reason) result.reason = to_text(*judgement.reason);
    if (judgement.hop != nullptr) result.host = judgement.hop->where();
    if (judgement.fate == Fate::delivered) {
      result.verdict = queue::Verdict::delivered;
    } else if (judgement.fate == Fate::bounced) {
      result.verdict = queue::Verdict::bounced;
    } else if (queue::is_over({attempt.received, schedule.life_of(attempt.sender)}, attempt.ended)) {
      result.verdict = queue::Verdict::expired;
    } else {
      const queue::Retry retry = retry_for(class_of(result.reason, result.reply), schedule.retry);
      const queue::Delay delay = queue::next_delay(retry, outcome.due.interval, schedule.random);
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
  if (attempt.overlooked) events.push_back(overlooked_event(attempt, *attempt.overlooked));
  for (std::size_t i = 0; i < attempt.hops.size(); ++i) {
    const Hop& hop = attempt.hops[i];
    // the connection in clear that an audited rule's failure led to is waived too: told already
    const bool told =
        i > 0 && attempt.hops[i - 1].action == Hop::Action::audit && attempt.hops[i - 1].where() == hop.where();
    const bool asked_for = hop.waived && hop.waived->reason == Reason::tls_required_no;  // its own line tells
    if (hop.waived && !told && !asked_for) events.push_back(hop_event(attempt, hop, *hop.waived, "audit"));
    if (hop.action != Hop::Action::none && hop.refusal) {
      events.push_back(hop_event(attempt, hop, *hop.refusal, action_word(hop.action)));
    }
  }
  return within_bounds(std::move(events));
}

std::vector<Event> recipient_events(const Attempt& attempt, const std::vector<queue::RecipientResult>& results) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < results.size() && i < attempt.recipients.size(); ++i) {
    const queue::Due& due = attempt.recipients[i].due;
    const queue::RecipientResult& result = results[i];
    const Judgement judgement = judge(attempt, attempt.recipients[i]);
    Event event(result.verdict == queue::Verdict::delivered ? Level::info : Level::warn, event_name(result.verdict));
    event.add("id", attempt.id.text())
        .add("from", attempt.sender.empty() ? "<>" : attempt.sender)
        .add("to", due.address);
    event.add("attempt", std::int64_t{due.attempts} + 1).add("domain", due.domain.text());
    std::string reason = result.reason;
    if (const Hop* hop = judgement.hop) {
      add_hop_keys(event, *hop);
      event.add("cipher", hop->tls ? hop->tls->cipher : "")
          .add("auth", std::string(to_text(hop->auth)))
          .add("cert", hop->tls ? hop->tls->key : "");
      // under audit, mail that went over a hop which failed its rule carries the reason
      if (hop->waived && result.verdict == queue::Verdict::delivered) reason = to_text(hop->waived->reason);
    }
    event.add("reason", reason)
        .add("dsn", result.status)
        .add("reply", result.reply)
        .add("delay", seconds_since(attempt.received, attempt.ended));
    if (result.verdict == queue::Verdict::deferred) event.add("next", to_rfc3339(result.due));
    if (judgement.hop != nullptr) add_proof_keys(event, *judgement.hop);
    if (attempt.redacted) event.add("redacted", "yes");
    event.add("note", attempt.note);
    events.push_back(std::move(event));
  }
  return events;
}

namespace {
// What refuses mail with REQUIRETLS may take other mail.
bool is_about_requiretls(const Attempt& attempt) {
  return attempt.envelope.requiretls && std::any_of(attempt.hops.begin(), attempt.hops.end(), [](const Hop& hop) {
           return hop.refusal && is_policy(hop.refusal->reason);
         });
}
}  // namespace

std::optional<Down> down(const Attempt& attempt) {
  if (attempt.reached || attempt.recipients.empty() || is_about_requiretls(attempt)) return std::nullopt;
  if (judge(attempt, attempt.recipients.front()).fate != Fate::deferred) return std::nullopt;
  return failure_of(attempt);
}

bool took_any(const Attempt& attempt) {
  return std::any_of(attempt.recipients.begin(), attempt.recipients.end(),
                     [](const RecipientOutcome& one) { return one.fate == Fate::delivered; });
}

Down failure_of(const Attempt& attempt) {
  const Judgement judgement = judge(attempt, attempt.recipients.front());
  Down found;
  found.status = judgement.status;
  found.reply = judgement.reply;
  if (judgement.reason) found.reason = to_text(*judgement.reason);
  if (judgement.hop != nullptr) found.host = judgement.hop->where();
  return found;
}

}  // namespace hoplock::delivery
