// SPDX-License-Identifier: Apache-2.0
// What one transaction means for one recipient, and for the hop that it went over. Pure.
#pragma once
#include <cstddef>

#include "delivery/attempt.h"
#include "delivery/client.h"
#include "delivery/fitting.h"
#include "smtp/settle.h"

namespace hoplock::delivery {

// `hop`: the index of the attempt's hop that said so.
RecipientStatus with_fate(RecipientStatus status, const smtp::RecipientFate& fate, std::size_t hop);
// Nobody else may hear of a recipient whose transaction got no answer.
RecipientStatus with_halt(RecipientStatus status, const Sent& sent);
RecipientStatus with_lack(RecipientStatus status, const Lack& lack, std::size_t hop);
bool is_lacking(const RecipientStatus& status, std::size_t hop);
// The server's own words as a refusal: its codes stand, in the class of a message that is kept.
hop::Refusal refusal_of(const smtp::Reply& reply);
// Why this host leaves recipients waiting: what the hop's own log line says when another host is tried.
hop::Refusal refusal_for(const RecipientStatus& first);
// It has not what this mail needs: told as the reply that it would have come to.
hop::Refusal refusal_for(const Lacking& lacking);

}  // namespace hoplock::delivery
