// SPDX-License-Identifier: Apache-2.0
// Sender, recipients and what else the MAIL and RCPT commands say of a message: as received by a Session, as sent by
// compose().
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "smtp/dsn.h"
#include "smtp/mailbox.h"

namespace hoplock::smtp {

enum class Body : std::uint8_t { seven_bit, eight_bit_mime, binary_mime };  // RFC 6152, 3030

struct Recipient {
  Mailbox mailbox;
  std::uint8_t notify = 0;  // RFC 3461: bits of smtp/dsn.h
  std::string orcpt;        // as received, "rfc822;user@example.org"
  enum class Then : std::uint8_t { relay, discard } then = Then::relay;
  bool operator==(const Recipient&) const = default;
};

struct Envelope {
  Mailbox sender;
  std::vector<Recipient> recipients;
  Body body = Body::seven_bit;
  bool smtputf8 = false;     // RFC 6531
  bool require_tls = false;  // RFC 8689
  std::uint64_t size = 0;    // received: as declared by SIZE=, 0 without it; to be sent: the octets there are
  Ret ret = Ret::unset;      // RFC 3461
  std::string envid;         // as received
};

}  // namespace hoplock::smtp
