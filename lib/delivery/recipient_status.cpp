// SPDX-License-Identifier: Apache-2.0
#include "delivery/recipient_status.h"

#include "smtpclient/refusal.h"

namespace hoplock::delivery {

RecipientStatus with_reply(RecipientStatus status, const smtp::RecipientFate& fate, std::size_t hop) {
  status.hop = hop;
  status.reply.reset();
  if (fate.reply.code != 0) status.reply = fate.reply;
  if (fate.fate == smtp::Fate::accepted) status.fate = Fate::delivered;
  if (fate.fate == smtp::Fate::refused) status.fate = Fate::bounced;
  return status;
}

RecipientStatus with_stop(RecipientStatus status, const smtpclient::Sent& sent) {
  if (sent.unreadable)
    status.stop = StopReason{std::nullopt, "the stored message cannot be read: " + sent.unreadable->detail};
  if (sent.withheld)
    status.stop = StopReason{std::nullopt, "results of deliveries cannot be stored: nothing more is sent meanwhile"};
  // MX-12: it may have been delivered; another host now would make sure of a duplicate
  if (sent.handed_over && !sent.senseless.empty()) {
    const hop::Refusal told = smtpclient::refusal_of(smtp::senseless(sent.senseless));
    status.stop = StopReason{told.reason, told.text, told.status, told.words};
  } else if (sent.handed_over) {
    status.stop = StopReason{hop::Reason::connection_lost, "no answer to the end of the message"};
  }
  return status;
}

RecipientStatus with_missing(RecipientStatus status, const smtpclient::MissingExtension& missing, std::size_t hop) {
  status.missing.hops.push_back(hop);
  status.missing.status = missing.status.text();
  status.missing.text = missing.text;
  return status;
}

bool lacks_extension(const RecipientStatus& status, std::size_t hop) {
  return !status.missing.hops.empty() && status.missing.hops.back() == hop;
}

hop::Refusal refusal_for(const MissingExtensions& missing) {
  return smtpclient::refusal_of({554, smtp::EnhancedStatus::parse(missing.status), missing.text});
}

hop::Refusal refusal_for(const RecipientStatus& first) {
  if (first.reply) return smtpclient::refusal_of(*first.reply);
  return {hop::Reason::connection_lost, "the connection was lost during the transaction"};
}

}  // namespace hoplock::delivery
