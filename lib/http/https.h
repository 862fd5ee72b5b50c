// SPDX-License-Identifier: Apache-2.0
// One HTTPS request and its answer (RFC 9110, 9112) over our own TLS: what fetches MTA-STS policies and posts TLS reports. Nothing
// is decided here: what happened comes back as a value, precise enough for RFC 8460's result types.
//
// It follows no redirect, resolves no name, keeps no connection, cache or cookie, offers no content coding and no HTTP/2. A hostile
// server costs at most 16 KiB for a header, the body that the request allows, and the time until the deadline.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dns/name.h"
#include "hop/plan.h"
#include "net/stream.h"
#include "net/tls_client.h"

namespace hoplock::http {

struct HttpsRequest {
  enum class Method : std::uint8_t { get, post };
  // A certificate with defects (RFC 9525, STS-08): nothing is asked of its server, or it is asked all the same and the answer tells
  // of them (RPT-42).
  enum class Verify : std::uint8_t { enforce, observe };

  dns::Name host;  // of the URL: SNI, Host and the certificate's name, whatever CNAMEs led to the addresses
  std::uint16_t port = 443;
  std::string target = "/";       // path and query, as they stand in the request
  std::vector<Ip> addresses;      // tried in order until one has a good session; which may be contacted is seen to
  std::optional<Ip> source_ipv4;  // of our end
  std::optional<Ip> source_ipv6;
  Method method = Method::get;
  std::string content_type;  // of what is posted
  std::string body;
  std::string user_agent;
  std::size_t most_body = std::size_t{64} * 1024;  // of the answer, decoded
  net::SteadyTime deadline;                        // for everything together
  Verify verify = Verify::enforce;
};

// The answer, whatever its status: 3xx and 5xx are answers.
//
// To a get it is whole: every octet of the body that its length, its chunks or an orderly end of TLS promised. To a post the status is
// what counts, as soon as it is there: a body that is late, broken, coded or too large is cut short and no failure.
struct HttpsResponse {
  int status = 0;
  std::string content_type;  // as it came, but printable and at most 64 octets; empty: there was none
  std::string body;
  net::Endpoint peer;
  std::vector<hop::Refusal> defects;  // of its certificate, under Verify::observe
};

struct HttpsFailure {
  enum class Kind : std::uint8_t {
    no_address,        // of HttpsClient: there is none, or none that may be contacted
    bad_request,       // nothing was sent: no address, no host, or octets that no request line or field may have
    connect,           // no TCP connection
    timeout,           // the deadline passed, or an address's share of the time; `text` tells during what
    tls,               // no TLS session
    certificate,       // `defects` tells; nothing was sent
    lost,              // the connection ended before an answer was there
    malformed,         // not HTTP/1.x, or ambiguous
    header_too_large,  // more than 16 KiB
    body_too_large,    // more than most_body
    content_encoding,  // a coding that was not asked for
    length,            // the body is shorter than promised, its end is not certain, or octets follow it
  };
  Kind kind = Kind::connect;
  std::string text;                   // one printable sentence that begins with the address where one was tried
  std::vector<hop::Refusal> defects;  // for certificate: not trusted, host mismatch, expired; never empty
};

using HttpsAnswer = std::variant<HttpsResponse, HttpsFailure>;

// Where every address fails, the failure is the one that came furthest: certificate before TLS before connect. Once the request
// went out, no other address is tried. No single address may use up all of the time while others wait for their turn.
boost::asio::awaitable<HttpsAnswer> fetch(HttpsRequest request, std::shared_ptr<const net::ClientTls> tls);

}  // namespace hoplock::http
