// SPDX-License-Identifier: Apache-2.0
// A router over a fake DNS, and short ways to ask it.
#pragma once
#include <doctest/doctest.h>

#include "route/router.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"

namespace hoplock::route {

using support::name;
using State = hop::TlsaFact::State;

struct World {
  explicit World(const std::string& zone, Options from = {}) : dns(zone), options(std::move(from)) {}

  Router& router() {
    if (!made) made.emplace(Router::Parts{dns}, options, std::mt19937_64{7});
    return *made;
  }
  Found find(const char* domain) { return loop.run(router().find(name(domain))); }
  Hosts hosts(const char* domain) {
    Found found = find(domain);
    if (const auto* none = std::get_if<NoHosts>(&found)) throw std::runtime_error("no hosts: " + none->text);
    return std::get<Hosts>(std::move(found));
  }
  NoHosts none(const char* domain) {
    Found found = find(domain);
    REQUIRE(std::holds_alternative<NoHosts>(found));
    return std::get<NoHosts>(std::move(found));
  }
  // "mx1.example mx2.example", in the order to try.
  std::string order(const char* domain) {
    std::string text;
    for (const Host& host : hosts(domain).hosts) text += (text.empty() ? "" : " ") + host.name.text();
    return text;
  }
  // The facts of the domain's first host.
  hop::HostFacts first(const char* domain) {
    const Host host = hosts(domain).hosts.front();
    return loop.run(router().look(host));
  }
  hop::HostFacts look(Host host) { return loop.run(router().look(std::move(host))); }

  support::Loop loop;
  support::FakeResolver dns;
  Options options;
  std::optional<Router> made;
};

inline std::string joined(const std::vector<Ip>& addresses) {
  std::vector<std::string> texts;
  for (const Ip& ip : addresses) texts.push_back(ip.text());
  std::sort(texts.begin(), texts.end());
  std::string text;
  for (const auto& one : texts) text += (text.empty() ? "" : " ") + one;
  return text;
}

}  // namespace hoplock::route
