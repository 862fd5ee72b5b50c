// SPDX-License-Identifier: Apache-2.0
#include "daemon/hosts_check.h"

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <map>
#include <random>

#include "daemon/options.h"
#include "daemon/system.h"
#include "net/task_group.h"
#include "resolver/unbound.h"
#include "route/router.h"

namespace hoplock::daemon {

namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds patience{10};

// A look-up tells nobody of its troubles but by its answer.
class NoLog : public Log {
 public:
  bool enabled(Level) const override { return false; }
  void write(const Event&) override {}
};

struct Looked {
  std::string key;  // "routes[0].hosts"
  route::Host host;
  std::string why = "the look-up took more than 10 seconds";  // "": it has an address
};

std::string text_of(const route::Host& host) {
  return host.origin == route::Host::Origin::literal ? host.literal.literal() : host.name.text();
}

std::vector<Looked> hosts_of(const config::Config& config) {
  std::vector<Looked> all;
  const auto& routes = config.route.routes;
  const Time at = std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (route::is_expired(routes[i], at)) continue;
    for (const route::NextHop& next : routes[i].hosts) {
      Looked one;
      one.key = "routes[" + std::to_string(i) + "].hosts";
      const auto* name = std::get_if<dns::Name>(&next.host);
      one.host.origin = name != nullptr ? route::Host::Origin::route_name : route::Host::Origin::literal;
      if (name != nullptr) one.host.name = *name;
      if (const auto* ip = std::get_if<Ip>(&next.host)) one.host.literal = *ip;
      one.host.port = next.port;
      one.host.tlsa = route::Host::Tlsa::skip;
      all.push_back(std::move(one));
    }
  }
  return all;
}

asio::awaitable<void> look(route::Router& router, Looked& one, std::size_t& left, asio::io_context& loop) {
  const hop::HostFacts facts = co_await router.look(one.host);
  one.why = facts.addresses.empty() ? facts.why_no_address : "";
  if (--left == 0) loop.stop();
}

}  // namespace

void check_hosts(config::Loaded& loaded) {
  std::vector<Looked> hosts = hosts_of(loaded.config);
  if (hosts.empty()) return;
  asio::io_context loop(1);
  NoLog log;
  auto resolver = resolver::Unbound::open(loop.get_executor(), loaded.config.dns);
  if (!resolver) return;  // told already
  route::Router router({**resolver},
                       route_options(loaded.config, own_addresses(endpoints(loaded.config), interface_addresses())),
                       std::mt19937_64(std::random_device{}()));
  std::size_t left = hosts.size();
  net::TaskGroup tasks(loop.get_executor(), log);
  for (Looked& one : hosts) tasks.spawn("look", look(router, one, left, loop));
  loop.run_for(patience);
  tasks.stop();
  loop.restart();
  loop.poll();
  for (const Looked& one : hosts) {
    if (!one.why.empty())
      loaded.warn(one.key, "'" + text_of(one.host) + "' cannot be reached as it is: " + one.why + "; its mail waits");
  }
}

}  // namespace hoplock::daemon
