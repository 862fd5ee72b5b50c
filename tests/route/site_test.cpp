// SPDX-License-Identifier: Apache-2.0
#include "route/site.h"

#include "tests/route/world.h"

namespace route_site_test {

using namespace hoplock;
using namespace hoplock::route;
using support::name;

namespace {

Host host(const std::string& text, std::uint16_t preference = 10) {
  Host made;
  made.name = name(text);
  made.preference = preference;
  return made;
}

hop::StsFact policy(const char* mx, mtasts::Mode mode = mtasts::Mode::enforce) {
  hop::StsFact fact;
  fact.state = hop::StsFact::State::live;
  fact.policy.mode = mode;
  fact.policy.mx = {mtasts::Pattern{mtasts::Pattern::Kind::host, name(mx)}};
  return fact;
}

std::vector<Host> sixty() {
  std::vector<Host> hosts;
  for (int i = 0; i < 60; ++i)
    hosts.push_back(host("mx" + std::to_string(i) + ".example", static_cast<std::uint16_t>(i)));
  return hosts;
}

}  // namespace

TEST_CASE("domains with the same hosts are one site, whatever the order; what a policy rules out is no part of it") {
  Hosts a, b;
  a.hosts = {host("mx1.provider.example"), host("mx2.provider.example")};
  b.hosts = {host("mx2.provider.example"), host("mx1.provider.example", 5)};
  CHECK(site_of(a) == "mx1.provider.example,mx2.provider.example");
  CHECK(site_of(a) == site_of(b));
  b.hosts.push_back(host("mx3.provider.example"));
  CHECK(site_of(a) != site_of(b));
  b.domain.sts = policy("mx1.provider.example");
  CHECK(site_of(b) == "mx1.provider.example");
  Hosts large;
  large.hosts = sixty();
  CHECK(site_of(large).size() < 80);
}

TEST_CASE("a route with limits is a site of its own") {
  Hosts hosts;
  hosts.hosts = {host("mx1.provider.example")};
  Route route;
  route.match = {dns::parse_pattern("gmail.com").value(), dns::parse_pattern("googlemail.com").value()};
  hosts.route = std::make_shared<const Route>(route);
  CHECK(site_of(hosts) == "mx1.provider.example");
  route.limits.sessions = 20;
  hosts.route = std::make_shared<const Route>(route);
  CHECK(site_of(hosts) == "route:gmail.com,googlemail.com");
}

}  // namespace route_site_test
