// SPDX-License-Identifier: Apache-2.0
// Facts about where a domain's mail goes: RFC 5321 section 5.1 (MX), RFC 7505 (null MX), RFC 7672 section 2.2 (which
// names and TLSA records). `find` gives a domain's hosts in order, `look` one host's addresses and TLSA when its turn
// has come. What DNS says is a fact, never an error; nothing is decided here. Facts are kept within their TTL, five
// minutes at most (DANE-38).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "hop/facts.h"
#include "net/clock.h"
#include "resolver/resolver.h"
#include "route/options.h"
#include "route/sts.h"
#include "route/table.h"

namespace hoplock::route {

// A host that mail may be offered to, before its facts are gathered.
struct Host {
  using Origin = hop::HostFacts::Origin;
  enum class Tlsa : std::uint8_t { ask, skip };  // skip: no rule of this hop could use the answer
  Origin origin = Origin::mx;
  dns::Name name;  // root for a literal
  Ip literal;      // only when origin == literal
  std::uint16_t port = 25;
  std::uint16_t preference = 0;  // of the MX record; a route's hosts count up from 0
  Tlsa tlsa = Tlsa::ask;
  auto operator<=>(const Host&) const = default;
};

// Where a domain's mail goes.
struct Hosts {
  hop::DomainFacts domain;
  hop::LocalRule rule;
  std::vector<Host> hosts;   // in the order to try, never empty; equal preferences shuffled anew by every call (MX-05)
  RoutePtr route;            // null: no route matches
  std::string note;          // Table::note
  partners::Terms loosened;  // Table::loosening
  std::size_t left_out = 0;  // MX hosts behind these, of a set that is too large
  std::string site;          // who takes the mail, whatever the domain: the same hosts, the same site
};

// The whole destination takes no mail, now or ever.
struct NoHosts {
  enum class Kind : std::uint8_t { permanent, temporary };
  Kind kind = Kind::temporary;
  int code = 451;                     // 556 for a null MX
  std::string enhanced = "4.4.3";     // "5.1.10"
  std::optional<hop::Reason> reason;  // dns_failure, dnssec_invalid; nothing for what no reason word names
  std::string text;                   // one sentence, without code or reason word
  RoutePtr route;
  std::string note{};  // Table::note
};

using Found = std::variant<Hosts, NoHosts>;

class Router {
 public:
  struct Parts {
    resolver::Resolver& resolver;
    PolicyCache* policies =
        nullptr;  // the MTA-STS policy is among a domain's facts, wherever a rule could use it (STS-02); null: never
    net::Clock clock = net::now;
  };
  // `random` orders hosts of equal preference and the addresses of a host. REQUIRES: the parts outlive it and the loop's last run.
  Router(const Parts& parts, Options options, std::mt19937_64 random);
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  const Table& table() const;
  // The same, kept alive: another one after every reload.
  TablePtr rules() const;
  // Look-ups that run keep the old options; facts gathered under them are forgotten.
  void reload(Options options);
  // Other entries under the same options: what DNS said stays at hand.
  void set_partners(partners::BookPtr partners);

  // `domain`: that of the recipients; where several domains share a destination (Table::destination), any one of them.
  // Never throws for what DNS does; concurrent calls for one domain ask once.
  boost::asio::awaitable<Found> find(dns::Name domain);

  // Addresses in the order to try, and TLSA by the fail-closed rules of RFC 7672 sections 2.1.2 and 2.2.2.
  boost::asio::awaitable<hop::HostFacts> look(Host host);
  // The same for mail to `domain`, which asks for few hosts at a time, whatever its MX records say (turns.h).
  boost::asio::awaitable<hop::HostFacts> look(Host host, dns::Name domain);

  // Whether TLS reports are wanted at `domain` (reporting.h); false where that cannot be found out.
  boost::asio::awaitable<bool> find_reporting(dns::Name domain);
  // Without asking: nothing where it is not at hand.
  std::optional<bool> known_reporting(const dns::Name& domain) const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hoplock::route
