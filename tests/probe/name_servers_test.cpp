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
