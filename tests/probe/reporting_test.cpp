// SPDX-License-Identifier: Apache-2.0
#include "probe/reporting.h"

#include <doctest/doctest.h>

#include "tests/probe/world.h"

namespace probe_reporting_test {

using namespace hoplock;
using probe::Connecting;
using probe::test::World;

TEST_CASE("check: the record at _smtp._tls of the domain, or of the host that a route names") {
  World world;
  world.dns.add("_smtp._tls.example.org TXT v=TLSRPTv1; rua=mailto:r@example.org");
  auto reporting = world.check(9, Connecting::no).reporting.value();
  CHECK(reporting.domain == support::name("example.org"));
  CHECK(reporting.choice.state == tlsrpt::Choice::State::valid);
  CHECK(reporting.error.empty());

  route::Route route;
  route.match = {dns::parse_pattern("example.org").value()};
  route.hosts = {{support::name("mx.example.org"), 9}};
  world.routes = {route};
  reporting = world.check(9, Connecting::no).reporting.value();
  CHECK(reporting.domain == support::name("mx.example.org"));
  CHECK(reporting.choice.state == tlsrpt::Choice::State::none);

  world.routes[0].hosts = {{Ip::parse("127.0.0.1").value(), 9}};
  CHECK_FALSE(world.check(9, Connecting::no).reporting);
}

TEST_CASE("check: a record that is none, or that cannot be looked up, is told") {
  World world;
  world.dns.add("_smtp._tls.example.org TXT v=TLSRPTv2; rua=mailto:r@example.org");
  CHECK(world.check(9, Connecting::no).reporting.value().error.find("v=TLSRPTv1;") != std::string::npos);
  world.dns.fail["_smtp._tls.example.org TXT"] = "SERVFAIL";
  const auto reporting = world.check(9, Connecting::no).reporting.value();
  CHECK(reporting.failed);
  CHECK(reporting.error.find("SERVFAIL") != std::string::npos);
}

}  // namespace probe_reporting_test
