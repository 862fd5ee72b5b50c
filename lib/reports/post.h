// SPDX-License-Identifier: Apache-2.0
// Posting a report to an https destination: RFC 8460 section 5.4. `Post` is a seam: the daemon asks the endpoint over HTTPS, tests may
// answer from a map. It posts once and says what became of it; when to try again is the sender's.
//
// No redirect is followed, and private addresses are refused (RPT-41, RPT-42): a record in foreign DNS must not reach into our network.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "net/https.h"
#include "net/targets.h"
#include "net/tls_client.h"
#include "resolver/addresses.h"
#include "resolver/resolver.h"
#include "tlsrpt/record.h"

namespace hoplock::reports {

struct Posted {
  enum class What : std::uint8_t {
    accepted,  // a 2xx
    refused,   // another status, or nobody there who could answer
    silent,    // no connection, or no answer in time: the next report for this host would fare no better
  };
  What what = What::refused;
  std::string why;      // unless accepted; one sentence
  std::string defects;  // of the endpoint's certificate, which got the report all the same; one sentence
};

class Post {
 public:
  virtual ~Post() = default;
  // Never throws for what an endpoint does, and ends within a time of its own.
  virtual boost::asio::awaitable<Posted> post(tlsrpt::HttpsDestination to, std::shared_ptr<const std::string> gzip) = 0;
};

struct PostOptions {
  using Internal = net::Internal;  // may endpoints have addresses in our own network?
  using Families = resolver::Families;
  std::chrono::milliseconds timeout{30'000};  // for everything, look-ups included
  Internal internal = Internal::refuse;
  Families families = Families::both;
  std::optional<Ip> source_ipv4;
  std::optional<Ip> source_ipv6;
};

class HttpsPost final : public Post {
 public:
  // REQUIRES: resolver outlives it.
  explicit HttpsPost(resolver::Resolver& resolver) : resolver_(resolver) {}
  // Before the first post, and at a reload: for posts begun from now on.
  void set(PostOptions options, std::shared_ptr<const net::ClientTls> tls);

  boost::asio::awaitable<Posted> post(tlsrpt::HttpsDestination to, std::shared_ptr<const std::string> gzip) override;

 private:
  resolver::Resolver& resolver_;
  PostOptions options_;
  std::shared_ptr<const net::ClientTls> tls_;
};

// The addresses of an endpoint that may be contacted, or why there is none. Pure.
std::variant<std::vector<Ip>, std::string> post_addresses(const std::vector<dns::Answer>& answers,
                                                          const PostOptions& options);
// What the endpoint's answer comes to. Pure.
Posted judge(const net::HttpsAnswer& answer);

}  // namespace hoplock::reports
