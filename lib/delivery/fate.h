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
void take_fate(RecipientOutcome& outcome, const smtp::RecipientFate& fate, std::size_t hop);
// Nobody else may hear of a recipient whose transaction got no answer.
void halt(RecipientOutcome& outcome, const Sent& sent);
void note_lack(RecipientOutcome& outcome, const Lack& lack, std::size_t hop);
bool is_lacking(const RecipientOutcome& outcome, std::size_t hop);
// Why this host leaves recipients waiting: what the hop's own log line says when another host is tried.
hop::Refusal refusal_for(const RecipientOutcome& first);

}  // namespace hoplock::delivery
