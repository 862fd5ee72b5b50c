// SPDX-License-Identifier: Apache-2.0
#include "route/table.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

namespace hoplock::route {

namespace {

// A destination with hosts is "route:" and its hosts; '#' and a number where another route has the same hosts, '+' and a mandate follow.
constexpr std::string_view hosts_mark = "route:";
constexpr char number_mark = '#';
constexpr char mandate_mark = '+';

std::string hosts_key(const Route& route) {
  std::string key(hosts_mark);
  for (const NextHop& hop : route.hosts) key += (key.size() == hosts_mark.size() ? "" : ",") + to_text(hop);
  return key;
}

bool watch(hop::Mode& mode) {
  return std::exchange(mode, mode == hop::Mode::enforce ? hop::Mode::audit : mode) != mode;
}

// What a partner's entries make of the rule that the route made. An exception never undoes what the route says itself. The exceptions that
// changed something.
partners::Terms apply(const partners::Terms& terms, const Route* route, hop::LocalRule& rule) {
  partners::Terms loosened;
  const bool open = route == nullptr || (route->hosts.empty() && !route->tls);  // DANE and MTA-STS have a say
  if (terms.mandate) rule.mandate = terms.mandate->level;
  if (terms.mta_sts && (route == nullptr || !route->mta_sts) && watch(rule.mta_sts) && open)
    loosened.mta_sts = terms.mta_sts;
  if (!terms.dane) return loosened;
  if ((route == nullptr || !route->dane) && watch(rule.dane) && open) loosened.dane = terms.dane;
  const bool own = route != nullptr && (route->dane == hop::Mode::enforce || route->tls == hop::RouteTls::dane ||
                                        route->tls == hop::RouteTls::dane_only);
  if (rule.mandate != hop::Mandate::dane || own) return loosened;
  rule.mandate = hop::Mandate::dane_audit;
  loosened.dane = terms.dane;
  return loosened;
}

hop::LocalRule rule_of(const hop::LocalRule& security, const Route* route) {
  hop::LocalRule rule = security;
  if (route == nullptr) return rule;
  rule.dane = route->dane.value_or(rule.dane);
  rule.mta_sts = route->mta_sts.value_or(rule.mta_sts);
  rule.route_tls = route->tls;
  rule.verify_names = route->verify_names;
  return rule;
}

}  // namespace

bool has_hosts(std::string_view destination) { return destination.starts_with(hosts_mark); }

std::string_view next_hop(std::string_view destination) {
  if (!has_hosts(destination)) return destination;
  destination.remove_prefix(hosts_mark.size());
  return destination.substr(0, destination.find_first_of(std::string{number_mark, mandate_mark}));
}

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

Table::Table(std::vector<Route> routes, hop::LocalRule security, partners::BookPtr partners)
    : security_(std::move(security)), partners_(std::move(partners)) {
  for (Route& route : routes) {
    Entry entry;
    if (!route.hosts.empty()) {
      // Two routes to the same hosts may differ in `tls` or login: their mail never shares a session.
      const std::string base = hosts_key(route);
      entry.key = base;
      const auto taken = [&entry](const Entry& other) { return other.key == entry.key; };
      for (int n = 2; std::any_of(entries_.begin(), entries_.end(), taken); ++n)
        entry.key = base + number_mark + std::to_string(n);
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
  if (entry == nullptr || entry->key.empty()) return domain.text();
  // One transaction has one rule, so that what a mandate makes wait holds up nobody else.
  const hop::Mandate mandate = rule(domain, now).mandate;
  if (mandate == hop::Mandate::none) return entry->key;
  return entry->key + mandate_mark + std::string(to_text(mandate));
}

hop::LocalRule Table::rule(const dns::Name& domain, Time now) const {
  const Entry* entry = find(domain, now);
  const Route* route = entry == nullptr ? nullptr : entry->route.get();
  hop::LocalRule rule = rule_of(security_, route);
  apply(terms(domain, now), route, rule);
  return rule;
}

partners::Terms Table::loosening(const dns::Name& domain, Time now) const {
  const Entry* entry = find(domain, now);
  const Route* route = entry == nullptr ? nullptr : entry->route.get();
  hop::LocalRule rule = rule_of(security_, route);
  return apply(terms(domain, now), route, rule);
}

partners::Terms Table::terms(const dns::Name& domain, Time now) const {
  return partners_ ? partners_->find(domain, now) : partners::Terms{};
}

std::string Table::note(const dns::Name& domain, Time now) const {
  const Entry* entry = find(domain, now);
  std::string text = entry == nullptr ? "" : entry->route->note;
  const std::string agreed = partners::why(terms(domain, now));
  return text.empty() || agreed.empty() ? text + agreed : text + "; " + agreed;
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
  const auto agreed = partners_ ? partners_->next_end(after) : std::nullopt;
  if (agreed && (!next || *agreed < *next)) next = agreed;
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
