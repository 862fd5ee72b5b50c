// SPDX-License-Identifier: Apache-2.0
// Whether an MX host is one that the policy names: RFC 8461 section 4.1.
#pragma once
#include "mtasts/policy.h"

namespace hoplock::mtasts {

// STS-20. `host` is the name in the MX record, or the domain itself where it has none; never where its aliases end.
bool matches(const Pattern& pattern, const dns::Name& host);
bool matches(const Policy& policy, const dns::Name& host);

}  // namespace hoplock::mtasts
