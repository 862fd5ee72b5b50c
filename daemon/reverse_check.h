// SPDX-License-Identifier: Apache-2.0
// Whether the addresses that mail leaves from, their PTR records and the names said in EHLO agree (dns/reverse.h): asked after the start, so
// that an operator learns then what would else only show in other people's refusals. Never keeps the start waiting; look-ups are bounded
// in number and time, and where nothing can be known nothing is said.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <set>

#include "base/log.h"
#include "config/config.h"
#include "dns/reverse.h"
#include "resolver/resolver.h"

namespace hoplock::daemon {

// The addresses that mail routed by MX leaves from, and what is said in EHLO from each: as `sources` and `delivery` have it, else
// those that the system picks now. None where routes with hosts take all mail.
using Departures = std::map<Ip, std::set<dns::Name>>;
Departures departures(const config::Config& config);

// Look-ups that end: what is asked beyond the number or the time is an answer that failed. REQUIRES: `resolver` outlives it.
class BoundedLooks {
 public:
  BoundedLooks(resolver::Resolver& resolver, std::chrono::milliseconds time)
      : resolver_(resolver), until_(std::chrono::steady_clock::now() + time) {}
  boost::asio::awaitable<dns::Answer> find(dns::Name name, dns::Type type);

 private:
  resolver::Resolver& resolver_;
  std::chrono::steady_clock::time_point until_;
  std::size_t left_ = 200;
};

// REQUIRES: `looks` outlives it.
boost::asio::awaitable<dns::Agreement> look_at_address(Ip ip, std::set<dns::Name> said, BoundedLooks& looks);

// Logs one line for each address that disagrees; where the DNS does not answer, or the network is not there yet, it looks again a
// minute and ten later, no more. Ends when nobody has the configuration any more. REQUIRES: resolver and log outlive it.
boost::asio::awaitable<void> check_addresses(std::weak_ptr<const config::Config> watched, resolver::Resolver& resolver,
                                             Log& log);

}  // namespace hoplock::daemon
