// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/tally.h"

#include <algorithm>
#include <tuple>

namespace hoplock::tlsrpt {

namespace {
auto kind(const Failure& one) {
  return std::tie(one.type, one.sending_ip, one.receiving_host, one.receiving_helo, one.receiving_ip, one.information,
                  one.reason);
}

std::size_t octets_of(const Policy& policy) {
  std::size_t octets = 0;
  for (const auto& line : policy.text) octets += line.size();
  for (const auto& pattern : policy.mx_host) octets += pattern.size();
  return octets;
}
}  // namespace

bool Tally::LessByKind::operator()(const Failure& a, const Failure& b) const { return kind(a) < kind(b); }

Tally::Element& Tally::element(const Policy& policy) {
  const auto known = elements_.find(policy);
  if (known != elements_.end()) return known->second;
  const std::size_t octets = octets_of(policy);
  if (elements_.size() < limits_.policies && octets_ + octets <= limits_.policy_octets) {
    octets_ += octets;
    return elements_[policy];
  }
  return elements_[Policy{policy.type, {}, domain_, {}}];
}

std::uint64_t& Tally::detail(Element& element, const Failure& failure) {
  Failure key = failure;
  key.sessions = 0;
  const auto known = element.details.find(key);
  if (known != element.details.end()) return known->second;
  if (details_ < limits_.details) {
    ++details_;
    return element.details[key];
  }
  Failure other;
  other.type = failure.type;
  other.reason = "other";
  return element.details[other];
}

void Tally::add(const Sessions& more) {
  Element& sum = element(more.policy);
  sum.successes += more.successes;
  sum.failures += more.failures;
  for (const auto& failure : more.details) detail(sum, failure) += failure.sessions;
}

std::vector<Sessions> Tally::sum() const {
  std::vector<Sessions> all;
  for (const auto& [policy, element] : elements_) {
    Sessions sessions{policy, element.successes, element.failures, {}};
    for (const auto& [failure, count] : element.details) {
      sessions.details.push_back(failure);
      sessions.details.back().sessions = count;
    }
    std::stable_sort(sessions.details.begin(), sessions.details.end(),
                     [](const Failure& a, const Failure& b) { return a.sessions > b.sessions; });
    all.push_back(std::move(sessions));
  }
  return all;
}

}  // namespace hoplock::tlsrpt
