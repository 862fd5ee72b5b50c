// SPDX-License-Identifier: Apache-2.0
// Adds up sessions into the elements of a report, at bounded memory: RFC 8460 section 5.2 wants reports small, RPT-34 under 10 MB.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "tlsrpt/report.h"

namespace hoplock::tlsrpt {

struct Limits {
  std::size_t policies = 100;
  std::size_t policy_octets = 500'000;  // of all policy texts together
  std::size_t details = 6000;           // of all policies together
};

// Same policy, same element; same kind of failure, same detail. Counts are always exact. What comes first is kept in detail: once a
// limit is reached, a policy not seen before is counted without its text, in one element a type, and a failure not seen before in one
// detail per policy and result type with the reason "other".
class Tally {
 public:
  // `domain`: that the report is about; under it is counted what has no room under its own.
  explicit Tally(dns::Name domain, Limits limits = Limits()) : domain_(std::move(domain)), limits_(limits) {}
  void add(const Sessions& more);
  // In an order that depends on nothing but what was added; the details with the largest counts first.
  std::vector<Sessions> sum() const;

 private:
  struct LessByKind {
    bool operator()(const Failure& a, const Failure& b) const;  // counts aside
  };
  struct Element {
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
    std::map<Failure, std::uint64_t, LessByKind> details;
  };
  Element& element(const Policy& policy);
  std::uint64_t& detail(Element& element, const Failure& failure);

  dns::Name domain_;
  Limits limits_;
  std::map<Policy, Element> elements_;
  std::size_t octets_ = 0;
  std::size_t details_ = 0;
};

}  // namespace hoplock::tlsrpt
