// SPDX-License-Identifier: Apache-2.0
// HTTPS requests to hosts that foreign DNS names: a policy host (STS-11), a report endpoint (RPT-42). Such a name must not lead into our
// own network unless the operator says so. Looks the host up and asks it (https.h); what the answer means is the caller's.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "http/https.h"
#include "resolver/addresses.h"
#include "resolver/resolver.h"

namespace hoplock::http {

struct HttpsOptions {
  enum class Internal : std::uint8_t { refuse, allow };  // addresses of our own network, see Ip::is_internal
  enum class First : std::uint8_t { v4, v6 };
  std::chrono::milliseconds timeout{60'000};  // for everything, look-ups included
  Internal internal = Internal::refuse;
  resolver::Families families = resolver::Families::both;
  First first = First::v4;
  std::optional<Ip> source_ipv4;
  std::optional<Ip> source_ipv6;
};

class HttpsClient {
 public:
  // `whose`: what the hosts are, for people: "policy hosts". REQUIRES: resolver outlives it.
  HttpsClient(resolver::Resolver& resolver, std::string whose) : resolver_(resolver), whose_(std::move(whose)) {}
  // Before the first request, and at a reload: for requests begun from now on.
  void set(HttpsOptions options, std::shared_ptr<const net::ClientTls> tls);

  // The request's addresses, sources, deadline and user agent are filled in. Under Verify::observe a server is asked on a second
  // connection, and only when the first one showed a certificate with defects.
  boost::asio::awaitable<HttpsAnswer> ask(HttpsRequest request);

 private:
  resolver::Resolver& resolver_;
  std::string whose_;
  HttpsOptions options_;
  std::shared_ptr<const net::ClientTls> tls_;
};

// The addresses that may be contacted, at most four of a family, in the order of the answers; or why there is none. Pure.
std::variant<std::vector<Ip>, HttpsFailure> choose_addresses(const std::vector<dns::Answer>& answers,
                                                             HttpsOptions::Internal internal, const std::string& whose);

}  // namespace hoplock::http
