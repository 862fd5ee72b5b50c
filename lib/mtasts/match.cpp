// SPDX-License-Identifier: Apache-2.0
#include "mtasts/match.h"

#include <algorithm>

namespace hoplock::mtasts {

bool matches(const Pattern& pattern, const dns::Name& host) {
  if (pattern.kind == Pattern::Kind::host) return host == pattern.name;
  return host.labels() > 1 && host.parent() == pattern.name;  // RFC 8461 section 4.1: one label, neither less nor more
}

bool matches(const Policy& policy, const dns::Name& host) {
  return std::any_of(policy.mx.begin(), policy.mx.end(),
                     [&](const Pattern& pattern) { return matches(pattern, host); });
}

}  // namespace hoplock::mtasts
