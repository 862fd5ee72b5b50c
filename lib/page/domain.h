// SPDX-License-Identifier: Apache-2.0
// A domain's page: what waits for it, what it publishes by the last look, its hosts with their proof, deliveries by policy over time,
// failures with what was said, TLS reports, and the operator's rules that apply. Pure.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dns/name.h"
#include "page/story.h"
#include "page/waiting.h"
#include "statistics/proof.h"
#include "store/looks.h"
#include "store/readers.h"
#include "tlsrpt/report.h"

namespace hoplock::page {

inline constexpr int days_of_proofs = 30;
using Proofs = std::array<std::uint64_t, statistics::all_proofs.size()>;  // recipients, by statistics::Proof

// What was read of one domain.
struct DomainLook {
  dns::Name domain;
  std::vector<Story> stories;                                 // newest first
  store::Recent::Extent extent = store::Recent::Extent::all;  // part: there are older ones
  std::optional<store::DomainWait> wait;
  std::optional<store::PolicyRow> policy;
  std::vector<store::LedgerRow> reports;               // newest first
  std::map<std::chrono::sys_days, Proofs> delivered;   // of the days with any
  std::optional<std::chrono::sys_days> counted_since;  // nothing: nothing was ever counted
  // Why a part could not be read; "": it was. Of one that was not nothing is known.
  struct Unread {
    std::string mail;  // what waits, and the history
    std::string policy, reports, deliveries;
  } unread;
};
struct DomainView {
  const DomainLook& look;
  const std::vector<std::string>& rules;
  std::string nexthop;  // as the queue names it
  Trouble trouble = Trouble::none;
  Time now{};
};
// Whether nothing is known of it: neither mail nor policy nor report; or whether that could not be read.
enum class Known : std::uint8_t { something, nothing, unread };
Known known_of(const DomainLook& look);
std::string domain_html(const DomainView& view);

}  // namespace hoplock::page
