// SPDX-License-Identifier: Apache-2.0
// Whether anybody answers us on port 53. A validator that hears nothing can only say that it validates nothing: "nobody answered" is a
// state of its own with an advice of its own, and found in seconds, whatever the patience of a whole look-up. Asks the servers that
// every other look-up begins with, beside the resolver and its caches; believes nothing that they say.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/name.h"
#include "net/stream.h"
#include "resolver/options.h"

namespace hoplock::probe {

struct NameServers {
  // forward_zone, stub_zone: what dns.unbound_conf has for a zone of its own; unknown: it may send questions where we do not see it
  enum class Origin : std::uint8_t { forward, root, forward_zone, stub_zone, unknown };
  Origin origin = Origin::unknown;
  std::vector<net::Endpoint> all;  // none where unknown
  dns::Name zone{};                // what they are asked for, and what is below it
  bool operator==(const NameServers&) const = default;
};

// Whom a look-up for this name begins with: the servers of the nearest zone in dns.unbound_conf, else dns.forward, else what
// dns.root_hints names.
NameServers servers_for(const resolver::Options& options, const dns::Name& name);
// Those of the root.
NameServers first_servers(const resolver::Options& options);
// Those of each zone below the root that dns.unbound_conf sends to servers of its own.
std::vector<NameServers> zone_servers(const resolver::Options& options);
// The addresses in a file of root hints (RFC 1035 section 5), IPv4 first; what else it holds is left alone.
std::vector<net::Endpoint> parse_hints(std::string_view text);

// What a file of unbound.conf(5) says of whom to ask.
struct OwnZones {
  std::vector<NameServers> all;  // origin unknown where servers are named by name, or asked over TLS or TCP only
  bool is_whole = true;          // no: more files are read, or something else may name servers
};
OwnZones own_zones(std::string_view unbound_conf);

struct Silence {
  std::string text;    // "nobody answered on port 53 (26 root servers were asked: no answer)"
  std::string advice;  // what to do
};

// Nothing: one answered, be it with a refusal, or whom to ask is unknown. At most 4 s, and at once where all refuse.
boost::asio::awaitable<std::optional<Silence>> find_silence(NameServers servers);

}  // namespace hoplock::probe
