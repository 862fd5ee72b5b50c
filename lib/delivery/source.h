// SPDX-License-Identifier: Apache-2.0
// Where mail leaves from: the local address and the name said in EHLO, chosen by the envelope sender's and the recipient's domain. Pure.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "dns/name.h"
#include "route/options.h"

namespace hoplock::delivery {

struct Source {
  std::optional<Ip> ipv4;  // nothing: the system chooses
  std::optional<Ip> ipv6;
  dns::Name hostname;
  bool uses_ipv4 = true;
  bool uses_ipv6 = true;
  bool may_reach(const Ip& ip) const { return ip.is_v4() ? uses_ipv4 : uses_ipv6; }
  const std::optional<Ip>& towards(const Ip& ip) const { return ip.is_v4() ? ipv4 : ipv6; }
  bool operator==(const Source&) const = default;
};

// One of `sources:`. A name that it leaves out is as without it, and so are addresses that it leaves out both; where it has an address of
// one family, mail leaves from that one and over no other family.
struct SourceRule {
  std::vector<dns::Pattern> senders;  // of the envelope sender's domain; empty: any, the empty sender too
  std::vector<dns::Pattern> match;    // of the recipient's domain; empty: any
  std::optional<Ip> ipv4;
  std::optional<Ip> ipv6;
  dns::Name hostname;  // root: left out
};

// The first rule that takes both decides. `sender`: as accepted; one without a domain matches only where any does.
Source source_for(std::string_view sender, const dns::Name& recipient, const std::vector<SourceRule>& rules,
                  Source otherwise);

}  // namespace hoplock::delivery
