// SPDX-License-Identifier: Apache-2.0
// Which route a domain takes, and what it changes: pure look-ups in the operator's list. First match wins; a route
// whose `until` has passed is skipped.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "route/options.h"

namespace hoplock::route {

// Routes never change once they are in a table, so a reload does not pull one away from under an attempt that runs.
using RoutePtr = std::shared_ptr<const Route>;

class Table {
 public:
  Table(std::vector<Route> routes, hop::LocalRule security);

  // The route for a recipient domain, or null.
  RoutePtr match(const dns::Name& domain, Time now) const;

  // Recipients with the same destination may share a transaction: the domain itself where MX records rule, one key for
  // all domains that take the same route with hosts: "route:relay.example:25". Stable while the configuration is.
  std::string destination(const dns::Name& domain, Time now) const;

  // What the operator demands of mail to `domain`: `security`, as its route changes it.
  hop::LocalRule rule(const dns::Name& domain, Time now) const;

  // Its place in the list, from 0; nothing: none matches.
  std::optional<std::size_t> position(const dns::Name& domain, Time now) const;

  // When the next route ends of those that count at `after`: until then every answer stays what it is.
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
};

// A configuration's rules; whoever holds one can tell whether it is still the one in force.
using TablePtr = std::shared_ptr<const Table>;

bool is_expired(const Route& route, Time now);

// Whether mail goes the same way under both, whatever they match, for how long, and how much at once. Null: no route.
bool is_same_way(const RoutePtr& a, const RoutePtr& b);

}  // namespace hoplock::route
