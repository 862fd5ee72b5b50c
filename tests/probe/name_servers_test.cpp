// SPDX-License-Identifier: Apache-2.0
#include "probe/name_servers.h"

#include <doctest/doctest.h>

#include <boost/asio.hpp>
#include <chrono>
#include <fstream>

#include "tests/support/loop.h"
#include "tests/support/temp_directory.h"

namespace probe_name_servers_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace hoplock::support;
using namespace std::chrono_literals;
using asio::ip::udp;
using probe::NameServers;
using std::chrono::steady_clock;

namespace {

Ip ip(std::string_view text) { return Ip::parse(text).value(); }

std::string written(const TempDirectory& directory, const std::string& name, const std::string& text) {
  const std::string path = (directory.path() / name).string();
  std::ofstream(path) << text;
  return path;
}

NameServers forwarders(std::vector<net::Endpoint> all) {
  NameServers servers;
  servers.origin = NameServers::Origin::forward;
  servers.all = std::move(all);
  return servers;
}

}  // namespace

TEST_CASE(
    "root hints: addresses of any spelling and order, IPv4 first; comments, NS records and nonsense are left alone") {
  const auto found = probe::parse_hints(
      "; the root\n"
      ".                        3600000      NS    A.ROOT-SERVERS.NET.\n"
      "A.ROOT-SERVERS.NET.      3600000      AAAA  2001:503:ba3e::2:30\n"
      "A.ROOT-SERVERS.NET.      3600000      A     198.41.0.4\r\n"
      "b.root-servers.net. IN a 170.247.170.2 ; new\n"
      "c.root-servers.net. A not-an-address\n"
      ";d.root-servers.net. A 192.0.2.1\n\nA\n");
  const std::vector<net::Endpoint> expected{
      {ip("198.41.0.4"), 53}, {ip("170.247.170.2"), 53}, {ip("2001:503:ba3e::2:30"), 53}};
  CHECK(found == expected);
}

TEST_CASE("first servers: the forwarders, else the root; unknown where unbound_conf may say otherwise") {
  const TempDirectory directory;
  resolver::Options options;
  options.root_hints = written(directory, "hints", ". NS a.\na. A 192.0.2.53\n");
  CHECK(probe::first_servers(options).origin == NameServers::Origin::root);
  CHECK(probe::first_servers(options).all == std::vector<net::Endpoint>{{ip("192.0.2.53"), 53}});
  options.unbound_conf = written(directory, "plain.conf", "server:\n  do-ip6: no # no forward-zone here\n");
  CHECK(probe::first_servers(options).origin == NameServers::Origin::root);
  for (const char* const line : {"forward-zone:", "stub-zone:", "include: \"more.conf\"", "  tcp-upstream: yes"}) {
    CAPTURE(line);
    options.unbound_conf = written(directory, "other.conf", std::string("server:\n") + line + "\n");
    CHECK(probe::first_servers(options).origin == NameServers::Origin::unknown);
    CHECK(probe::first_servers(options).all.empty());
  }
  options.forward = {{ip("192.0.2.54"), 5353}};
  CHECK(probe::first_servers(options).origin == NameServers::Origin::forward);
  CHECK(probe::first_servers(options).all == std::vector<net::Endpoint>{{ip("192.0.2.54"), 5353}});
}

TEST_CASE("servers of a name: those of the nearest zone in unbound_conf, which leave the others as they were") {
  using Origin = NameServers::Origin;
  const TempDirectory directory;
  const auto name = [](std::string_view text) { return dns::Name::parse(text).value(); };
  resolver::Options options;
  options.root_hints = written(directory, "hints", ". NS a.\na. A 192.0.2.53\n");
  options.unbound_conf = written(directory, "own.conf",
                                 "server:\n  do-not-query-localhost: no\n  local-zone: \"x.test.\" nodefault\n"
                                 "stub-zone:\n  name: \"contoso.local\"\n  stub-addr: 192.0.2.1 # the first\n"
                                 "  stub-addr: 2001:db8::1@5353\n"
                                 "forward-zone: name: sub.contoso.local. forward-addr: 192.0.2.2@53#dns.example\n"
                                 "stub-zone:\n  name: named.local\n  stub-host: ns.example.org\n"
                                 "forward-zone:\n  name: tls.local\n  forward-addr: 192.0.2.3@853\n"
                                 "  forward-tls-upstream: yes\n");
  const auto stub = probe::servers_for(options, name("exch01.contoso.local"));
  CHECK(stub.origin == Origin::stub_zone);
  CHECK(stub.zone == name("contoso.local"));
  CHECK(stub.all == std::vector<net::Endpoint>{{ip("192.0.2.1"), 53}, {ip("2001:db8::1"), 5353}});
  const auto forward = probe::servers_for(options, name("a.sub.contoso.local"));
  CHECK(forward.origin == Origin::forward_zone);
  CHECK(forward.all == std::vector<net::Endpoint>{{ip("192.0.2.2"), 53}});
  for (const char* const other : {"x.named.local", "tls.local"}) {
    CHECK(probe::servers_for(options, name(other)).origin == Origin::unknown);
    CHECK(probe::servers_for(options, name(other)).all.empty());
  }
  CHECK(probe::servers_for(options, name("mycontoso.local")).origin == Origin::root);
  CHECK(probe::first_servers(options).all == std::vector<net::Endpoint>{{ip("192.0.2.53"), 53}});
  CHECK(probe::zone_servers(options).size() == 4);
  options.forward = {{ip("192.0.2.54"), 53}};
  CHECK(probe::first_servers(options).origin == Origin::forward);
  CHECK(probe::servers_for(options, name("contoso.local")) == stub);

  options.forward.clear();
  options.unbound_conf = written(directory, "all.conf", "forward-zone:\n  name: \".\"\n  forward-addr: 192.0.2.9\n");
  CHECK(probe::first_servers(options).origin == Origin::forward_zone);
  CHECK(probe::first_servers(options).all == std::vector<net::Endpoint>{{ip("192.0.2.9"), 53}});
  CHECK(probe::zone_servers(options).empty());
}

TEST_CASE("silence: a zone's servers are asked for the zone, and told with it") {
  Loop loop;
  udp::socket server(loop.io(), udp::endpoint(asio::ip::address_v4::loopback(), 0));
  udp::endpoint client;
  std::string question(512, '\0');
  std::size_t length = 0;
  server.async_receive_from(asio::buffer(question), client,
                            [&](boost::system::error_code, std::size_t octets) { length = octets; });
  NameServers servers = forwarders({{ip("127.0.0.1"), server.local_endpoint().port()}});
  servers.origin = NameServers::Origin::stub_zone;
  servers.zone = dns::Name::parse("contoso.local").value();
  const auto found = loop.run(probe::find_silence(servers));
  REQUIRE(found);
  CHECK(found->text ==
        "contoso.local: nobody answered on port 53 (dns.unbound_conf: " + servers.all.front().text() + ": no answer)");
  CHECK(found->advice == "name servers in dns.unbound_conf that answer this machine");
  CHECK(question.substr(2, 1) == std::string(1, '\0'));  // no RD: they have the zone
  CHECK(question.substr(12, 15) == std::string("\7contoso\5local\0", 15));
  CHECK(length == 42);
}

TEST_CASE("silence: whom to ask is unknown, so nothing is said") {
  Loop loop;
  NameServers unknown;
  CHECK_FALSE(loop.run(probe::find_silence(unknown)));
}

TEST_CASE("silence: a refusal is an answer; one with another id or without QR is none") {
  Loop loop;
  udp::socket server(loop.io(), udp::endpoint(asio::ip::address_v4::loopback(), 0));
  udp::endpoint client;
  std::string question(512, '\0');
  int wrong = 0;
  server.async_receive_from(asio::buffer(question), client, [&](boost::system::error_code, std::size_t octets) {
    std::string other = question.substr(0, octets), refused = other;
    server.send_to(asio::buffer(other), client);  // our own question come back
    other[0] = static_cast<char>(other[0] ^ 1);
    other[2] = static_cast<char>(0x81);
    server.send_to(asio::buffer(other), client);
    ++wrong;
    refused[2] = static_cast<char>(0x81);
    refused[3] = 5;
    server.send_to(asio::buffer(refused.substr(0, 12)), client);
    CHECK(octets == 28);
    CHECK((static_cast<unsigned char>(question[2]) & 1U) == 1);  // RD: it is to find out
  });
  const auto found = loop.run(probe::find_silence(forwarders({{ip("127.0.0.1"), server.local_endpoint().port()}})));
  CHECK_FALSE(found);
  CHECK(wrong == 1);
}

TEST_CASE("silence: found within five seconds, told with whom we asked and what to do") {
  Loop loop;
  udp::socket silent(loop.io(), udp::endpoint(asio::ip::address_v4::loopback(), 0));
  const auto start = steady_clock::now();
  const net::Endpoint at{ip("127.0.0.1"), silent.local_endpoint().port()};
  const auto found = loop.run(probe::find_silence(forwarders({at})));
  REQUIRE(found);
  CHECK(steady_clock::now() - start < 5s);
  CHECK(found->text == "nobody answered on port 53 (dns.forward: " + at.text() + ": no answer)");
  CHECK(found->advice.find("dns.forward") != std::string::npos);
}

}  // namespace probe_name_servers_test
