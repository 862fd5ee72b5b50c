// SPDX-License-Identifier: Apache-2.0
// What a domain publishes for MTA-STS at this moment: its TXT record, and the policy that its policy host serves (RFC 8461 sections
// 3.1, 3.3). Asks the network; knows no cache, keeps nothing.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hop/facts.h"
#include "mtasts/policy.h"
#include "mtasts/record.h"
#include "resolver/resolver.h"
#include "route/sts_fetch.h"

namespace hoplock::route {

// The TXT records at `_mta-sts.<domain>`.
struct PolicyTxt {
  std::optional<hop::Refusal> failure;  // dnssec_invalid (bogus) or dns_failure: nothing else is known then (STS-06)
  Seconds failing{0};                   // how long every look-up ended so, as far as PolicyCache saw it
  std::vector<std::string> texts;       // all that stand there
  mtasts::Choice choice;
  std::chrono::seconds ttl{0};
  bool valid() const { return !failure && choice.state == mtasts::Choice::State::valid; }
};

struct FetchedPolicy {
  std::string text;  // verbatim
  mtasts::Policy policy;
};
struct NoPolicy {
  hop::Refusal why;  // sts_policy_fetch_error, sts_webpki_invalid or sts_policy_invalid
  // As served, for sts_policy_invalid: its first most_refused octets, whole lines where there are any.
  std::string text{};
};
inline constexpr std::size_t most_refused = 8192;
using PolicyFetched = std::variant<FetchedPolicy, NoPolicy>;

boost::asio::awaitable<PolicyTxt> find_policy_txt(resolver::Resolver& resolver, dns::Name domain);
boost::asio::awaitable<PolicyFetched> fetch_policy(PolicyFetch& fetch, dns::Name domain);

// Both, as a first contact does it: nothing is fetched without a valid record. For `hoplock check`.
struct Published {
  PolicyTxt txt;
  std::optional<PolicyFetched> fetched;
};
boost::asio::awaitable<Published> find_published(resolver::Resolver& resolver, PolicyFetch& fetch, dns::Name domain);
// What a delivery that had nothing cached would be told.
hop::StsFact fact_of(const Published& published);

}  // namespace hoplock::route
