// SPDX-License-Identifier: Apache-2.0
// What one transaction that came to nothing says of the message: which command it ended at, and whom of several recipients that concerns.
// Once a host is ready for mail its failures belong to the message or a recipient, not to the host (MX-21). Pure.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "smtpclient/client.h"

namespace hoplock::delivery {

// How the commands went out: what a server said before it broke off a pipelined transaction may be lost on the way, for it leaves
// commands unread.
enum class Pace : std::uint8_t { pipelined, step_by_step };

struct Broken {
  enum class At : std::uint8_t {
    nowhere,    // the transaction ran to its end, whatever that was
    message,    // MAIL, DATA or the content: everybody shares it
    recipient,  // the RCPT of `recipient`: the others were not judged
    somewhere,  // cut off, and replies may be missing: step by step it would show
  } at = At::nowhere;
  std::size_t recipient = 0;
};

// Only what a 421 or a lost connection ended is broken; a 4yz or 5yz has said its recipient itself.
Broken broken_at(const smtpclient::Sent& sent, std::size_t recipients, Pace pace);

// Who was not judged by it, as indices of its recipients: they go elsewhere, or again, without whom it broke at.
std::vector<std::size_t> unjudged(const smtpclient::Sent& sent, const Broken& broken);

// The 4yz with which the message as a whole was put off: at MAIL, DATA or the end of the content. What RCPT is told, 421 too, says nothing of
// the message (MX-21).
std::optional<smtp::Reply> put_off_by(const smtpclient::Sent& sent, std::size_t recipients);

}  // namespace hoplock::delivery
