// SPDX-License-Identifier: Apache-2.0
// How soon each class of failure is tried again: what `delivery.retry` says, changed for failures that are known to end otherwise than by
// waiting ever longer. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "hop/names.h"
#include "queue/schedule.h"
#include "store/message.h"

namespace hoplock::delivery {

enum class RetryClass : std::uint8_t {
  policy,       // a rule or a failed validation: over when somebody mends records or a certificate
  connection,   // nobody there, a session that was cut, name servers that do not answer
  greylisting,  // "come back in some minutes"
  reply,        // any other 4xx
};

// `reply`: as logged.
RetryClass retry_class_of(std::optional<hop::Reason> reason, std::string_view reply);

// connection, reply: as configured. policy: never more than an hour apart, and sooner once records change (record_watch.h). greylisting: again
// after the first delay several times, since the gate opens for whoever keeps coming.
queue::Retry retry_for(RetryClass failure, const queue::Retry& configured);

// Whether a rule or a failed validation holds it back.
bool is_by_policy(const store::Backoff& hold);
// How a destination is held while its site is: with it, but what a policy holds back keeps its reason and is not let go sooner.
store::Backoff held_with_site(const std::optional<store::Backoff>& own, const store::Backoff& site);

}  // namespace hoplock::delivery
