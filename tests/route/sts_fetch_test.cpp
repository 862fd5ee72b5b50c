// SPDX-License-Identifier: Apache-2.0
// Fetching policies: RFC 8461 sections 3.2, 3.3. What HTTPS itself does is tests/net's.
#include "route/sts_fetch.h"

#include <doctest/doctest.h>

#include "base/version.h"
#include "route/sts_published.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/https_server.h"
#include "tests/support/loop.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace hoplock::route::route_sts_fetch_test {

using namespace support;
using hop::Reason;
using namespace std::chrono_literals;

namespace {

const std::string good_policy = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 86400\r\n";

struct FetchWorld {
  FetchWorld() {
    options.internal = http::HttpsOptions::Internal::allow;
    options.timeout = 5s;
    dns.add("mta-sts.example.org A 127.0.0.1\n_mta-sts.example.org TXT v=STSv1; id=1;");
  }
  void serve(HttpsReply reply) { serve(std::move(reply), leaf); }
  void serve(HttpsReply reply, const Certificate& certificate) {
    const PeerTls tls{.files = write_chain(dir, "policy-host" + std::to_string(++shown), certificate)};
    server = std::make_unique<HttpsServer>(tls, [reply](const HttpsSeen&) { return reply; });
    port = server->port();
  }
  FetchedText fetch() {
    net::TlsOptions from;
    from.ca_file = dir.write("ca.pem", ca.pem());
    HttpsPolicyFetch real(dns);
    real.set(options, port, net::ClientTls::load(from).value());
    return loop.run(real.fetch(name("example.org")));
  }
  // "REASON: text", or the policy text.
  std::string outcome() {
    const FetchedText found = fetch();
    if (const auto* text = std::get_if<std::string>(&found)) return *text;
    const auto& refusal = std::get<hop::Refusal>(found);
    return std::string(to_text(refusal.reason)) + ": " + refusal.text;
  }

  TempDir dir;
  Loop loop;
  FakeResolver dns;
  Certificate ca{{.cn = "Test CA", .ca = true}};
  Certificate leaf{{.dns = {"mta-sts.example.org"}}, ca};
  http::HttpsOptions options;
  std::uint16_t port = 443;
  std::unique_ptr<HttpsServer> server;
  int shown = 0;
};

}  // namespace

TEST_CASE("STS-07: the policy is asked for at the policy host, in the name of hoplock and its version") {
  FetchWorld world;
  world.serve(http_text(good_policy));
  CHECK(world.outcome() == good_policy);
  const auto seen = world.server->finish();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].sni == "mta-sts.example.org");
  CHECK(seen[0].header.find("GET /.well-known/mta-sts.txt HTTP/1.1\r\n") == 0);
  CHECK(seen[0].header.find("\r\nUser-Agent: hoplock/" HOPLOCK_VERSION "\r\n") != std::string::npos);
}

TEST_CASE("STS-09, STS-10: only status 200 and text/plain count") {
  struct Row {
    HttpsReply reply;
    const char* found;
  };
  const auto with = [](const char* type) {
    return http_reply(200, {std::string("Content-Type: ") + type}, good_policy);
  };
  const Row rows[] = {
      {with("text/plain"), ""},
      {with("Text/Plain ; charset=utf-8; x=\"y;z\""), ""},
      {with("text/html"), "not as text/plain"},
      {with("text/plainly"), "not as text/plain"},
      {with("application/octet-stream"), "not as text/plain"},
      {http_reply(200, {}, good_policy), "no media type at all"},
      {http_reply(404, {"Content-Type: text/plain"}, good_policy), "status 404"},
      {http_reply(206, {"Content-Type: text/plain"}, good_policy), "status 206"},
      {http_reply(304, {}, ""), "redirect (304)"},
      {http_reply(301, {"Location: https://mta-sts.example.org/policy.txt"}, ""), "redirect (301)"},
      {http_reply(500, {"Content-Type: text/plain"}, "x"), "status 500"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.found));
    FetchWorld world;
    world.serve(row.reply);
    const std::string outcome = world.outcome();
    if (*row.found == '\0') {
      CHECK(outcome == good_policy);
      continue;
    }
    CHECK(outcome.find("sts-policy-fetch-error: the policy host mta-sts.example.org: ") == 0);
    CHECK(outcome.find(row.found) != std::string::npos);
    CHECK(world.server->finish().size() == 1);  // nothing was followed
  }
}

TEST_CASE("STS-08: a certificate that does not prove the policy host has a reason of its own") {
  FetchWorld world;
  world.serve(http_text(good_policy), Certificate({.dns = {"example.org"}}, world.ca));
  CHECK(world.outcome().find("sts-webpki-invalid: the policy host mta-sts.example.org: ") == 0);
  world.serve(http_text(good_policy), Certificate({.dns = {"mta-sts.example.org"}}));
  CHECK(world.outcome().find("sts-webpki-invalid: ") == 0);
}

TEST_CASE("STS-11: 64 KiB are taken, one octet more is not; a host that takes its time is left in time") {
  const std::string filler = good_policy + "x: ";
  FetchWorld world;
  const std::string most = filler + std::string(mtasts::max_policy_octets - filler.size(), 'x');
  world.serve(http_text(most));
  CHECK(world.outcome() == most);
  world.serve(http_text(most + "x"));
  CHECK(world.outcome().find("sts-policy-fetch-error: ") == 0);
  HttpsReply slow = http_text(good_policy);
  slow.drip = 100ms;
  world.options.timeout = 300ms;
  world.serve(slow);
  const auto began = std::chrono::steady_clock::now();
  CHECK(world.outcome().find("sts-policy-fetch-error: ") == 0);
  CHECK(std::chrono::steady_clock::now() - began < 3s);
}

TEST_CASE("STS-11: a policy host at a local or private address is not contacted, unless dns.local_targets allows it") {
  FetchWorld world;
  world.serve(http_text(good_policy));
  world.options.internal = http::HttpsOptions::Internal::refuse;
  for (const char* address : {"127.0.0.1", "10.0.0.1", "192.168.3.4", "169.254.169.254", "100.64.0.1"}) {
    world.dns.remove("mta-sts.example.org A");
    world.dns.add("mta-sts.example.org A " + std::string(address));
    CHECK(world.outcome() == "sts-policy-fetch-error: the policy host mta-sts.example.org: " + std::string(address) +
                                 " is a private or local address, which policy hosts may not have (dns.local_targets)");
  }
  CHECK(world.server->finish().empty());
}

TEST_CASE("STS-31: without an address of the policy host there is no policy, and the reason says why") {
  FetchWorld world;
  world.dns.remove("mta-sts.example.org A");
  CHECK(world.outcome() == "sts-policy-fetch-error: the policy host mta-sts.example.org: it does not exist in DNS");
  world.dns.add("mta-sts.example.org TXT x");
  CHECK(world.outcome() == "sts-policy-fetch-error: the policy host mta-sts.example.org: it has no address");
  world.dns.bogus["mta-sts.example.org A"] = "signature expired";
  CHECK(world.outcome().find("its address could not be looked up: signature expired") != std::string::npos);
}

TEST_CASE("choose_addresses: one family's failure does not matter beside the other's addresses; four of each at most") {
  FakeResolver dns("a.example AAAA 2001:db8::1");
  for (int i = 1; i < 10; ++i) dns.add("a.example A 192.0.2." + std::to_string(i));
  Loop loop;
  std::vector<dns::Answer> answers = {loop.run(dns.find(name("a.example"), dns::Type::a)),
                                      loop.run(dns.find(name("a.example"), dns::Type::aaaa))};
  CHECK(std::get<std::vector<Ip>>(http::choose_addresses(answers, http::HttpsOptions::Internal::refuse, "policy hosts"))
            .size() == 5);
  answers[0].status = dns::Status::failed;
  answers[0].records.clear();
  CHECK(std::get<std::vector<Ip>>(
            http::choose_addresses(answers, http::HttpsOptions::Internal::refuse, "policy hosts")) ==
        std::vector<Ip>{Ip::parse("2001:db8::1").value()});
}

TEST_CASE("find_published: what a domain publishes, without a cache, as the first delivery would be told") {
  using State = hop::StsFact::State;
  FetchWorld world;
  world.serve(http_text(good_policy));
  net::TlsOptions from;
  from.ca_file = world.dir.write("ca.pem", world.ca.pem());
  HttpsPolicyFetch real(world.dns);
  real.set(world.options, world.port, net::ClientTls::load(from).value());
  Published found = world.loop.run(find_published(world.dns, real, name("example.org")));
  CHECK(found.txt.texts == std::vector<std::string>{"v=STSv1; id=1;"});
  CHECK(std::get<FetchedPolicy>(found.fetched.value()).text == good_policy);
  CHECK(fact_of(found).state == State::live);
  CHECK(fact_of(found).id == "1");
  world.serve(http_text("version: STSv1\n"));
  real.set(world.options, world.port, net::ClientTls::load(from).value());
  found = world.loop.run(find_published(world.dns, real, name("example.org")));
  CHECK(fact_of(found).state == State::none);
  CHECK(fact_of(found).problem->reason == Reason::sts_policy_invalid);
  world.dns.add("_mta-sts.example.org TXT v=STSv1; id=2;");  // STS-04: not exactly one
  found = world.loop.run(find_published(world.dns, real, name("example.org")));
  CHECK(found.txt.choice.state == mtasts::Choice::State::invalid);
  CHECK_FALSE(found.fetched.has_value());
  world.dns.bogus["_mta-sts.example.org TXT"] = "signature expired";
  found = world.loop.run(find_published(world.dns, real, name("example.org")));
  CHECK(fact_of(found).state == State::unknown);
}

}  // namespace hoplock::route::route_sts_fetch_test
