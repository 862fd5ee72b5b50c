// SPDX-License-Identifier: Apache-2.0
#include "hop/sharing.h"

#include <algorithm>

namespace hoplock::hop {

namespace {

constexpr unsigned dane_ee = 3;

// What is told of its own domain, in the log or its report, is not another's.
bool is_told_of_its_domain(const Connect& plan) { return plan.waived || plan.observed || plan.tlsa_unusable; }

// RFC 7672 section 3.1.1: a certificate that a DANE-EE record names is held to no name. One other record, and names count.
bool has_names_that_count(const Connect& plan) {
  if (!plan.dane || plan.pkix || plan.required) return true;
  const auto& records = plan.dane->records;
  return records.empty() ||
         std::any_of(records.begin(), records.end(), [](const dns::Tlsa& one) { return one.usage != dane_ee; });
}

}  // namespace

bool may_carry(const Connect& proven, const Connect& wanted) {
  if (is_told_of_its_domain(proven) || is_told_of_its_domain(wanted)) return false;
  if (has_names_that_count(proven) || has_names_that_count(wanted)) return proven == wanted;
  Connect same_names = wanted;
  same_names.dane->names = proven.dane->names;
  return proven == same_names;
}

}  // namespace hoplock::hop
