// SPDX-License-Identifier: Apache-2.0
#include "route/site.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "base/ascii.h"
#include "dane/digest.h"
#include "mtasts/match.h"

namespace hoplock::route {

namespace {

constexpr std::size_t longest_name = 120;
constexpr std::size_t digest_octets = 8;

std::string digest_of(const std::string& text) {
  const std::string octets = dane::sha256(text);
  if (octets.empty()) throw std::runtime_error("no SHA-256");
  return to_hex(octets.substr(0, digest_octets));
}

std::string text_of(const Host& host) {
  std::string text = host.origin == Host::Origin::literal ? host.literal.literal() : host.name.text();
  if (host.port != 25) text += ":" + std::to_string(host.port);
  return text;
}

std::string joined(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ",") + name;
  if (all.size() <= longest_name) return all;
  return names.front() + ",+" + std::to_string(names.size() - 1) + "#" + digest_of(all);
}

// Limits of its own, or hosts, a login and a manner that say nothing about anybody else's mail to the same hosts.
bool stands_apart(const RoutePtr& route) { return route && (route->limits != Limits{} || !route->hosts.empty()); }

bool is_enforced(const Hosts& hosts) {
  const hop::StsFact& sts = hosts.domain.sts;
  return hosts.rule.mta_sts == hop::Mode::enforce && sts.state == hop::StsFact::State::live &&
         sts.policy.mode == mtasts::Mode::enforce;
}

}  // namespace

std::string site_of(const Hosts& hosts) {
  std::vector<std::string> names;
  if (stands_apart(hosts.route)) {
    for (const dns::Pattern& one : hosts.route->match) names.push_back(to_text(one));
    return "route:" + joined(std::move(names));
  }
  const bool enforced = is_enforced(hosts);
  for (const Host& host : hosts.hosts) {
    if (!enforced || mtasts::matches(hosts.domain.sts.policy, host.name)) names.push_back(text_of(host));
  }
  if (names.empty()) {
    for (const Host& host : hosts.hosts) names.push_back(text_of(host));
  }
  return joined(std::move(names));
}

}  // namespace hoplock::route
