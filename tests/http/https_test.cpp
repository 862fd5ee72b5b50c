// SPDX-License-Identifier: Apache-2.0
// What is asked over HTTPS, of whom, and what the answer is taken for.
#include <doctest/doctest.h>

#include "tests/http/https.h"

namespace http_https_test {

using namespace hoplock;
using namespace hoplock::tests;
using namespace std::chrono_literals;

TEST_CASE(
    "STS-07: the request, its Host and SNI are exactly the URL's; HTTP/1.1 alone is offered, and no content coding") {
  HttpsWorld world;
  HttpsServer server(world.show(world.good), [](const HttpsSeen&) { return http_text("policy"); });
  const auto answer = world.ask(server.port(), get_from("mta-sts.d.example"));
  const auto seen = server.finish();
  REQUIRE(std::holds_alternative<http::HttpsResponse>(answer));
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].sni == "mta-sts.d.example");
  CHECK(seen[0].alpn == "http/1.1");
  CHECK(seen[0].header ==
        "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.d.example:" + std::to_string(server.port()) +
            "\r\nUser-Agent: hoplock/test\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  CHECK(seen[0].body == "");
  const auto& response = std::get<http::HttpsResponse>(answer);
  CHECK(response.status == 200);
  CHECK(response.content_type == "text/plain");
  CHECK(response.body == "policy");
  CHECK(response.peer.ip.text() == "127.0.0.1");
  CHECK(response.defects.empty());
}

TEST_CASE("STS-08: the certificate is unexpired, leads to a trusted root and has the host as a DNS-ID") {
  HttpsWorld world;
  const Certificate stranger({.cn = "Stranger", .ca = true});
  const auto issue = [&](const Recipe& recipe) { return world.authority.issue(recipe); };
  struct Row {
    Certificate leaf;
    std::vector<Reason> defects;
    std::string why;
  };
  std::vector<Row> rows;
  const Recipe expired{.dns = {"mta-sts.d.example"}, .valid_from = -48h, .valid_to = -24h};
  const Recipe both{.dns = {"other.example"}, .valid_from = -48h, .valid_to = -24h};
  rows.push_back({issue({.dns = {"mta-sts.d.example"}}), {}, "good"});
  rows.push_back({issue({.dns = {"a.example", "*.d.example"}}), {}, "* as the whole left-most label"});
  rows.push_back({issue({.dns = {"MTA-STS.D.Example"}}), {}, "case"});
  rows.push_back({issue(expired), {Reason::certificate_expired}, "expired"});
  rows.push_back(
      {issue({.dns = {"mta-sts.d.example"}, .valid_from = 24h}), {Reason::certificate_not_trusted}, "not yet valid"});
  rows.push_back({Certificate({.dns = {"mta-sts.d.example"}}), {Reason::certificate_not_trusted}, "self-signed"});
  rows.push_back(
      {Certificate({.dns = {"mta-sts.d.example"}}, stranger), {Reason::certificate_not_trusted}, "unknown CA"});
  rows.push_back({issue({.cn = "mta-sts.d.example"}), {Reason::certificate_host_mismatch}, "CN only"});
  rows.push_back(
      {issue({.cn = "mta-sts.d.example", .dns = {"x.example"}}), {Reason::certificate_host_mismatch}, "CN beside"});
  rows.push_back({issue({.dns = {"d.example"}}), {Reason::certificate_host_mismatch}, "the policy domain"});
  rows.push_back({issue({.dns = {"www.provider.net"}}), {Reason::certificate_host_mismatch}, "the provider's name"});
  rows.push_back({issue({.dns = {"mta-*.d.example"}}), {Reason::certificate_host_mismatch}, "* within a label"});
  rows.push_back({issue({.dns = {"*.*"}}), {Reason::certificate_host_mismatch}, "two *"});
  rows.push_back({issue({.dns = {"*.mta-sts.d.example"}}), {Reason::certificate_host_mismatch}, "* below"});
  rows.push_back({issue({.san = "IP:127.0.0.1"}), {Reason::certificate_host_mismatch}, "the address"});
  rows.push_back({issue(both), {Reason::certificate_host_mismatch, Reason::certificate_expired}, "two defects"});
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const Asked asked = ask_shown(world, row.leaf);
    if (row.defects.empty()) {
      CHECK(asked.text() == "200 policy");
      continue;
    }
    REQUIRE(asked.text() == "certificate");
    CHECK(reasons(asked.failure().defects) == row.defects);
    CHECK(asked.failure().text.find(asked.failure().defects[0].text) != std::string::npos);
    CHECK(asked.seen.at(0).header == "");  // nothing was asked of it
  }
}

TEST_CASE("STS-08: two labels are not one, and a deeper host needs its own name") {
  HttpsWorld world;
  const Certificate wild = world.authority.issue({.dns = {"*.d.example"}});
  CHECK(ask_shown(world, wild, get_from("mta-sts.sub.d.example")).text() == "certificate");
  CHECK(ask_shown(world, wild, get_from("mta-sts.d.example")).text() == "200 policy");
}

TEST_CASE("STS-09: every status comes back as it is, and no redirect is followed") {
  HttpsWorld world;
  for (const int status : {200, 203, 206, 301, 302, 307, 308, 404, 429, 500, 503}) {
    CAPTURE(status);
    const auto to = "Location: https://mta-sts.d.example/.well-known/mta-sts.txt";
    const Asked asked = ask(world, http_reply(status, {to, "Cache-Control: max-age=86400"}, "policy"));
    CHECK(asked.text() == std::to_string(status) + " policy");
    CHECK(asked.seen.size() == 1);
  }
  for (const int status : {204, 304}) {
    CAPTURE(status);
    const Asked asked = ask(world, {.octets = "HTTP/1.1 " + std::to_string(status) + " No\r\n\r\n"});
    CHECK(asked.text() == std::to_string(status) + " ");
  }
}

TEST_CASE("STS-09: the same request again is a full one, whatever the first answer said about caching") {
  HttpsWorld world;
  HttpsServer server(world.show(world.good), [](const HttpsSeen&) {
    return http_reply(
        200, {"Cache-Control: max-age=86400", "ETag: \"1\"", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"}, "p");
  });
  for (int i = 0; i < 2; ++i) world.ask(server.port(), get_from("mta-sts.d.example"));
  const auto seen = server.finish();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].header == seen[1].header);
}

TEST_CASE("fetch: the answer's Content-Type is told, and that there is none or that there are two") {
  HttpsWorld world;
  const auto type_of = [&world](const std::vector<std::string>& fields) {
    const Asked asked = ask(world, http_reply(200, fields, "policy"));
    return asked.answered() ? asked.response().content_type : asked.text();
  };
  CHECK(type_of({"Content-Type: text/plain; charset=utf-8; foo=bar"}) == "text/plain; charset=utf-8; foo=bar");
  CHECK(type_of({"content-type:TEXT/html"}) == "TEXT/html");
  CHECK(type_of({}) == "");
  CHECK(type_of({"Content-Type: text/plain\x80\t\xff"}) == "text/plain???");
  CHECK(type_of({"Content-Type: " + std::string(1000, 'x')}) == std::string(64, 'x') + "...");
  CHECK(type_of({"Content-Type: text/plain", "Content-Type: text/html"}) == "malformed");
  const Asked interim = ask(world, {.octets = "HTTP/1.1 103 Hints\r\nContent-Type: text/plain\r\n\r\n"
                                              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"});
  CHECK(interim.text() == "200 x");
  CHECK(interim.response().content_type == "");
}

TEST_CASE("fetch: a TLS session of at least 1.2 and HTTP/1.1 or nothing") {
  HttpsWorld world;
  PeerTls tls = world.show(world.good);
  const auto answer = [](const HttpsSeen&) { return http_text("policy"); };
  {
    tls.max_version = 0x0303;
    HttpsServer server(tls, answer);
    CHECK(std::holds_alternative<http::HttpsResponse>(world.ask(server.port(), get_from("mta-sts.d.example"))));
    CHECK(server.finish().at(0).tls == "TLSv1.2");
  }
  {
    tls.max_version = 0x0302;
    HttpsServer server(tls, answer);
    const Asked asked{world.ask(server.port(), get_from("mta-sts.d.example")), {}};
    CHECK(asked.text() == "tls");
  }
  tls.max_version = 0;
  HttpsServer server(tls, answer, HttpsServer::Http::v2_only);
  const Asked asked{world.ask(server.port(), get_from("mta-sts.d.example")), {}};
  CHECK(asked.text() == "tls");
  CHECK(asked.failure().text.find("no application protocol") != std::string::npos);
}

TEST_CASE("fetch: a server without TLS, one that leaves in the handshake, one that says nothing") {
  HttpsWorld world;
  const auto kind_of = [&world](const Script& script, std::chrono::milliseconds patience) {
    ScriptedPeer peer(script);
    http::HttpsRequest request = get_from("mta-sts.d.example");
    request.deadline = std::chrono::steady_clock::now() + patience;
    const Asked asked{world.ask(peer.port(), std::move(request)), {}};
    peer.finish();
    return asked.text();
  };
  CHECK(kind_of(Script().receive().send("HTTP/1.1 400 Bad Request\r\n\r\n").close(), 10s) == "tls");
  CHECK(kind_of(Script().receive().close(), 10s) == "tls");
  CHECK(kind_of(Script().receive().reset(), 10s) == "tls");
  CHECK(kind_of(Script().stall(), 300ms) == "timeout");
}

TEST_CASE("fetch: the next address takes over until one has a good session, each with its share of the time") {
  HttpsWorld world;
  const auto answer = [](const HttpsSeen& seen) { return http_text("asked by " + seen.peer); };
  HttpsServer server(world.show(world.good), answer);
  const Ip nobody = Ip::parse("127.0.0.77").value();
  const Ip good = Ip::parse("127.0.0.1").value();
  http::HttpsRequest request = get_from("mta-sts.d.example");
  request.addresses = {nobody, good};
  request.source_ipv4 = Ip::parse("127.0.0.9").value();
  Asked asked{world.ask(server.port(), request), {}};
  CHECK(asked.text() == "200 asked by 127.0.0.9");

  request.addresses = {nobody, nobody};
  asked.answer = world.ask(server.port(), request);
  CHECK(asked.text() == "connect");
  CHECK(asked.failure().text.find("127.0.0.77:" + std::to_string(server.port()) + ": ") == 0);

  ScriptedPeer silent({Script().stall()}, "127.0.0.78", server.port());
  request.addresses = {Ip::parse("127.0.0.78").value(), good};
  request.deadline = std::chrono::steady_clock::now() + 1500ms;
  asked.answer = world.ask(server.port(), request);
  CHECK(asked.text() == "200 asked by 127.0.0.9");
  silent.finish();
}

TEST_CASE("fetch: where every address fails, the failure that came furthest is told") {
  HttpsWorld world;
  const Certificate wrong = world.authority.issue({.dns = {"other.example"}});
  HttpsServer server(world.show(wrong), [](const HttpsSeen&) { return http_text("policy"); });
  http::HttpsRequest request = get_from("mta-sts.d.example");
  request.addresses = {Ip::parse("127.0.0.1").value(), Ip::parse("127.0.0.77").value()};
  const Asked asked{world.ask(server.port(), request), {}};
  CHECK(asked.text() == "certificate");
  CHECK(asked.failure().text.find("127.0.0.1:") == 0);
}

TEST_CASE("fetch: text that could break out of the request is not sent") {
  HttpsWorld world;
  const auto kind_of = [&world](auto change) {
    http::HttpsRequest request = post_to("mta-sts.d.example", "x");
    change(request);
    const Asked asked{world.ask(request.port, request), {}};
    return asked.text();
  };
  for (const char* target : {"", "x", "/a b", "/a\r\nX: y", "/\x7f", "/\xc3\xa4", "/a#b", "https://x/"}) {
    CAPTURE(target);
    CHECK(kind_of([target](auto& request) { request.target = target; }) == "bad_request");
  }
  CHECK(kind_of([](auto& request) { request.content_type = "a\r\nX: y"; }) == "bad_request");
  CHECK(kind_of([](auto& request) { request.user_agent = "a\nb"; }) == "bad_request");
  CHECK(kind_of([](auto& request) { request.addresses.clear(); }) == "bad_request");
  CHECK(kind_of([](auto& request) { request.host = dns::Name(); }) == "bad_request");
  CHECK(kind_of([](auto& request) { request.port = 0; }) == "bad_request");
}

TEST_CASE("fetch: a post carries its content type, its length and the body as it is, without Content-Encoding") {
  HttpsWorld world;
  std::string body("\x1f\x8b\0\r\n", 5);
  while (body.size() < 300000) body += body;
  for (const int status : {200, 201, 202, 302, 404, 500}) {
    CAPTURE(status);
    const Asked asked = ask(world, http_reply(status, {}, "thanks"), post_to("mta-sts.d.example", body));
    CHECK(asked.text() == std::to_string(status) + " thanks");
    REQUIRE(asked.seen.size() == 1);
    const std::string& header = asked.seen[0].header;
    CHECK(header.find("POST /v1/reports?from=us HTTP/1.1\r\n") == 0);
    CHECK(header.find("\r\nContent-Type: application/tlsrpt+gzip\r\n") != std::string::npos);
    CHECK(header.find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") != std::string::npos);
    CHECK(header.find("Encoding") == std::string::npos);
    CHECK(asked.seen[0].body == body);
  }
}

TEST_CASE("fetch: to a post the status counts, whatever is wrong with the body that follows") {
  HttpsWorld world;
  const auto text_of = [&world](const HttpsReply& reply) {
    http::HttpsRequest request = post_to("mta-sts.d.example", "x");
    request.deadline = std::chrono::steady_clock::now() + 700ms;
    request.most_body = 10;
    return ask(world, reply, std::move(request)).text();
  };
  CHECK(text_of(http_reply(202, {}, std::string(11, 'x'))) == "202 ");
  CHECK(text_of(http_reply(202, {"Content-Encoding: gzip"}, "xx")) == "202 ");
  CHECK(text_of({.octets = "HTTP/1.1 202 OK\r\nContent-Length: 5\r\n\r\nabc", .end = End::truncate}) == "202 abc");
  CHECK(text_of({.octets = "HTTP/1.1 202 OK\r\nContent-Length: 5\r\n\r\nabc", .end = End::hang}) == "202 abc");
  CHECK(text_of({.octets = "HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", .end = End::truncate}) == "202 ");
  CHECK(text_of({.octets = "HTTP/1.1 202 O", .end = End::hang}) == "timeout");
}

TEST_CASE("fetch: a certificate with defects is told, and under observe the report goes all the same") {
  HttpsWorld world;
  const Certificate expired = world.authority.issue({.dns = {"r.example"}, .valid_from = -48h, .valid_to = -24h});
  http::HttpsRequest request = post_to("r.example", "report");
  CHECK(ask_shown(world, expired, request).text() == "certificate");
  request.verify = http::HttpsRequest::Verify::observe;
  const Asked asked = ask_shown(world, expired, request);
  REQUIRE(asked.text() == "200 policy");
  CHECK(reasons(asked.response().defects) == std::vector<Reason>{Reason::certificate_expired});
  CHECK(asked.seen.at(0).body == "report");
}

}  // namespace http_https_test
