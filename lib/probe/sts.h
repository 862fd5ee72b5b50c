// SPDX-License-Identifier: Apache-2.0
// The MTA-STS part of a finding: what a domain publishes (RFC 8461 section 3), what is kept here of it, and which policy a delivery
// would be judged by. Pure: asking and reading is done elsewhere.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "hop/facts.h"
#include "route/sts_published.h"
#include "store/policies.h"

namespace hoplock::probe {

struct Sts {
  std::vector<std::string> texts;        // the TXT records at _mta-sts.<domain>, whatever they say
  std::string id;                        // of the policy, or of the record while none is to be had; "": no valid record
  std::optional<mtasts::Policy> policy;  // published, or kept and still in force
  std::optional<hop::Reason> reason;     // of what is wrong, where a word of RFC 8460 names it
  std::string error;                     // what is wrong, and what holds instead; "": nothing
  hop::StsFact fact;                     // by which hosts are judged
};

// `kept`: the row of the cache of policies, if it has one.
Sts sts_of(const route::Published& published, const std::optional<store::PolicyRow>& kept, Time now);

}  // namespace hoplock::probe
