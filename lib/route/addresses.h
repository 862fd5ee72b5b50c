// SPDX-License-Identifier: Apache-2.0
// What the A and AAAA answers of one host come to: each family is judged by itself (DNS-16), addresses that must not be used are
// left out (MX-17). Pure; the order to try them takes its random numbers as an argument.
#pragma once
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "hop/facts.h"
#include "route/options.h"
#include "route/router.h"

namespace hoplock::route {

struct Addresses {
  std::vector<Ip> v4;
  std::vector<Ip> v6;
  dns::Name expanded;                                // of the answers used; else the host's name
  dns::Security security = dns::Security::insecure;  // secure only if every answer used is
  std::optional<hop::Reason> failure;                // why there is none, if it may be another time
  std::string why;                                   // why there is none
  std::chrono::seconds ttl{0};                       // least of all answers, failed ones left out
  bool any_failed = false;

  bool empty() const { return v4.empty() && v6.empty(); }
};

// `answers`: A, AAAA or both, for host.name.
Addresses usable(const std::vector<dns::Answer>& answers, const Host& host, const Options& options);

bool is_own(const Ip& address, std::uint16_t port, const Options& options);

// At most options.addresses_per_host, shuffled within a family; both families keep a place.
std::vector<Ip> in_order(const Addresses& addresses, const Options& options, std::mt19937_64& random);

}  // namespace hoplock::route
