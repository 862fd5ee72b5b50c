// SPDX-License-Identifier: Apache-2.0
// Fetching a policy: RFC 8461 sections 3.2, 3.3. `PolicyFetch` is a seam: the daemon asks the policy host over HTTPS, tests may answer
// from a map. Gets the text and says why there is none; the text's meaning is mtasts::parse_policy's, keeping it is sts.h's.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "hop/plan.h"
#include "http/https_client.h"

namespace hoplock::route {

// The policy text as it was served, or why there is none: sts_policy_fetch_error or sts_webpki_invalid.
using FetchedText = std::variant<std::string, hop::Refusal>;

class PolicyFetch {
 public:
  virtual ~PolicyFetch() = default;
  // Never throws for what a policy host does, and ends within a time of its own (STS-11).
  virtual boost::asio::awaitable<FetchedText> fetch(dns::Name domain) = 0;
};

class HttpsPolicyFetch final : public PolicyFetch {
 public:
  // REQUIRES: resolver outlives it.
  explicit HttpsPolicyFetch(resolver::Resolver& resolver) : client_(resolver, "policy hosts") {}
  // Before the first fetch, and at a reload: for fetches begun from now on.
  void set(http::HttpsOptions options, std::uint16_t port, std::shared_ptr<const net::ClientTls> tls);

  boost::asio::awaitable<FetchedText> fetch(dns::Name domain) override;

 private:
  http::HttpsClient client_;
  std::uint16_t port_ = 443;
};

// What an answer of the policy host comes to (STS-09, STS-10). Pure.
FetchedText policy_text(const http::HttpsAnswer& answer);

}  // namespace hoplock::route
