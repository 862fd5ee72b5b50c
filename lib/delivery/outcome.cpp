// SPDX-License-Identifier: Apache-2.0
#include "delivery/outcome.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {

using hop::Reason;

// Several hosts: the last one refused by policy, else the last one tried (CONTRACT).
std::optional<std::size_t> decisive_hop(const Attempt& attempt) {
  std::optional<std::size_t> by_policy, temporary;
  for (std::size_t i = 0; i < attempt.hops.size(); ++i) {
    const Hop& hop = attempt.hops[i];
    if (!hop.refusal || hop.was_tried_again() || hop.definite) continue;
    temporary = i;
    if (is_policy(hop.refusal->reason)) by_policy = i;
  }
  if (by_policy) return by_policy;
  if (temporary) return temporary;
  return attempt.hops.empty() ? std::nullopt : std::optional(attempt.hops.size() - 1);
}

// The class of an enhanced code while the message is kept (x is 4), or for good.
std::string with_class(smtp::EnhancedStatus status, Fate fate) {
  if (fate != Fate::delivered) status.category = fate == Fate::deferred ? 4 : 5;
  return status.text();
}

RecipientOutcome by_reply(Fate fate, std::size_t hop, const smtp::Reply& reply) {
  RecipientOutcome outcome;
  outcome.fate = fate;
  outcome.hop = hop;
  outcome.status = with_class(reply.status_or_default(), fate);
  outcome.reply = reply.one_line();
  outcome.words = hop::Words::peer;
  if (fate != Fate::delivered) outcome.reason = Reason::smtp_reply;
  return outcome;
}

RecipientOutcome by_stop(const Attempt& attempt, const RecipientStatus& recipient) {
  const StopReason& stop = *recipient.stop;
  const auto at = recipient.hop;
  RecipientOutcome outcome;
  outcome.fate = recipient.fate;
  outcome.hop = at;
  outcome.reason = stop.reason;
  if (stop.reason == Reason::smtp_reply) {  // in the server's words, or in place of them
    outcome.status = "4." + (stop.status.empty() ? "0.0" : stop.status);
    outcome.reply = stop.text;
    outcome.words = stop.words;
    return outcome;
  }
  outcome.status = stop.reason ? "4." + std::string(hop::code(*stop.reason)) : "4.3.0";
  outcome.reply = stop.reason && at
                      ? hop::refusal_text({*stop.reason, stop.text}, attempt.hops[*at].where(), hop::Kept::yes)
                      : "450 " + outcome.status + " " + stop.text;
  return outcome;
}

RecipientOutcome by_destination(const route::NoHosts& none, const store::Due& due) {
  RecipientOutcome outcome;
  outcome.fate = none.kind == route::NoHosts::Kind::permanent ? Fate::bounced : Fate::deferred;
  outcome.reason = none.reason;
  outcome.status = none.enhanced;
  outcome.reply = std::to_string(none.code) + " " + none.enhanced + " " +
                  (none.reason ? std::string(to_text(*none.reason)) + ": " : "") + due.domain.text() + ": " + none.text;
  return outcome;
}

// MX-06: there are hosts, and every one of them is definitely unusable.
RecipientOutcome unusable(const Attempt& attempt, std::size_t at) {
  const Hop& hop = attempt.hops[at];
  RecipientOutcome outcome;
  outcome.fate = Fate::bounced;
  outcome.hop = at;
  outcome.status = "5.4.4";
  outcome.reply = "550 5.4.4 " + hop.where() + ": " + hop.refusal->text;
  return outcome;
}

bool was_unfit(const Hop& hop) {
  return !hop.outdated && hop.refusal && hop.refusal->reason == Reason::requiretls_not_supported;
}

// MX-18, MX-19, RTLS-08: every host that there is lacks what the message needs.
bool is_closed_everywhere(const Attempt& attempt, const MissingExtensions& missing) {
  if (attempt.hosts_left) return false;
  for (std::size_t i = 0; i < attempt.hops.size(); ++i) {
    const Hop& hop = attempt.hops[i];
    const bool lacks = std::any_of(missing.hops.begin(), missing.hops.end(),
                                   [&](std::size_t at) { return at == i || speaks_for(attempt.hops[at], hop); });
    const bool elsewhere = std::any_of(attempt.hops.begin(), attempt.hops.end(), [&](const Hop& one) {
      return (one.no_mail || was_unfit(one)) && speaks_for(one, hop);
    });
    if (!lacks && !elsewhere && !hop.was_tried_again() && !hop.definite && !hop.no_mail && !was_unfit(hop))
      return false;
  }
  return true;
}

template <class Is>
std::size_t last_hop(const Attempt& attempt, Is is) {
  const auto found = std::find_if(attempt.hops.rbegin(), attempt.hops.rend(), is);
  return static_cast<std::size_t>(attempt.hops.rend() - found) - 1;
}

// 5.7.30, or 5.7.10; of several hosts the last one.
RecipientOutcome unfit(const Attempt& attempt) {
  RecipientOutcome outcome;
  outcome.fate = Fate::bounced;
  outcome.hop = last_hop(attempt, was_unfit);
  const Hop& hop = attempt.hops[*outcome.hop];
  outcome.reason = hop.refusal->reason;
  outcome.status = "5." + hop::code(*hop.refusal);
  outcome.reply = hop::refusal_text(*hop.refusal, hop.where(), hop::Kept::no);
  return outcome;
}

bool says_no_mail(const Hop& hop) { return hop.no_mail && hop.refusal; }

// MX-24: some host says that it never takes mail, and no other one is left that might.
bool takes_no_mail(const Attempt& attempt) {
  if (attempt.hosts_left) return false;
  const auto over = [&attempt](const Hop& hop) {
    const auto speaks = [&hop](const Hop& one) { return one.no_mail && speaks_for(one, hop); };
    return hop.no_mail || hop.definite || hop.was_tried_again() ||
           std::any_of(attempt.hops.begin(), attempt.hops.end(), speaks);
  };
  return std::all_of(attempt.hops.begin(), attempt.hops.end(), over) &&
         std::any_of(attempt.hops.begin(), attempt.hops.end(), says_no_mail);
}

RecipientOutcome no_mail(const Attempt& attempt) {
  RecipientOutcome outcome;
  outcome.fate = Fate::bounced;
  outcome.hop = last_hop(attempt, says_no_mail);
  const hop::Refusal& refusal = *attempt.hops[*outcome.hop].refusal;
  outcome.reason = Reason::smtp_reply;
  const bool coded = refusal.reason == Reason::smtp_reply && !refusal.status.empty();
  outcome.status = "5." + (coded ? refusal.status : "3.2");
  outcome.reply = refusal.text;
  outcome.words = refusal.words;
  return outcome;
}

RecipientOutcome missing_everywhere(const Attempt& attempt, const MissingExtensions& missing) {
  RecipientOutcome outcome;
  outcome.fate = Fate::bounced;
  outcome.hop = missing.hops.back();
  outcome.status = missing.status;
  outcome.reply = "554 " + missing.status + " " + attempt.hops[*outcome.hop].where() + ": " + missing.text;
  return outcome;
}

RecipientOutcome undecided(Fate fate, std::optional<std::size_t> hop) {
  RecipientOutcome outcome;
  outcome.fate = fate;
  outcome.hop = hop;
  outcome.status = "4.3.0";
  outcome.reply = "450 4.3.0 internal error: nothing decided";
  return outcome;
}

// Of several hosts one decides over whoever is kept.
RecipientOutcome by_hosts(const Attempt& attempt, const RecipientStatus& recipient) {
  const auto decisive = decisive_hop(attempt);
  if (!decisive || !attempt.hops[*decisive].refusal) return undecided(recipient.fate, decisive);
  const Hop& hop = attempt.hops[*decisive];
  const bool all_definite = !attempt.hosts_left && std::all_of(attempt.hops.begin(), attempt.hops.end(),
                                                               [](const Hop& one) { return one.definite; });
  if (all_definite) return unusable(attempt, *decisive);
  if (recipient.reply && recipient.hop == decisive) return by_reply(recipient.fate, *decisive, *recipient.reply);
  RecipientOutcome outcome = outcome_of(hop, *hop.refusal);
  outcome.fate = recipient.fate;
  outcome.hop = decisive;
  return outcome;
}

RecipientOutcome outcome_for(const Attempt& attempt, const RecipientStatus& recipient) {
  if (attempt.no_hosts) return by_destination(*attempt.no_hosts, recipient.due);
  if (recipient.fate != Fate::deferred && recipient.hop && recipient.reply)
    return by_reply(recipient.fate, *recipient.hop, *recipient.reply);
  if (recipient.stop) return by_stop(attempt, recipient);
  if (is_unfit_everywhere(attempt, recipient)) return unfit(attempt);
  if (!recipient.missing.hops.empty() && is_closed_everywhere(attempt, recipient.missing))
    return missing_everywhere(attempt, recipient.missing);
  if (takes_no_mail(attempt)) return no_mail(attempt);
  return by_hosts(attempt, recipient);
}

// What refuses mail with REQUIRETLS may take other mail.
bool is_about_requiretls(const Attempt& attempt) {
  return attempt.envelope.requiretls && std::any_of(attempt.hops.begin(), attempt.hops.end(), [](const Hop& hop) {
           return hop.refusal && is_policy(hop.refusal->reason);
         });
}

// A host without any usable address has no reason of the contract (MX-06).
RefusedHop refused_hop(const Hop& hop, Hop::Action action, const hop::Refusal& why) {
  RefusedHop refused;
  refused.hop = &hop;
  refused.action = action;
  if (hop.definite) {
    refused.means.reply = hop.where() + ": " + why.text;
  } else {
    refused.means = outcome_of(hop, why);
  }
  return refused;
}

std::vector<RefusedHop> all_refused(const Attempt& attempt) {
  std::vector<RefusedHop> all;
  for (std::size_t i = 0; i < attempt.hops.size(); ++i) {
    const Hop& hop = attempt.hops[i];
    // the connection in clear that an audited rule's failure led to is waived too: told already
    const bool told =
        i > 0 && attempt.hops[i - 1].action == Hop::Action::audit && attempt.hops[i - 1].where() == hop.where();
    const bool asked_for = hop.waived && hop.waived->reason == Reason::tls_required_no;  // its own line tells
    if (hop.waived && !told && !asked_for) all.push_back(refused_hop(hop, Hop::Action::audit, *hop.waived));
    if (hop.action != Hop::Action::none && hop.refusal) all.push_back(refused_hop(hop, hop.action, *hop.refusal));
  }
  return all;
}

}  // namespace

std::string Hop::where() const { return ip && mx != ip->literal() ? mx + "[" + ip->text() + "]" : mx; }

bool speaks_for(const Hop& said, const Hop& silent) {
  if (said.mx != silent.mx || &said == &silent || !silent.ip || !silent.refusal) return false;
  const Reason why = silent.refusal->reason;
  return why == Reason::connect_timeout || why == Reason::connect_refused;
}

std::vector<RecipientOutcome> outcomes_of(const Attempt& attempt) {
  std::vector<RecipientOutcome> outcomes;
  outcomes.reserve(attempt.recipients.size());
  for (const RecipientStatus& one : attempt.recipients) outcomes.push_back(outcome_for(attempt, one));
  return outcomes;
}

Attempt concluded(Attempt attempt) {
  attempt.outcomes = outcomes_of(attempt);
  return attempt;
}

RecipientOutcome outcome_of(const Hop& hop, const hop::Refusal& refusal) {
  RecipientOutcome outcome;
  outcome.reason = refusal.reason;
  if (refusal.reason == Reason::smtp_reply) {
    outcome.status = "4." + (refusal.status.empty() ? "0.0" : refusal.status);
    outcome.reply = refusal.text;
    outcome.words = refusal.words;
    return outcome;
  }
  outcome.status = "4." + hop::code(refusal);
  outcome.reply = hop::refusal_text(refusal, hop.where(), hop::Kept::yes);
  return outcome;
}

bool is_unfit_everywhere(const Attempt& attempt, const RecipientStatus& recipient) {
  return std::any_of(attempt.hops.begin(), attempt.hops.end(), was_unfit) &&
         is_closed_everywhere(attempt, recipient.missing);
}

bool took_any(const Attempt& attempt) {
  return std::any_of(attempt.recipients.begin(), attempt.recipients.end(),
                     [](const RecipientStatus& one) { return one.fate == Fate::delivered; });
}

const Hop* deciding_hop(const Attempt& attempt, std::size_t index) {
  const auto& hop = attempt.outcomes[index].hop;
  return hop ? &attempt.hops[*hop] : nullptr;
}

RefusedHops refused_hops(const Attempt& attempt) {
  RefusedHops found;
  std::vector<RefusedHop> all = all_refused(attempt);
  std::size_t places = attempt.overlooked ? most_hops - 1 : most_hops;
  if (all.size() <= places) {
    found.told = std::move(all);
    return found;
  }
  std::vector<char> kept(all.size(), 0);
  kept.back() = 1;
  --places;
  const auto keep = [&](bool contacted) {
    for (std::size_t i = 0; i + 1 < all.size() && places > 0; ++i) {
      if (kept[i] != 0 || all[i].hop->ip.has_value() != contacted) continue;
      kept[i] = 1;
      --places;
    }
  };
  keep(true);
  keep(false);
  for (std::size_t i = 0; i < all.size(); ++i) (kept[i] != 0 ? found.told : found.rest).push_back(std::move(all[i]));
  return found;
}

std::optional<DestinationFailure> destination_failure(const Attempt& attempt) {
  if (attempt.reached || attempt.recipients.empty() || is_about_requiretls(attempt)) return std::nullopt;
  if (attempt.outcomes.front().fate != Fate::deferred) return std::nullopt;
  return failure_of(attempt);
}

DestinationFailure failure_of(const Attempt& attempt) {
  const RecipientOutcome& outcome = attempt.outcomes.front();
  const Hop* hop = deciding_hop(attempt, 0);
  DestinationFailure found;
  found.status = outcome.status;
  found.reply = outcome.reply;
  found.reason = outcome.reason;
  if (hop != nullptr) found.host = hop->where();
  return found;
}

}  // namespace hoplock::delivery
