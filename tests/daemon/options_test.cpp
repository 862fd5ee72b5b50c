// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <doctest/doctest.h>

#include "config/reader.h"

namespace daemon_options_test {

using namespace hoplock;
using namespace std::chrono_literals;

namespace {
config::Config configured(const std::string& text) {
  const auto loaded = config::read_text(text, "h.yaml", "/etc/hoplock");
  REQUIRE_MESSAGE(loaded.errors.empty(), loaded.errors.front());
  return loaded.config;
}
net::Endpoint at(const char* ip, std::uint16_t port) { return {*Ip::parse(ip), port}; }
}  // namespace

TEST_CASE("options: what the embedded defaults say is what the modules' own defaults say") {
  const config::Config config = configured("hostname: relay.example.net\n");
  CHECK(daemon::database_path(config) == "/var/lib/hoplock/queue.db");
  CHECK(daemon::control_path(config) == "/var/lib/hoplock/control.sock");
  const auto delivery = daemon::delivery_options(config);
  const delivery::Options standard;
  CHECK(delivery.hostname.text() == "relay.example.net");
  CHECK(delivery.sessions == standard.sessions);
  CHECK(delivery.sessions_per_domain == standard.sessions_per_domain);
  CHECK(delivery.sessions_per_host == standard.sessions_per_host);
  CHECK(delivery.addresses_per_attempt == standard.addresses_per_attempt);
  CHECK(delivery.sessions_per_attempt == standard.sessions_per_attempt);
  CHECK(delivery.attempt_timeout == standard.attempt_timeout);
  CHECK(delivery.reputation_hold == standard.reputation_hold);
  CHECK(delivery.messages_per_session == standard.messages_per_session);
  CHECK(delivery.idle_session == standard.idle_session);
  CHECK(delivery.connect_timeout == standard.connect_timeout);
  CHECK(delivery.command_timeout == standard.command_timeout);
  CHECK(delivery.data_timeout == standard.data_timeout);
  CHECK(delivery.retry.first == standard.retry.first);
  CHECK(delivery.retry.max == standard.retry.max);
  CHECK(delivery.expire == standard.expire);
  const auto listener = daemon::listener_options(config);
  const listener::Limits limits;
  CHECK(listener.limits.message_size == limits.message_size);
  CHECK(listener.limits.recipients == limits.recipients);
  CHECK(listener.limits.connections == limits.connections);
  CHECK(listener.limits.command_timeout == limits.command_timeout);
  CHECK(listener.limits.data_timeout == limits.data_timeout);
  CHECK(listener.limits.received_headers == limits.received_headers);
  REQUIRE(listener.addresses.size() == 1);
  CHECK(listener.addresses[0].at.text() == "127.0.0.1:2525");
  CHECK(listener.addresses[0].tls == smtp::TlsMode::starttls);
  CHECK(listener.addresses[0].certificate.certificate == "/var/lib/hoplock/self-signed.crt");
  CHECK(listener.addresses[0].certificate.key == "/var/lib/hoplock/self-signed.key");
  CHECK(listener.postmaster.text() == "postmaster@relay.example.net");
  CHECK(daemon::queue_options(config).min_free_space == queue::Options{}.min_free_space);
  CHECK(config.dns.timeout == resolver::Options{}.timeout);
  CHECK(config.tls.min_version == net::TlsVersion::tls12);
}

TEST_CASE("options: routes, resolvers and listeners keep what was said of them") {
  const config::Config config = configured(
      "hostname: relay.example.net\npostmaster: ops@example.net\ncontrol_socket: run/ctl\n"
      "dns: {forward: [192.0.2.53, 192.0.2.54@5353], local_targets: allow}\n"
      "tls: {min_version: TLSv1.3}\nsecurity: {dane: audit, default_tls: encrypt}\n"
      "delivery: {port: 2525, address_family: prefer-ipv6, retry: {first: 1s, factor: 3, max: 1m, jitter: 0}}\n"
      "listeners:\n"
      "  - {address: \"[::]:25\", tls: required, senders: [\"*.contoso.com\"], bare_newline: normalize}\n"
      "  - {address: \"0.0.0.0:26\", tls: implicit, senders: [a.example, \"*\"], allow: [10.0.0.0/8]}\n"
      "routes:\n  - match: [\"*\"]\n    hosts: [\"gw.example:587\", \"[192.0.2.1]\"]\n    tls: verify\n"
      "    verify_names: [\"*.gw.example\"]\n    until: \"2027-01-31\"\n    note: why\n");
  const auto route = daemon::route_options(config, {});
  REQUIRE(route.routes.size() == 1);
  CHECK(route.routes[0].match[0].kind == dns::Pattern::Kind::any);
  REQUIRE(route.routes[0].hosts.size() == 2);
  CHECK(std::get<dns::Name>(route.routes[0].hosts[0].host).text() == "gw.example");
  CHECK(route.routes[0].hosts[0].port == 587);
  CHECK(std::get<Ip>(route.routes[0].hosts[1].host).text() == "192.0.2.1");
  CHECK(route.routes[0].tls == hop::RouteTls::verify);
  CHECK(route.routes[0].verify_names.at(0).text() == "*.gw.example");
  CHECK(route.routes[0].until == std::chrono::sys_days{std::chrono::year{2027} / 1 / 31});
  CHECK(route.routes[0].note == "why");
  CHECK(route.security.dane == hop::Mode::audit);
  CHECK(route.security.default_tls == hop::DefaultTls::encrypt);
  CHECK(route.port == 2525);
  CHECK(route.address_family == route::AddressFamily::prefer_ipv6);
  CHECK(route.local_targets == route::LocalTargets::allow);
  CHECK(config.dns.forward.at(1).port == 5353);
  CHECK(config.tls.min_version == net::TlsVersion::tls13);
  CHECK(daemon::delivery_options(config).retry.jitter == 0);
  CHECK(daemon::delivery_options(config).retry.max == 1min);
  const auto listener = daemon::listener_options(config);
  REQUIRE(listener.addresses.size() == 2);
  CHECK(listener.addresses[0].tls == smtp::TlsMode::required);
  CHECK(listener.addresses[0].senders.at(0).text() == "*.contoso.com");
  CHECK(listener.addresses[0].bare_newline == smtp::BareNewline::normalize);
  CHECK_MESSAGE(listener.addresses[1].senders.empty(), "\"*\" among the senders is any sender");
  CHECK(listener.addresses[1].tls == smtp::TlsMode::implicit);
  CHECK(listener.postmaster.text() == "ops@example.net");
  CHECK(daemon::control_path(config) == "/var/lib/hoplock/run/ctl");
}

TEST_CASE("options: a route's limits, with hosts or without, and none where nothing is said") {
  const config::Config config = configured(
      "hostname: relay.example.net\nroutes:\n  - match: [a.example]\n    sessions: 7\n    messages_per_session: 3\n    "
      "rate: 2000/h\n"
      "  - match: [b.example]\n    note: x\n");
  const auto routing = daemon::route_options(config, {});
  CHECK(routing.routes.at(0).limits == route::Limits{7, 3, route::Rate{2000, std::chrono::hours{1}}});
  CHECK(routing.routes.at(1).limits == route::Limits{});
}

TEST_CASE("own_addresses: a wildcard owns its interfaces' addresses of its family except loopback") {
  const std::vector<Ip> interfaces{*Ip::parse("127.0.0.1"), *Ip::parse("192.0.2.7"), *Ip::parse("::1"),
                                   *Ip::parse("2001:db8::7")};
  const auto texts = [&](const std::vector<net::Endpoint>& bound) {
    std::string found;
    for (const auto& one : daemon::own_addresses(bound, interfaces)) {
      found += one.address.text() + " " + std::to_string(one.port) + ";";
    }
    return found;
  };
  CHECK(texts({at("0.0.0.0", 25)}) == "192.0.2.7 25;");
  CHECK(texts({at("::", 25)}) == "2001:db8::7 25;");
  CHECK_MESSAGE(texts({at("127.0.0.1", 2525)}) == "127.0.0.1 2525;", "a bound loopback address is ours");
  CHECK(texts({}) == "");
}

TEST_CASE("options: MX is of no use where a route with hosts takes all mail, before any other way and for good") {
  CHECK(daemon::uses_mx(configured("hostname: a.example\n")));
  CHECK_FALSE(daemon::uses_mx(configured("routes: [{match: [\"*\"], hosts: [gw.example]}]\n")));
  CHECK_FALSE(daemon::uses_mx(
      configured("routes: [{match: [b.example], hosts: [x.example]}, {match: [\"*\"], hosts: [gw.example]}]\n")));
  CHECK(daemon::uses_mx(configured("routes: [{match: [b.example], hosts: [gw.example]}]\n")));
  CHECK(daemon::uses_mx(configured("routes: [{match: [\"*.b.example\"], hosts: [gw.example]}]\n")));
  CHECK(daemon::uses_mx(configured("routes: [{match: [b.example]}, {match: [\"*\"], hosts: [gw.example]}]\n")));
  CHECK(daemon::uses_mx(configured("routes: [{match: [\"*\"], hosts: [gw.example], until: \"2027-01-31\"}]\n")));
}

TEST_CASE("clients get the descriptors that deliveries, look-ups and the store leave") {
  config::Config config = config::defaults().config;
  CHECK(daemon::connections_within(config, 65536) == 1000);
  CHECK(daemon::connections_within(config, 1456) == 1000);
  CHECK(daemon::connections_within(config, 1455) == 999);
  CHECK(daemon::connections_within(config, 1024) == 568);
  CHECK(daemon::connections_within(config, 300) == 75);
  CHECK(daemon::connections_within(config, 0) == 0);
  config.limits.connections = 10;
  CHECK(daemon::connections_within(config, 300) == 10);
}

}  // namespace daemon_options_test
