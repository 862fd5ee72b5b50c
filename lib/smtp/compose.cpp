// SPDX-License-Identifier: Apache-2.0
#include "smtp/compose.h"

#include <algorithm>

namespace hoplock::smtp {

namespace {

constexpr std::size_t most_rcpts = 100;    // of a pipelined group: some 10 KiB of replies at most
constexpr std::size_t most_octets = 8192;  // of its commands

std::string mail_command(const Envelope& envelope, const Capabilities& peer) {
  std::string out = "MAIL FROM:";
  out += envelope.sender.path();
  if (peer.size && envelope.size > 0) out += " SIZE=" + std::to_string(envelope.size);
  if (peer.eight_bit_mime && envelope.body == Body::eight_bit_mime) out += " BODY=8BITMIME";
  if (envelope.body == Body::binary_mime) out += " BODY=BINARYMIME";
  if (peer.smtputf8 && envelope.smtputf8) out += " SMTPUTF8";
  if (envelope.require_tls)
    out += " REQUIRETLS";  // never left out: who calls for it has seen that the peer offers it (RTLS-09)
  // RFC 3461 section 5.2.1: exactly what was received, to a server that knows it
  if (peer.dsn && envelope.ret != Ret::unset) out += envelope.ret == Ret::full ? " RET=FULL" : " RET=HDRS";
  if (peer.dsn && !envelope.envid.empty()) out += " ENVID=" + envelope.envid;
  out += "\r\n";
  return out;
}

std::string rcpt_command(const Recipient& recipient, const Capabilities& peer) {
  std::string out = "RCPT TO:<";
  out += recipient.mailbox.text();
  out += '>';
  if (peer.dsn && recipient.notify != 0) out += " NOTIFY=" + notify_text(recipient.notify);
  if (peer.dsn && !recipient.orcpt.empty()) out += " ORCPT=" + recipient.orcpt;
  out += "\r\n";
  return out;
}

}  // namespace

std::vector<Group> compose(const Envelope& envelope, const Capabilities& peer) {
  std::vector<Group> groups;
  groups.emplace_back();
  groups.back().wire = mail_command(envelope, peer);
  groups.back().replies = 1;
  const auto room_for = [&](std::size_t octets, std::size_t index) -> Group& {
    const Group& last = groups.back();
    if (!peer.pipelining || last.rcpts == most_rcpts || last.wire.size() + octets > most_octets) {
      groups.emplace_back();
      groups.back().first_rcpt = index;
    }
    return groups.back();
  };
  for (std::size_t i = 0; i < envelope.recipients.size(); ++i) {
    const std::string command = rcpt_command(envelope.recipients[i], peer);
    Group& group = room_for(command.size(), i);
    group.wire += command;
    ++group.replies;
    ++group.rcpts;
  }
  if (envelope.body == Body::binary_mime) return groups;
  Group& last = room_for(0, envelope.recipients.size());
  last.wire += "DATA\r\n";
  ++last.replies;
  last.data = true;
  return groups;
}

bool goes_on(const Group& next, const std::vector<Reply>& replies) {
  if (replies.empty()) return true;
  if (!replies.front().is_positive()) return false;
  const bool over = std::any_of(replies.begin(), replies.end(), [](const Reply& reply) { return reply.code == 421; });
  if (over) return false;
  const bool data_alone = next.data && next.rcpts == 0;
  return !data_alone ||
         std::any_of(replies.begin() + 1, replies.end(), [](const Reply& reply) { return reply.is_positive(); });
}

}  // namespace hoplock::smtp
