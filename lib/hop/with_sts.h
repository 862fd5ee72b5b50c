// SPDX-License-Identifier: Apache-2.0
// The second half of `decide`: what a domain's MTA-STS policy (RFC 8461 section 5) makes of a plan that DANE or the operator's rule
// made. For this module's own sources.
#pragma once
#include <optional>

#include "hop/plan.h"

namespace hoplock::hop {

// The word of the policy that is in force; nothing: none is, or its mode is none.
std::optional<Policy> sts_policy(const StsFact& fact);

// A host that has definitely no usable address, where an enforced policy would have refused it even so: for good is only what the
// domain's policy, too, lets be for good (STS-23). Nothing: the policy has no objection. REQUIRES: needs_sts.
std::optional<Refuse> refused_by_sts(const Facts& facts, Mode mode);

// REQUIRES: needs_sts, so `mode` is not off. A refusal stays one (STS-34); where a plan has DANE with secure MX, DANE decides and STS
// is observed; else an enforced policy binds in full, together with DANE where that binds too (STS-35, STS-36).
Plan with_sts(Plan plan, const Facts& facts, Mode mode);

}  // namespace hoplock::hop
