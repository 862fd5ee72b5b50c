// SPDX-License-Identifier: Apache-2.0
// Whether a session to one host, opened for one domain, may carry another domain's mail (TLS-08): domains of one site share hosts. Pure.
#pragma once
#include "hop/plan.h"

namespace hoplock::hop {

// Only where everything that is wanted was proved in just this session: the same rule, the same checks against the same names and
// records, the same consequence of failing them. So never from opportunistic to enforced, from one domain's reference names to
// another's where names count (they do not where every record is DANE-EE), or to REQUIRETLS that was not asked for when the session was
// opened; and not from enforced to opportunistic either: the log would tell of a policy that the domain does not have.
bool may_carry(const Connect& proven, const Connect& wanted);

}  // namespace hoplock::hop
