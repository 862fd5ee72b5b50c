// SPDX-License-Identifier: Apache-2.0
// Who is told what (RFC 3461 section 5): which ends of an attempt make a notice, for which recipients, and what of the message goes back
// with it. Pure: the token that keeps a notice's boundary from being guessed is an argument. The notice itself is composed by dsn, on the disk
// thread, in the transaction that settles what it tells of.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/log.h"
#include "delivery/attempt.h"
#include "store/message.h"
#include "store/results.h"

namespace hoplock::delivery {

struct DsnOptions {
  std::string hostname;
  std::string from;              // the postmaster's address
  Milliseconds delay_notice{0};  // 0: never
  Milliseconds expire{std::chrono::hours{24 * 5}};
  std::uint64_t return_limit = 5U << 20U;  // octets of a message that RET=FULL gives back whole
  std::uint64_t token = 0;                 // random, another one each time
};

// The message, and one of its recipients with what became of it.
struct DsnMessage {
  store::Id id;
  store::Envelope envelope;
  Time received;
  std::uint64_t size = 0;
  Time now;
};
struct DsnRecipient {
  store::Due due;
  store::RecipientResult result;
  hop::Words words = hop::Words::ours;  // whose the result's reply is
  std::optional<hop::Policy> policy{};  // of the hop that decided
  bool peer_tells = false;              // it was delivered to a server with DSN, which tells of success itself
};

std::vector<store::Notice> notices(const DsnMessage& subject, const std::vector<DsnRecipient>& told,
                                   const DsnOptions& options);
// DSN-16: a notice, or other mail with the empty sender, that came to its end undelivered: dropped, and the log alone tells of it.
std::vector<Event> dropped(const DsnMessage& subject, const std::vector<DsnRecipient>& told);

}  // namespace hoplock::delivery
