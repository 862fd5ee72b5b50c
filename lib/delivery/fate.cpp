// SPDX-License-Identifier: Apache-2.0
#include "delivery/fate.h"

namespace hoplock::delivery {

void take_fate(RecipientOutcome& outcome, const smtp::RecipientFate& fate, std::size_t hop) {
  outcome.hop = hop;
  outcome.reply.reset();
  if (fate.reply.code != 0) outcome.reply = fate.reply;
  if (fate.fate == smtp::Fate::accepted) outcome.fate = Fate::delivered;
  if (fate.fate == smtp::Fate::refused) outcome.fate = Fate::bounced;
}

void halt(RecipientOutcome& outcome, const Sent& sent) {
  if (sent.unreadable)
    outcome.halt = Halt{std::nullopt, "the stored message cannot be read: " + sent.unreadable->detail};
  if (sent.withheld)
    outcome.halt = Halt{std::nullopt, "results of deliveries cannot be stored: nothing more is sent meanwhile"};
  // MX-12: it may have been delivered; another host now would make sure of a duplicate
  if (sent.handed_over && !sent.senseless.empty())
    outcome.halt = Halt{hop::Reason::smtp_reply, smtp::senseless(sent.senseless).one_line()};
  else if (sent.handed_over)
    outcome.halt = Halt{hop::Reason::connection_lost, "no answer to the end of the message"};
}

void note_lack(RecipientOutcome& outcome, const Lack& lack, std::size_t hop) {
  outcome.lacking.hops.push_back(hop);
  outcome.lacking.status = lack.status.text();
  outcome.lacking.text = lack.text;
}

bool is_lacking(const RecipientOutcome& outcome, std::size_t hop) {
  return !outcome.lacking.hops.empty() && outcome.lacking.hops.back() == hop;
}

hop::Refusal refusal_for(const RecipientOutcome& first) {
  if (first.reply) return {hop::Reason::smtp_reply, first.reply->one_line()};
  return {hop::Reason::connection_lost, "the connection was lost during the transaction"};
}

}  // namespace hoplock::delivery
