// SPDX-License-Identifier: Apache-2.0
// A policy text as any web server may serve it: what is read can be written and read again, matches only what it should, and what is
// said about the rest fits on a line.
#include <cstdint>
#include <cstdlib>

#include "mtasts/match.h"
#include "mtasts/policy.h"

using namespace hoplock;

namespace {
void demand(bool truth) {
  if (!truth) std::abort();
}

void examine(const mtasts::Pattern& pattern, const mtasts::Policy& policy) {
  const bool wild = pattern.kind == mtasts::Pattern::Kind::one_label_below;
  demand(pattern.name.text().find_first_of("*_") == std::string::npos && !pattern.name.is_root());
  demand(mtasts::matches(pattern, pattern.name) == !wild);
  const auto below = pattern.name.under("x");
  if (!below) return;
  demand(mtasts::matches(pattern, *below) == wild);
  demand(!wild || mtasts::matches(policy, *below));
  if (const auto deeper = below->under("y")) demand(!mtasts::matches(pattern, *deeper));
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto policy = mtasts::parse_policy({reinterpret_cast<const char*>(data), size});
  if (!policy) {
    const std::string& why = policy.error().detail;
    demand(!why.empty() && why.size() < 300 && why.find_first_of("\r\n") == std::string::npos);
    return 0;
  }
  demand(policy->max_age >= Seconds{0} && policy->max_age <= mtasts::max_lifetime);
  demand(!policy->mx.empty() || policy->mode == mtasts::Mode::none);
  const std::string text = mtasts::to_text(*policy);
  const auto again = mtasts::parse_policy(text);
  demand(text.size() > mtasts::max_policy_octets || (again && *again == *policy));
  std::size_t looked_at = 0;
  for (const auto& pattern : policy->mx) {
    if (++looked_at > 16) break;
    examine(pattern, *policy);
  }
  return 0;
}
