// SPDX-License-Identifier: Apache-2.0
// What the operator may say about DNS: the `dns:` section of the configuration but for local_targets, which is routing.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"

namespace hoplock::resolver {

// A recursive resolver to ask instead of iterating.
struct Forwarder {
  Ip address;
  std::uint16_t port = 53;
  auto operator<=>(const Forwarder&) const = default;
};

struct Options {
  std::string trust_anchor = "/usr/share/dns/root.key";  // DS or DNSKEY records; empty: only what unbound_conf names
  std::string root_hints = "/usr/share/dns/root.hints";  // empty: libunbound's own
  std::vector<Forwarder> forward;
  std::string unbound_conf;                   // an unbound.conf(5) file, read first; empty: none
  std::chrono::milliseconds timeout{20'000};  // for one whole look-up
  std::chrono::milliseconds look{5'000};  // how often the files are looked at; one that changed is read when it rests
  bool operator==(const Options&) const = default;
};

}  // namespace hoplock::resolver
