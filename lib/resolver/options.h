// What the operator may say about DNS: the `dns:` section of the configuration but for local_targets, which is routing.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace hoplock::resolver {

// A recursive resolver to ask instead of iterating.
struct Forwarder {
  Ip address;
  std::uint16_t port = 53;
  auto operator<=>(const Forwarder&) const = default;
};
// "192.0.2.53", "192.0.2.54@5353", "2001:db8::53".
Result<Forwarder> parse_forwarder(std::string_view text);
std::string to_text(const Forwarder& forwarder);

struct Options {
  std::string trust_anchor = "/usr/share/dns/root.key";  // DS or DNSKEY records; empty: only what unbound_conf names
  std::string root_hints = "/usr/share/dns/root.hints";  // empty: libunbound's own
  std::vector<Forwarder> forward;
  std::string unbound_conf;                   // an unbound.conf(5) file, read first; empty: none
  std::chrono::milliseconds timeout{20'000};  // for one whole look-up
};

}  // namespace hoplock::resolver
