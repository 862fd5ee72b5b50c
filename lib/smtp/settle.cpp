#include "smtp/settle.h"

#include <algorithm>

namespace hoplock::smtp {

namespace {

using Connection = Settled::Connection;

// What a reply other than success means for those it concerns. 521: this host takes no mail, another one may (MX-10).
Fate fate_of(const Reply& reply) {
  if (reply.is_positive()) return Fate::accepted;
  return reply.is_permanent() && reply.code != 521 ? Fate::refused : Fate::deferred;
}

Fate fate_of_rcpt(const Reply& reply) { return reply.code == 452 || reply.code == 552 ? Fate::later : fate_of(reply); }

// `reply` decides for everyone who was accepted so far.
void decide_accepted(Settled& settled, Fate fate, const Reply& reply) {
  for (RecipientFate& one : settled.recipients) {
    if (one.fate != Fate::accepted) continue;
    one.fate = fate;
    one.reply = reply;
  }
}

void close_connection(Settled& settled) {
  if (settled.connection == Connection::usable) settled.connection = Connection::closing;
}

// Fates by the replies to MAIL and RCPT.
void settle_envelope(Settled& settled, const std::vector<Reply>& replies) {
  const Reply& mail = replies.front();
  for (std::size_t i = 0; i < settled.recipients.size(); ++i) {
    RecipientFate& one = settled.recipients[i];
    if (!mail.is_positive()) {
      one = RecipientFate{fate_of(mail), mail};
    } else if (i + 1 < replies.size()) {
      one = RecipientFate{fate_of_rcpt(replies[i + 1]), replies[i + 1]};
    }
  }
}

// The reply after which nothing more can come of this transaction: 421, 521, or one that answers no command of ours.
const Reply* breaking_reply(const std::vector<Reply>& replies, std::size_t data_at) {
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const Reply& reply = replies[i];
    const bool in_step = i == data_at ? !reply.is_positive() && (!reply.is_intermediate() || reply.code == 354)
                                      : !reply.is_intermediate();
    if (reply.code == 421 || reply.code == 521 || !in_step) return &reply;
  }
  return nullptr;
}

}  // namespace

Settled settle(std::size_t recipients, const std::vector<Reply>& replies) {
  Settled settled;
  settled.recipients.resize(recipients);
  if (replies.empty()) return settled;
  settle_envelope(settled, replies);
  const std::size_t data_at = recipients + 1;
  const bool data_answered = replies.size() > data_at;
  if (const Reply* breaking = breaking_reply(replies, data_at)) {
    settled.connection = breaking->code == 521 ? Connection::host_refuses : Connection::closing;
    decide_accepted(settled, Fate::deferred, *breaking);
    for (RecipientFate& one : settled.recipients) {
      if (one.fate == Fate::unanswered) one = RecipientFate{Fate::deferred, *breaking};
    }
  } else if (!data_answered) {  // cut off, or DATA was not worth sending
    decide_accepted(settled, Fate::unanswered, Reply{});
  } else if (replies[data_at].code == 354) {
    const bool anyone = std::any_of(settled.recipients.begin(), settled.recipients.end(),
                                    [](const RecipientFate& one) { return one.fate == Fate::accepted; });
    settled.next = anyone ? Settled::Next::content : Settled::Next::lone_dot;
  } else {
    decide_accepted(settled, fate_of(replies[data_at]), replies[data_at]);
  }
  return settled;
}

Settled settle_end(Settled settled, const std::optional<Reply>& reply) {
  if (!reply) {
    close_connection(settled);
    decide_accepted(settled, Fate::unanswered, Reply{});
    return settled;
  }
  if (reply->code == 421 || reply->is_intermediate()) close_connection(settled);
  if (reply->code == 521) settled.connection = Connection::host_refuses;
  decide_accepted(settled, fate_of(*reply), *reply);
  return settled;
}

bool may_fall_back_to_helo(const Reply& ehlo, TlsNeed need) {
  return need == TlsNeed::none && ehlo.is_permanent() && ehlo.code != 521;
}

}  // namespace hoplock::smtp
