// SPDX-License-Identifier: Apache-2.0
// Which route a domain takes, and what it and what was agreed on with the partner change: pure look-ups in the operator's list and in the
// book of partners. Of routes the first match wins; one whose `until` has passed is skipped. Then partners: a mandate is laid over whatever
// the route says, and an exception loosens what the route says nothing of.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "route/options.h"

namespace hoplock::route {

// Routes never change once they are in a table, so a reload does not pull one away from under an attempt that runs.
using RoutePtr = std::shared_ptr<const Route>;

class Table {
 public:
  Table(std::vector<Route> routes, hop::LocalRule security, partners::BookPtr partners = nullptr);

  // The route for a recipient domain, or null.
  RoutePtr match(const dns::Name& domain, Time now) const;

  // Recipients with the same destination may share a transaction: the domain itself where MX records rule, one key for
  // all domains that take the same route with hosts and have the same mandate: "route:relay.example:25", "route:relay.example:25+verify".
  // Stable while the configuration and the partners are.
  std::string destination(const dns::Name& domain, Time now) const;

  // What the operator demands of mail to `domain`: `security`, as its route and the partner's entries change it.
  hop::LocalRule rule(const dns::Name& domain, Time now) const;

  // Its place in the list, from 0; nothing: none matches.
  std::optional<std::size_t> position(const dns::Name& domain, Time now) const;

  partners::Terms terms(const dns::Name& domain, Time now) const;
  // Of these the exceptions that let mail pass which the rule would refuse without them.
  partners::Terms loosening(const dns::Name& domain, Time now) const;
  // Why, in the operator's own words: the notes of the route and of the partner's entries; "": there are none.
  std::string note(const dns::Name& domain, Time now) const;

  // When the next route or entry ends of those that count at `after`: until then every answer stays what it is.
  std::optional<Time> next_end(Time after) const;

  // Routes whose `until` has passed, for the daily warning.
  std::vector<RoutePtr> expired(Time now) const;

 private:
  struct Entry {
    RoutePtr route;
    std::string key;  // for routes with hosts
  };
  const Entry* find(const dns::Name& domain, Time now) const;
  std::vector<Entry> entries_;
  hop::LocalRule security_;
  partners::BookPtr partners_;  // null: none
};

// A configuration's rules; whoever holds one can tell whether it is still the one in force.
using TablePtr = std::shared_ptr<const Table>;

// Of a destination: whether it is that of a route with hosts, and its hosts as an administrator names them ("relay.example:25"), without
// what tells it from others that lead to them; of a domain the domain. The view lives as long as the argument's octets.
bool has_hosts(std::string_view destination);
std::string_view next_hop(std::string_view destination);

bool is_expired(const Route& route, Time now);

// Whether mail goes the same way under both, whatever they match, for how long, and how much at once. Null: no route.
bool is_same_way(const RoutePtr& a, const RoutePtr& b);

}  // namespace hoplock::route
