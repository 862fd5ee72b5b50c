// SPDX-License-Identifier: Apache-2.0
#include "probe/sts.h"

#include <utility>

#include "mtasts/freshness.h"

namespace hoplock::probe {

namespace {

using State = hop::StsFact::State;

// A policy of the cache that is in force.
struct Kept {
  std::string id;
  mtasts::Policy policy;
  Time fetched;
  Time expires;
};

std::optional<Kept> in_force(const std::optional<store::PolicyRow>& row, Time now) {
  if (!row || !row->freshness.held || !row->text) return std::nullopt;
  const auto& held = *row->freshness.held;
  auto policy = mtasts::parse_policy(*row->text);
  if (!policy || !mtasts::is_live(held, now)) return std::nullopt;
  return Kept{held.id, std::move(*policy), held.fetched, mtasts::expires(held)};
}

std::string since_until(const Kept& kept) {
  return "the policy of " + to_rfc3339(kept.fetched) + " stays in force until " + to_rfc3339(kept.expires);
}

void take_refusal(Sts& to, const hop::Refusal& why) {
  to.reason = why.reason;
  to.error = std::string(to_text(why.reason)) + ": " + why.text;
}

Sts published_part(const route::Published& published) {
  Sts to;
  to.texts = published.txt.texts;
  to.fact = route::fact_of(published);
  if (published.txt.failure) {
    take_refusal(to, *published.txt.failure);
    return to;
  }
  to.id = published.txt.choice.id;
  to.error = published.txt.choice.why;
  if (!published.fetched) return to;
  if (const auto* none = std::get_if<route::NoPolicy>(&*published.fetched)) {
    const hop::Refusal* refusal = &none->why;
    take_refusal(to, *refusal);
    return to;
  }
  to.policy = std::get<route::FetchedPolicy>(*published.fetched).policy;
  if (to.policy->max_age.count() == 0) to.error = "max_age is 0: the policy ends as soon as it is fetched";
  return to;
}

}  // namespace

// STS-28 to STS-31: a kept policy stays in force whatever became of what is published.
Sts sts_of(const route::Published& published, const std::optional<store::PolicyRow>& kept, Time now) {
  Sts to = published_part(published);
  auto held = in_force(kept, now);
  if (!held) return to;
  if (to.policy) {
    if (held->id == to.id && held->policy != *to.policy) {
      to.error += (to.error.empty() ? "" : "; ");
      to.error += "the policy was changed without a new id in the record, so that senders do not notice: here " +
                  since_until(*held);
    }
    return to;
  }
  to.error = (to.error.empty() ? "the record at _mta-sts is gone" : to.error) + "; " + since_until(*held);
  to.fact.state = State::live;
  to.fact.id = held->id;
  to.fact.policy = held->policy;
  to.id = std::move(held->id);
  to.policy = std::move(held->policy);
  return to;
}

}  // namespace hoplock::probe
