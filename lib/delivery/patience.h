// SPDX-License-Identifier: Apache-2.0
// How soon each class of failure is tried again: what `delivery.retry` says, changed for failures that are known to end otherwise than by
// waiting ever longer. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "hop/names.h"
#include "queue/schedule.h"
#include "store/message.h"

namespace hoplock::delivery {

enum class FailureClass : std::uint8_t {
  policy,       // a rule or a failed validation: over when somebody mends records or a certificate
  connection,   // nobody there, a session that was cut, name servers that do not answer
  greylisting,  // "come back in some minutes"
  reply,        // any other 4xx
};
// What a reply says, lower-case: without mail addresses and the marks of address literals, which many replies repeat and which say
// nothing of why. The first 1000 octets.
std::string words_of(std::string_view reply);

// `reply`: as logged.
FailureClass class_of(std::optional<hop::Reason> reason, std::string_view reply);

// A 4yz that means how much comes from us, whoever it is for: "451 4.7.500 Server busy", "421 4.7.28 unusual rate". Not where its code
// speaks of an address or a mailbox: "450 4.2.1 mailbox busy".
bool speaks_of_load(std::string_view reply);
// The same where RCPT was answered so: only when its code speaks of systems, networks or policy. Words alone may mean the mailbox.
bool speaks_of_load_at_rcpt(std::string_view reply);
// Of both, such as mean by their code all that comes from us, whoever the sender is.
bool names_system(std::string_view reply);
// It says our own address, from which the connection came.
bool names_address(std::string_view reply, const std::optional<Ip>& ours);
// A 5yz that means whom it comes from: block lists and bad reputation (5.7.1 with such words, 5.7.606 to 5.7.649).
bool speaks_of_reputation(std::string_view reply);
// It says some address: ours, it may be, also where the world sees another one than we do.
bool names_any_address(std::string_view reply);
// In so many words it is the sender's domain that is judged.
bool judges_sending_domain(std::string_view reply);
// It judges the sender: his domain by name, or what it is called in such replies.
bool names_sender(std::string_view reply, std::string_view sender);
// It judges where the connection came from, also where it says no address.
bool names_our_network(std::string_view reply);
// Of these, such as name a list or a judgement that is not the recipient's own, and so means all his neighbours as well.
bool names_public_list(std::string_view reply);

// connection, reply: as configured. policy: never more than an hour apart, and sooner once records change (watch.h). greylisting: again
// after the first delay several times, since the gate opens for whoever keeps coming.
queue::Retry retry_for(FailureClass failure, const queue::Retry& configured);

// Whether a rule or a failed validation holds it back.
bool is_by_policy(const store::Backoff& hold);
// How a destination is held while its site is: with it, but what a policy holds back keeps its reason and is not let go sooner.
store::Backoff held_with_site(const std::optional<store::Backoff>& own, const store::Backoff& site);

}  // namespace hoplock::delivery
