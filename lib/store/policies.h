// SPDX-License-Identifier: Apache-2.0
// What is kept of MTA-STS policies, as values: what each domain's last successful fetch brought, as it was served, and the fetches that
// failed since (RFC 8461 sections 3.2, 3.3, 5.1).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dns/name.h"
#include "hop/plan.h"
#include "mtasts/freshness.h"

namespace hoplock::store {

// One domain's row.
struct PolicyRow {
  dns::Name domain;
  mtasts::Freshness freshness;
  std::optional<std::string> text;      // verbatim; exactly when freshness.held
  std::optional<hop::Refusal> problem;  // of the last fetch; exactly when failures.count > 0
  Time checked;                         // when the last fetch ended, however it ended
  Time due;                             // when it is looked after next: refreshed, told expired, or removed
};

// With the text that the last fetch brought and that could not be accepted ("": none), which reports tell (RPT-46).
struct KeptPolicy {
  std::optional<PolicyRow> row;
  std::string refused;
};

struct DuePolicies {
  std::vector<dns::Name> domains;  // at most as many as asked for, the longest overdue first
  std::optional<Time> next;        // when the first row of all is due
};
// Rows that are due at `now`, or, set by another clock, only after `horizon`.
struct DueBy {
  Time now;
  Time horizon;
  std::size_t limit = 0;
};

struct PolicySummary {
  std::uint64_t in_force = 0;
  std::uint64_t lapsed = 0;   // kept though their time is over
  std::uint64_t failing = 0;  // whose last fetch failed, with a policy at hand or without
};

}  // namespace hoplock::store
