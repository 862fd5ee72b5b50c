// SPDX-License-Identifier: Apache-2.0
#include "smtp/settle.h"

#include <algorithm>

namespace hoplock::smtp {

namespace {

using Connection = Settled::Connection;

// What a reply other than success means for those it concerns. 521: not at this host, another one may take it (MX-10).
Fate fate_of(const Reply& reply) {
  if (reply.is_positive()) return Fate::accepted;
  return reply.is_permanent() && reply.code != 521 ? Fate::refused : Fate::deferred;
}

// RFC 5321 section 4.5.3.1.10: 452, or 552 of old servers, says that there are too many recipients for one transaction. But a full mailbox
// has the same codes: x.2.2 speaks of this recipient alone. Any other code of a 552 says so only beside somebody who was taken; once
// it stands alone its own class counts (MX-23).
enum class Beside : std::uint8_t { accepted, nobody };
Fate fate_of_rcpt(const Reply& reply, Beside beside) {
  if (reply.code != 452 && reply.code != 552) return fate_of(reply);
  const auto is = [&reply](std::uint16_t subject, std::uint16_t detail) {
    return reply.status && reply.status->subject == subject && reply.status->detail == detail;
  };
  if (is(2, 2)) return fate_of(reply);
  if (reply.code == 452 || !reply.status || is(5, 3)) return Fate::later;
  return beside == Beside::accepted ? Fate::later : fate_of(reply);
}

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
  const auto rcpts_end =
      replies.begin() + static_cast<std::ptrdiff_t>(std::min(replies.size(), settled.recipients.size() + 1));
  const bool anyone =
      std::any_of(replies.begin() + 1, rcpts_end, [](const Reply& reply) { return reply.is_positive(); });
  const Beside beside = anyone ? Beside::accepted : Beside::nobody;
  for (std::size_t i = 0; i < settled.recipients.size(); ++i) {
    RecipientFate& one = settled.recipients[i];
    if (!mail.is_positive()) {
      one = RecipientFate{fate_of(mail), mail};
    } else if (i + 1 < replies.size()) {
      one = RecipientFate{fate_of_rcpt(replies[i + 1], beside), replies[i + 1]};
    }
  }
}

// The reply after which nothing more can come of this transaction: 421 anywhere, 521 to MAIL. To RCPT 521 is of that recipient alone.
const Reply* breaking_reply(const std::vector<Reply>& replies) {
  if (replies.front().code == 521) return &replies.front();
  const auto found = std::find_if(replies.begin(), replies.end(), [](const Reply& reply) { return reply.code == 421; });
  return found == replies.end() ? nullptr : &*found;
}

// One that answers no command of ours.
const Reply* stray_reply(const std::vector<Reply>& replies, std::size_t data_at) {
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const Reply& reply = replies[i];
    const bool in_step = i == data_at ? !reply.is_positive() && (!reply.is_intermediate() || reply.code == 354)
                                      : !reply.is_intermediate();
    if (!in_step) return &reply;
  }
  return nullptr;
}

}  // namespace

Settled settle(std::size_t recipients, const std::vector<Reply>& replies) {
  Settled settled;
  settled.recipients.resize(recipients);
  if (replies.empty()) return settled;
  const std::size_t data_at = recipients + 1;
  if (const Reply* stray = stray_reply(replies, data_at))
    return settle_senseless(recipients, "the server's replies are out of step: " + stray->one_line(200));
  settle_envelope(settled, replies);
  const bool data_answered = replies.size() > data_at;
  if (const Reply* breaking = breaking_reply(replies)) {
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
    if (replies[data_at].code == 521) close_connection(settled);
    decide_accepted(settled, fate_of(replies[data_at]), replies[data_at]);
  }
  return settled;
}

Reply senseless(const std::string& why) { return Reply(450, EnhancedStatus{4, 5, 0}, why); }

Settled settle_senseless(std::size_t recipients, const std::string& why) {
  Settled settled;
  settled.recipients.assign(recipients, RecipientFate{Fate::deferred, senseless(why)});
  settled.connection = Connection::closing;
  return settled;
}

Settled settle_end(Settled settled, const std::optional<Reply>& reply) {
  if (!reply) {
    close_connection(settled);
    decide_accepted(settled, Fate::unanswered, Reply{});
    return settled;
  }
  if (reply->code == 421 || reply->code == 521 || reply->is_intermediate()) close_connection(settled);
  decide_accepted(settled, fate_of(*reply), *reply);
  return settled;
}

bool forgo_parameters(Settled& settled, const Envelope& envelope, Capabilities& peer) {
  const auto about_one = [](const RecipientFate& one) {
    return one.fate == Fate::refused && (one.reply.code == 504 || one.reply.code == 555);
  };
  if (settled.connection != Connection::usable ||
      std::none_of(settled.recipients.begin(), settled.recipients.end(), about_one))
    return false;
  const bool asks_dsn = envelope.ret != Ret::unset || !envelope.envid.empty() ||
                        std::any_of(envelope.recipients.begin(), envelope.recipients.end(),
                                    [](const Recipient& one) { return one.notify != 0 || !one.orcpt.empty(); });
  const bool spare = (peer.size && envelope.size > 0) || (peer.dsn && asks_dsn);
  const bool body = peer.eight_bit_mime && envelope.body == Body::eight_bit_mime;
  if (!spare && !body) return false;
  if (spare) {
    peer.size = peer.dsn = false;
    peer.size_limit.reset();
  } else {
    peer.eight_bit_mime = false;
  }
  for (RecipientFate& one : settled.recipients) {
    if (about_one(one)) one.fate = Fate::later;
  }
  return true;
}

bool may_fall_back_to_helo(const Reply& ehlo, TlsNeed need) {
  return need == TlsNeed::none && ehlo.is_permanent() && ehlo.code != 521;
}

}  // namespace hoplock::smtp
