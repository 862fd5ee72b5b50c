// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/network.h"

#include <algorithm>
#include <random>

#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/text.h"
#include "net/task_group.h"
#include "smtpclient/options.h"

namespace hoplock::daemon::tool {

namespace asio = boost::asio;

namespace {

// A person waits: no server may take as long as it may when mail is delivered.
constexpr std::chrono::seconds most_to_connect{15};
constexpr std::chrono::seconds most_for_a_command{60};

route::Options routing(const config::Config& config, OwnHosts own_hosts) {
  if (own_hosts == OwnHosts::refused)
    return route_options(config, own_addresses(endpoints(config), interface_addresses()));
  auto options = route_options(config, {});
  options.hostname = dns::Name();
  return options;
}

smtpclient::Options session_options(const config::Config& config) {
  smtpclient::Options options = delivery_options(config);
  options.connect_timeout = std::min<Milliseconds>(options.connect_timeout, most_to_connect);
  options.command_timeout = std::min<Milliseconds>(options.command_timeout, most_for_a_command);
  return options;
}

}  // namespace

// Warnings and errors for the person at the terminal.
class Network::ErrorLog : public Log {
 public:
  explicit ErrorLog(Console console) : console_(console) {}
  bool enabled(Level level) const override { return level >= Level::warn; }
  void write(const Event& event) override {
    if (enabled(event.level())) console_.err << "hoplock: " << to_logfmt(event, console_.now) << '\n';
  }

 private:
  Console console_;
};

struct Network::Parts {
  Parts(Console console, smtpclient::Options with) : log(console), options(std::move(with)) {}
  asio::io_context loop{1};
  ErrorLog log;
  smtpclient::Options options;
  resolver::Options resolver_options;
  std::shared_ptr<const net::ClientTls> tls;
  std::unique_ptr<resolver::Unbound> resolver;
  std::optional<route::HttpsPolicyFetch> fetch;
  std::optional<route::Router> router;
};

Network::Network(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Network::~Network() = default;

Result<std::unique_ptr<Network>> Network::open(const config::Config& config, Console console, OwnHosts own_hosts) {
  auto parts = std::make_unique<Parts>(console, session_options(config));
  auto tls = net::ClientTls::load(config.tls);
  if (!tls) return tls.error();
  parts->tls = std::move(*tls);
  auto resolver = resolver::Unbound::open(parts->loop.get_executor(), config.dns);
  if (!resolver) return resolver.error();
  parts->resolver = std::move(*resolver);
  parts->resolver_options = config.dns;
  parts->fetch.emplace(*parts->resolver);
  parts->fetch->set(fetch_options(config), config.fetch.https_port, parts->tls);
  parts->router.emplace(route::Router::Parts{*parts->resolver}, routing(config, own_hosts),
                        std::mt19937_64(std::random_device{}()));
  return std::unique_ptr<Network>(new Network(std::move(parts)));
}

probe::Tools Network::tools() {
  return {*parts_->resolver, *parts_->router, *parts_->fetch, parts_->log, parts_->tls, parts_->options};
}

void Network::set_partners(partners::BookPtr book) { parts_->router->set_partners(std::move(book)); }

std::optional<probe::Silence> Network::silence(const std::vector<dns::Name>& names) {
  std::vector<probe::NameServers> asked;
  std::optional<probe::Silence> first;
  for (const dns::Name& name : names) {
    auto servers = probe::servers_for(parts_->resolver_options, name);
    if (std::ranges::find(asked, servers) != asked.end()) continue;
    asked.push_back(servers);
    auto task = probe::find_silence(std::move(servers));
    auto found = run(std::move(task));
    if (!found || !*found) return std::nullopt;
    if (!first) first = std::move(*found);
  }
  return first;
}

void Network::drive(asio::awaitable<void> task) {
  // The resolver watches its descriptor for ever, so the loop is stopped when the task is over, however it ended.
  struct Stop {
    asio::io_context& loop;
    explicit Stop(asio::io_context& of) : loop(of) {}
    ~Stop() { loop.stop(); }
  };
  constexpr auto then_stop = [](asio::awaitable<void> first, std::shared_ptr<Stop> stop) -> asio::awaitable<void> {
    co_await std::move(first);
    stop.reset();
  };
  net::TaskGroup tasks(parts_->loop.get_executor(), parts_->log);
  auto stop = std::make_shared<Stop>(parts_->loop);
  tasks.spawn("tool", then_stop(std::move(task), std::move(stop)));
  parts_->loop.restart();
  parts_->loop.run();
}

}  // namespace hoplock::daemon::tool
