// SPDX-License-Identifier: Apache-2.0
// Whom and what a server's reply means, by its codes and words: load, reputation, our address, the sender, greylisting. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace hoplock::delivery {

// What a reply says, lower-case: without mail addresses and the marks of address literals, which many replies repeat and which say
// nothing of why. The first 1000 octets.
std::string words_of(std::string_view reply);

// "Come back in some minutes".
bool speaks_of_greylisting(std::string_view reply);
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

}  // namespace hoplock::delivery
