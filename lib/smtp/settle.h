// SPDX-License-Identifier: Apache-2.0
// What a server's replies to one transaction mean for each recipient (RFC 5321 sections 4.2.1, 4.5.3.1.10, RFC 7504,
// MX-10, MX-13). Pure: the replies that came, in order; those that are missing were cut off by the connection.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "smtp/capabilities.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

namespace hoplock::smtp {

enum class Fate : std::uint8_t {
  accepted,    // after settle(): so far; after settle_end(): delivered to this host
  later,       // 452 or 552 to RCPT: too many for one transaction, the rest goes in another one (MX-13, MX-23)
  deferred,    // 4yz, or out of sync: this host not now
  refused,     // 5yz: final for this recipient
  unanswered,  // no reply: the connection was lost before
};

struct RecipientFate {
  Fate fate = Fate::unanswered;
  Reply reply;  // that decided; code 0 when unanswered
  bool operator==(const RecipientFate&) const = default;
};

struct Settled {
  std::vector<RecipientFate> recipients;  // in the envelope's order
  enum class Next : std::uint8_t {
    content,   // 354 and somebody accepted: send content, then settle_end()
    lone_dot,  // 354 and nobody accepted: send ". CRLF" alone, ignore its reply
    nothing,   // the transaction is over: RSET or QUIT
  } next = Next::nothing;
  enum class Connection : std::uint8_t {
    usable,
    closing,       // 421, 521 to DATA or the content, or replies out of sync: close it
    host_refuses,  // 521 to MAIL (RFC 7504): close it, and try another host (MX-10)
  } connection = Connection::usable;
};

// `replies`: to MAIL, each RCPT, DATA, as far as they came. A 5yz to MAIL is final for all, even when the connection
// was lost right after it. Where one of them answers no command of ours (250 to DATA, 354 to RCPT), they are out of step, and none of
// them decides over anybody (MX-22). REQUIRES: replies.size() <= recipients + 2.
Settled settle(std::size_t recipients, const std::vector<Reply>& replies);
// Nobody can tell what the server's words answer, or what they mean: all are kept, the session is over, and `why` is told (one sentence).
Settled settle_senseless(std::size_t recipients, const std::string& why);
// How that is told: "450 4.5.0 the server's reply is malformed: …".
Reply senseless(const std::string& why);
// The reply to the final dot, nullopt when it never came: then who was accepted is unanswered, and as `next` still says
// content went out, it may have been delivered (MX-12: temporary, but no other host now).
Settled settle_end(Settled settled, const std::optional<Reply>& reply);

// MX-25: a parameter may have been what was refused with 504 or 555, to MAIL or to RCPT. True: `peer` no longer offers what this mail can
// do without (SIZE and DSN, then 8BITMIME), and whom such a reply concerned is for later. False: nothing of the kind; all stays as it is.
bool forgo_parameters(Settled& settled, const Envelope& envelope, Capabilities& peer);

// MX-14: HELO after a refused EHLO only on 5yz (but 521), and never when TLS must be had.
enum class TlsNeed : std::uint8_t { none, required };
bool may_fall_back_to_helo(const Reply& ehlo, TlsNeed need);

}  // namespace hoplock::smtp
