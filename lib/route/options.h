// SPDX-License-Identifier: Apache-2.0
// Where mail goes and how, as the operator says it: `routes:`, and what `dns:`, `delivery:` and `security:` add to
// routing; and `mta_sts:`.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/time.h"
#include "dns/pattern.h"
#include "hop/facts.h"
#include "partners/book.h"

namespace hoplock::route {

// One next hop of a route: a name (never MX-resolved, MX-16) or an address literal.
struct NextHop {
  std::variant<dns::Name, Ip> host;
  std::uint16_t port = 25;
  auto operator<=>(const NextHop&) const = default;
};
// "relay.example:25", "[192.0.2.1]:25".
std::string to_text(const NextHop& hop);

struct Rate {
  std::uint32_t count = 1;
  std::chrono::seconds per{60};
  bool operator==(const Rate&) const = default;
};

// What the operator knows of a destination's limits.
struct Limits {
  std::optional<std::uint32_t> sessions;
  std::optional<std::uint32_t> messages_per_session;
  std::optional<Rate> rate;  // of messages
  bool operator==(const Limits&) const = default;
};

struct Route {
  std::vector<dns::Pattern> match;
  std::vector<NextHop> hosts;  // in the order to try; empty: MX routing stays, only the manner changes
  std::optional<hop::RouteTls> tls;
  std::vector<dns::Name> verify_names;
  std::string client_certificate;  // PEM files; empty: none
  std::string client_key;
  std::optional<hop::Mode> dane;
  std::optional<hop::Mode> mta_sts;
  std::optional<std::chrono::sys_days> until;  // the last day (UTC) on which the route counts
  std::string note;
  std::string username;
  std::string password_file;
  Limits limits;
};

enum class AddressFamily : std::uint8_t { any, ipv4, ipv6, prefer_ipv4, prefer_ipv6 };
enum class LocalTargets : std::uint8_t { refuse, allow };

// An address and port that one of our own listeners is bound to. For a wildcard listener the caller lists the
// interfaces' addresses except loopback.
struct OwnAddress {
  Ip address;
  std::uint16_t port = 25;
  auto operator<=>(const OwnAddress&) const = default;
};

struct Options {
  std::vector<Route> routes;
  hop::LocalRule security;     // `security:` as it is without a route; route_tls and verify_names stay empty
  partners::BookPtr partners;  // null: none
  std::uint16_t port = 25;     // delivery.port, for hosts from DNS
  AddressFamily address_family = AddressFamily::any;
  LocalTargets local_targets = LocalTargets::refuse;
  dns::Name hostname;  // our own
  std::vector<OwnAddress> own_addresses;
  std::size_t addresses_per_host = 8;  // tried in one attempt (MX-05)
};

// How policies are fetched.
struct FetchOptions {
  std::uint16_t https_port = 443;
  std::chrono::milliseconds timeout{60'000};  // for everything, look-ups included
};

struct PolicyOptions {
  enum class Upkeep : std::uint8_t { on, off };  // off: no rule uses policies, nobody is asked in the background
  Milliseconds refresh{std::chrono::hours{24}};  // before a policy expires
  Upkeep upkeep = Upkeep::on;
};

}  // namespace hoplock::route
