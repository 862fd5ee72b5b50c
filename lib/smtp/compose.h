// SPDX-License-Identifier: Apache-2.0
// The commands of one mail transaction as the sending side writes them (RFC 5321 section 3.3, RFC 2920): groups, each
// one write and then as many replies. With PIPELINING a group holds many commands, without it one.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/capabilities.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

namespace hoplock::smtp {

struct Group {
  std::string wire;            // one write
  std::size_t replies = 0;     // awaited before the next group
  std::size_t first_rcpt = 0;  // of its RCPTs, as an index of the envelope's recipients
  std::size_t rcpts = 0;
  bool data = false;  // its last command is DATA
};

// MAIL, a RCPT for each recipient in order, DATA; no DATA where the content is binary and goes by BDAT. SIZE= when the peer offers
// SIZE and the size is known, BODY= when it offers that and the content needs it, SMTPUTF8 likewise, the parameters of RFC 3461 when
// it offers DSN, REQUIRETLS always when it is asked for. Groups are kept so small that their replies fit into a socket's buffer: no deadlock of two
// writers. REQUIRES: at least one recipient.
std::vector<Group> compose(const Envelope& envelope, const Capabilities& peer);

// Whether `next` is worth sending after the replies so far: MAIL was taken, nobody said 421, and DATA alone has
// at least one accepted recipient.
bool goes_on(const Group& next, const std::vector<Reply>& replies);

}  // namespace hoplock::smtp
