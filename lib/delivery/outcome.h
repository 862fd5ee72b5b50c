// SPDX-License-Identifier: Apache-2.0
// What becomes of each recipient after an attempt: which hop decided, for which reason, with which code and in whose words (CONTRACT, "Log
// lines" and the enhanced codes by reason). Pure, and asked once: the answer stands in the Attempt, and queue, log, history, metrics and
// notices are each made from it. Nothing here knows how they write it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "delivery/attempt.h"

namespace hoplock::delivery {

// One for each recipient, in order.
std::vector<RecipientOutcome> outcomes_of(const Attempt& attempt);
// The attempt with them. Whoever changes what it saw concludes it anew.
Attempt concluded(Attempt attempt);

// Every host that there is refuses this mail for good, and one of them because of REQUIRETLS (RTLS-08). Also asked while it goes on.
bool is_unfit_everywhere(const Attempt& attempt, const RecipientStatus& recipient);
// Somebody was delivered.
bool took_any(const Attempt& attempt);
// The hop that decided over the recipient `index`, or null.
const Hop* deciding_hop(const Attempt& attempt, std::size_t index);

// What a refusal means on its own, for mail that is kept: its reason, code and text.
RecipientOutcome outcome_of(const Hop& hop, const hop::Refusal& refusal);

// A host that was refused before the next was tried, or relaxed. It refers to the attempt.
struct RefusedHop {
  const Hop* hop = nullptr;
  Hop::Action action = Hop::Action::none;
  RecipientOutcome means;
};
// At most most_hops of an attempt are told of one by one, in order: those that were contacted before the others, the last one in any case
// (BND-02). A policy that was overlooked counts as one of them.
inline constexpr std::size_t most_hops = 12;
struct RefusedHops {
  std::vector<RefusedHop> told;
  std::vector<RefusedHop> rest;
};
RefusedHops refused_hops(const Attempt& attempt);

// Why the destination as a whole is down: nothing when some host was ready for mail, or when the refusal is permanent.
struct DestinationFailure {
  std::string status;
  std::string reply;
  std::optional<hop::Reason> reason;
  std::string host;
};
// REQUIRES of both: the attempt is concluded.
std::optional<DestinationFailure> destination_failure(const Attempt& attempt);
// What became of its first recipient, in the same words, whoever is to blame.
DestinationFailure failure_of(const Attempt& attempt);

}  // namespace hoplock::delivery
