// SPDX-License-Identifier: Apache-2.0
// An HTTPS server with the test CA and a client of ours, for the tests of this folder.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "http/https.h"
#include "tests/net/handshakes.h"
#include "tests/support/https_server.h"

namespace hoplock::tests {

using Kind = http::HttpsFailure::Kind;
using End = HttpsReply::End;

inline const char* to_text(Kind kind) {
  static constexpr std::array texts{
      "no_address", "bad_request",      "connect",        "timeout",          "tls",   "certificate", "lost",
      "malformed",  "header_too_large", "body_too_large", "content_encoding", "length"};
  return texts.at(static_cast<std::size_t>(kind));
}

inline http::HttpsRequest get_from(const std::string& host) {
  http::HttpsRequest request;
  request.host = name(host);
  request.target = "/.well-known/mta-sts.txt";
  request.addresses = {Ip::parse("127.0.0.1").value()};
  request.user_agent = "hoplock/test";
  request.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  return request;
}

inline http::HttpsRequest post_to(const std::string& host, std::string body) {
  http::HttpsRequest request = get_from(host);
  request.method = http::HttpsRequest::Method::post;
  request.target = "/v1/reports?from=us";
  request.content_type = "application/tlsrpt+gzip";
  request.body = std::move(body);
  return request;
}

// The server of mta-sts.d.example, whose certificate is good unless the test gives another.
struct HttpsWorld {
  static constexpr const char* host = "mta-sts.d.example";
  Authority authority;
  Certificate good = authority.issue({.dns = {host}});
  Loop loop;

  PeerTls show(const Certificate& leaf) const {
    return {.files = write_chain(authority.dir, "https", leaf, {&authority.intermediate})};
  }
  std::shared_ptr<const net::ClientTls> tls() const {
    return net::ClientTls::load({.ca_file = authority.ca_file}).value();
  }
  http::HttpsAnswer ask(std::uint16_t port, http::HttpsRequest request) {
    request.port = port;
    return loop.run(http::fetch(std::move(request), tls()));
  }
};

struct Asked {
  http::HttpsAnswer answer;
  std::vector<HttpsSeen> seen;

  bool answered() const { return std::holds_alternative<http::HttpsResponse>(answer); }
  const http::HttpsResponse& response() const { return std::get<http::HttpsResponse>(answer); }
  const http::HttpsFailure& failure() const { return std::get<http::HttpsFailure>(answer); }
  // "200 body", or the kind of the failure.
  std::string text() const {
    if (!answered()) return to_text(failure().kind);
    return std::to_string(response().status) + " " + response().body;
  }
};

// One request to a server with the good certificate that gives this reply.
inline Asked ask(HttpsWorld& world, const HttpsReply& reply, http::HttpsRequest request = get_from(HttpsWorld::host)) {
  HttpsServer server(world.show(world.good), [&reply](const HttpsSeen&) { return reply; });
  Asked asked{world.ask(server.port(), std::move(request)), {}};
  asked.seen = server.finish();
  return asked;
}

// One request to a server with this certificate.
inline Asked ask_shown(HttpsWorld& world, const Certificate& leaf,
                       http::HttpsRequest request = get_from(HttpsWorld::host)) {
  HttpsServer server(world.show(leaf), [](const HttpsSeen&) { return http_text("policy"); });
  Asked asked{world.ask(server.port(), std::move(request)), {}};
  asked.seen = server.finish();
  return asked;
}

}  // namespace hoplock::tests
