// SPDX-License-Identifier: Apache-2.0
// The questions behind a domain's and a host's facts, in the order that RFC 7672 section 2.2.2 wants them asked: addresses before
// TLSA, and TLSA only where the names that lead to it are secure. Asks; keeps nothing.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "resolver/addresses.h"
#include "resolver/resolver.h"
#include "route/addresses.h"
#include "route/mx.h"

namespace hoplock::route {

// One configuration, shared by what was begun under it.
struct Settings {
  Settings(Options from);
  Options options;
  Table table;
};
using SettingsPtr = std::shared_ptr<const Settings>;

// What is kept of a domain: hosts by preference, not shuffled, for whoever asks. Of a set of more than most_hosts nothing was looked up:
// it is first cut by the domain's policy, and then find_own asks whether we are among what is left.
struct DomainEntry {
  hop::DomainFacts facts;
  Candidates hosts;
  std::chrono::seconds keep{0};
};
using DomainPtr = std::shared_ptr<const DomainEntry>;

struct HostEntry {
  hop::HostFacts facts;  // without addresses
  Addresses addresses;
  std::chrono::seconds keep{0};
};
using HostPtr = std::shared_ptr<const HostEntry>;

using resolver::Families;
Families families(AddressFamily wanted);

// Whether a connection to an MX host may end at one of our listeners: one is bound to the port that mail goes to.
bool may_be_us(const Options& options);
// The least preference among these hosts at which one of our own addresses stands (MX-09), asked for a few hosts at a time.
boost::asio::awaitable<std::optional<std::uint16_t>> find_own(resolver::Resolver& resolver, SettingsPtr settings,
                                                              std::vector<Host> hosts);

// What else is worth asking once it is known that the domain takes mail (MX-04): side by side with its hosts' addresses. Empty: nothing.
using Beside = std::function<boost::asio::awaitable<void>()>;
struct Early {
  Beside beside;
  // MX-29: takes hosts out of which nothing need be asked, by what is at hand of the domain's policy. Empty: none.
  std::function<void(const hop::DomainFacts&, std::vector<Host>&)> leave_out;
};
boost::asio::awaitable<DomainPtr> gather_domain(resolver::Resolver& resolver, SettingsPtr settings, dns::Name domain,
                                                Early early);
boost::asio::awaitable<HostPtr> gather_host(resolver::Resolver& resolver, SettingsPtr settings, Host host);

}  // namespace hoplock::route
