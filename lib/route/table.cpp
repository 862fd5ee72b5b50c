// SPDX-License-Identifier: Apache-2.0
#include "route/table.h"

#include <algorithm>
#include <tuple>

namespace hoplock::route {

namespace {

std::string hosts_key(const Route& route) {
  std::string key = "route";
  char separator = ':';
  for (const NextHop& hop : route.hosts) {
    key += separator + to_text(hop);
    separator = ',';
  }
  return key;
}

}  // namespace

bool is_expired(const Route& route, Time now) {
  return route.until && std::chrono::floor<std::chrono::days>(now) > *route.until;
}

bool is_same_way(const RoutePtr& a, const RoutePtr& b) {
  if (!a || !b) return a == b;
  const auto way = [](const Route& route) {
    return std::tie(route.hosts, route.tls, route.verify_names, route.client_certificate, route.client_key, route.dane,
                    route.mta_sts, route.username, route.password_file);
  };
  return way(*a) == way(*b);
}

Table::Table(std::vector<Route> routes, hop::LocalRule security) : security_(std::move(security)) {
  for (Route& route : routes) {
    Entry entry;
    if (!route.hosts.empty()) {
      // Two routes to the same hosts may differ in `tls` or login: their mail never shares a session.
      const std::string base = hosts_key(route);
      entry.key = base;
      const auto taken = [&entry](const Entry& other) { return other.key == entry.key; };
      for (int n = 2; std::any_of(entries_.begin(), entries_.end(), taken); ++n)
        entry.key = base + "#" + std::to_string(n);
    }
    entry.route = std::make_shared<const Route>(std::move(route));
    entries_.push_back(std::move(entry));
  }
}

const Table::Entry* Table::find(const dns::Name& domain, Time now) const {
  for (const Entry& entry : entries_) {
    const auto& patterns = entry.route->match;
    const auto matches = [&domain](const dns::Pattern& pattern) { return pattern.matches(domain); };
    if (!is_expired(*entry.route, now) && std::any_of(patterns.begin(), patterns.end(), matches)) return &entry;
  }
  return nullptr;
}

RoutePtr Table::match(const dns::Name& domain, Time now) const {
  const Entry* entry = find(domain, now);
  return entry == nullptr ? nullptr : entry->route;
}

std::string Table::destination(const dns::Name& domain, Time now) const {
  const Entry* entry = find(domain, now);
  return entry == nullptr || entry->key.empty() ? domain.text() : entry->key;
}

hop::LocalRule Table::rule(const dns::Name& domain, Time now) const {
  hop::LocalRule rule = security_;
  const Entry* entry = find(domain, now);
  if (entry == nullptr) return rule;
  const Route& route = *entry->route;
  rule.dane = route.dane.value_or(rule.dane);
  rule.mta_sts = route.mta_sts.value_or(rule.mta_sts);
  rule.route_tls = route.tls;
  rule.verify_names = route.verify_names;
  return rule;
}

std::optional<std::size_t> Table::position(const dns::Name& domain, Time now) const {
  const Entry* entry = find(domain, now);
  return entry == nullptr ? std::nullopt : std::optional(static_cast<std::size_t>(entry - entries_.data()));
}

std::optional<Time> Table::next_end(Time after) const {
  std::optional<Time> next;
  for (const Entry& entry : entries_) {
    if (!entry.route->until) continue;
    const Time end = *entry.route->until + std::chrono::days(1);
    if (end > after && (!next || end < *next)) next = end;
  }
  return next;
}

std::vector<RoutePtr> Table::expired(Time now) const {
  std::vector<RoutePtr> found;
  for (const Entry& entry : entries_) {
    if (is_expired(*entry.route, now)) found.push_back(entry.route);
  }
  return found;
}

}  // namespace hoplock::route
