// SPDX-License-Identifier: Apache-2.0
#include "reports/post.h"

#include <doctest/doctest.h>

#include "tests/http/https.h"
#include "tests/support/fake_resolver.h"

namespace reports_post_test {

using namespace hoplock;
using namespace hoplock::reports;
using namespace hoplock::support;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
using What = Posted::What;

const std::string body = std::string("\x1f\x8b\x08\x00", 4) + "a report";

struct Endpoint {
  HttpsWorld world;
  FakeResolver dns{"mta-sts.d.example A 127.0.0.1"};
  http::HttpsOptions options;
  std::vector<HttpsSeen> seen;

  Endpoint() {
    options.internal = http::HttpsOptions::Internal::allow;
    options.timeout = 5s;
  }
  Posted post_to(std::uint16_t port, const std::string& target = "/v1/x?a=b") {
    HttpsPost post(dns);
    post.set(options, world.tls());
    tlsrpt::HttpsDestination to;
    to.host = support::name(HttpsWorld::host);
    to.port = port;
    to.target = target;
    return world.loop.run(post.post(to, std::make_shared<const std::string>(body)));
  }
  Posted post(const HttpsReply& reply) { return post(world.good, reply); }
  Posted post(const Certificate& leaf, const HttpsReply& reply) {
    HttpsServer server(world.show(leaf), [&reply](const HttpsSeen&) { return reply; });
    const Posted posted = post_to(server.port());
    seen = server.finish();
    return posted;
  }
};
}  // namespace

TEST_CASE("RPT-41: the body of the POST is the report and nothing else, with its exact type and no coding") {
  Endpoint at;
  const Posted posted = at.post(http_reply(200, {}, "thanks"));
  CHECK(posted.what == What::accepted);
  CHECK(posted.defects == "");
  REQUIRE(at.seen.size() == 1);
  CHECK(at.seen[0].body == body);
  const std::string& header = at.seen[0].header;
  CHECK(header.starts_with("POST /v1/x?a=b HTTP/1.1\r\n"));
  CHECK(header.find("\r\nContent-Type: application/tlsrpt+gzip\r\n") != std::string::npos);
  CHECK(header.find("Content-Encoding") == std::string::npos);
  CHECK(header.find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") != std::string::npos);
}

TEST_CASE("RPT-41: every 2xx is success, nothing else is, and a redirect is not followed") {
  Endpoint at;
  for (const int status : {200, 201, 202, 204, 299}) {
    CAPTURE(status);
    CHECK(at.post(http_reply(status, {}, "")).what == What::accepted);
  }
  for (const int status : {301, 302, 307, 308, 400, 404, 413, 429, 500, 503}) {
    CAPTURE(status);
    const Posted posted = at.post(http_reply(status, {"Location: https://mta-sts.d.example/other"}, ""));
    CHECK(posted.what == What::refused);
    CHECK(posted.why.find(std::to_string(status)) != std::string::npos);
    CHECK(at.seen.size() == 1);
  }
}

TEST_CASE(
    "RPT-42: the certificate is verified first; a broken one gets the report on a second connection, and that is "
    "told") {
  Endpoint at;
  const Certificate expired =
      at.world.authority.issue({.dns = {HttpsWorld::host}, .valid_from = -480h, .valid_to = -240h});
  const Certificate other = at.world.authority.issue({.dns = {"other.example"}});
  const Certificate unknown({.dns = {HttpsWorld::host}});
  for (const Certificate* leaf : {&expired, &other, &unknown}) {
    const Posted posted = at.post(*leaf, http_reply(200, {}, ""));
    CHECK(posted.what == What::accepted);
    CHECK(posted.defects != "");
    REQUIRE(at.seen.size() == 2);
    CHECK(at.seen[0].header == "");  // nothing was told to it before
    CHECK(at.seen[1].body == body);
  }
}

TEST_CASE(
    "RPT-42: an endpoint in our own network is refused, unless the operator allows it; one public address is enough") {
  const auto answer = [](const std::vector<std::string>& ips) {
    dns::Answer made;
    made.status = dns::Status::records;
    for (const auto& ip : ips) made.records.emplace_back(Ip::parse(ip).value());
    return made;
  };
  http::HttpsOptions options;
  for (const char* inner :
       {"10.0.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "::1", "fe80::1", "fd00::1"}) {
    CAPTURE(inner);
    const auto found = http::choose_addresses({answer({inner})}, options.internal, "endpoints");
    REQUIRE(std::holds_alternative<http::HttpsFailure>(found));
    CHECK(std::get<http::HttpsFailure>(found).text.find(inner) != std::string::npos);
    const auto mixed = http::choose_addresses({answer({inner, "203.0.113.7"})}, options.internal, "endpoints");
    CHECK(std::get<std::vector<Ip>>(mixed) == std::vector<Ip>{Ip::parse("203.0.113.7").value()});
  }
  Endpoint at;
  at.options.internal = http::HttpsOptions::Internal::refuse;
  CHECK(at.post(http_reply(200, {}, "")).why.find("127.0.0.1 is a private or local address") != std::string::npos);
  CHECK(at.seen.empty());
}

TEST_CASE("post: no name, no address, nobody there, no TLS and no answer are told apart") {
  Endpoint at;
  at.options.timeout = 500ms;
  const Posted silent = at.post([] {
    HttpsReply reply;
    reply.end = HttpsReply::End::hang;
    return reply;
  }());
  CHECK(silent.what == What::silent);
  std::uint16_t dead = 0;
  {
    HttpsServer gone(at.world.show(at.world.good), [](const HttpsSeen&) { return http_text(""); });
    dead = gone.port();
  }
  CHECK(at.post_to(dead).what == What::silent);
  at.dns.remove("mta-sts.d.example A");
  CHECK(at.post_to(dead).why == "it does not exist in DNS");
  CHECK(at.post_to(dead).what == What::refused);
  at.dns.fail["mta-sts.d.example A"] = "SERVFAIL";
  CHECK(at.post_to(dead).why.find("SERVFAIL") != std::string::npos);
  HttpsPost post(at.dns);
  post.set(at.options, at.world.tls());
  tlsrpt::HttpsDestination literal;
  literal.host = Ip::parse("203.0.113.7").value();
  literal.target = "/";
  CHECK(at.world.loop.run(post.post(literal, std::make_shared<const std::string>(body))).what == What::refused);
}

}  // namespace reports_post_test
