// SPDX-License-Identifier: Apache-2.0
// What one transaction means for one recipient, and for the hop that it went over. Pure.
#pragma once
#include <cstddef>

#include "delivery/attempt.h"
#include "smtp/settle.h"
#include "smtpclient/client.h"
#include "smtpclient/transcoding.h"

namespace hoplock::delivery {

// `hop`: the index of the attempt's hop that said so.
RecipientStatus with_reply(RecipientStatus status, const smtp::RecipientFate& fate, std::size_t hop);
// Nobody else may hear of a recipient whose transaction got no answer.
RecipientStatus with_stop(RecipientStatus status, const smtpclient::Sent& sent);
RecipientStatus with_missing(RecipientStatus status, const smtpclient::MissingExtension& missing, std::size_t hop);
bool lacks_extension(const RecipientStatus& status, std::size_t hop);
// Why this host leaves recipients waiting: what the hop's own log line says when another host is tried.
hop::Refusal refusal_for(const RecipientStatus& first);
// It has not what this mail needs: told as the reply that it would have come to.
hop::Refusal refusal_for(const MissingExtensions& missing);

}  // namespace hoplock::delivery
