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

#include "net/stream.h"
#include "resolver/options.h"

namespace hoplock::probe {

struct NameServers {
  enum class Origin : std::uint8_t { forward, root, unknown };  // unknown: unbound_conf may send questions elsewhere
  Origin origin = Origin::unknown;
  std::vector<net::Endpoint> all;  // none where unknown
};

// `dns.forward`, else what dns.root_hints names.
NameServers first_servers(const resolver::Options& options);
// The addresses in a file of root hints (RFC 1035 section 5), IPv4 first; what else it holds is left alone.
std::vector<net::Endpoint> parse_hints(std::string_view text);
// Whether a file of unbound.conf(5) may name servers of its own.
bool names_servers(std::string_view unbound_conf);

struct Silence {
  std::string text;    // "nobody answered on port 53 (26 root servers were asked: no answer)"
  std::string advice;  // what to do
};

// Nothing: one answered, be it with a refusal, or whom to ask is unknown. At most 4 s, and at once where all refuse.
boost::asio::awaitable<std::optional<Silence>> find_silence(NameServers servers);

}  // namespace hoplock::probe
