// SPDX-License-Identifier: Apache-2.0
#include "delivery/host_refusals.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

void HostRefusals::add(std::size_t recipient, Refusal refusal) {
  by_recipient_[recipient].push_back(std::move(refusal));
}

const HostRefusals::Refusal* HostRefusals::everywhere(std::size_t recipient, const std::vector<Hop>& hops) const {
  const auto found = by_recipient_.find(recipient);
  if (found == by_recipient_.end()) return nullptr;
  const std::vector<Refusal>& refusals = found->second;
  for (std::size_t i = 0; i < hops.size(); ++i) {
    const Hop& hop = hops[i];
    const bool here = std::any_of(refusals.begin(), refusals.end(),
                                  [&](const Refusal& one) { return one.hop == i || speaks_for(hops[one.hop], hop); });
    if (!here && !hop.no_mail && !hop.definite && !hop.was_tried_again()) return nullptr;
  }
  return &refusals.back();
}

bool HostRefusals::is_last_at(std::size_t recipient, std::size_t hop) const {
  const auto found = by_recipient_.find(recipient);
  return found != by_recipient_.end() && found->second.back().hop == hop;
}

void HostRefusals::forget_from(std::size_t hop) {
  for (auto& [recipient, refusals] : by_recipient_)
    std::erase_if(refusals, [hop](const Refusal& one) { return one.hop >= hop; });
  std::erase_if(by_recipient_, [](const auto& one) { return one.second.empty(); });
}

}  // namespace hoplock::delivery
