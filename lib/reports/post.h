// SPDX-License-Identifier: Apache-2.0
// Posting a report to an https destination: RFC 8460 section 5.4. `Post` is a seam: the daemon asks the endpoint over HTTPS, tests may
// answer from a map. It posts once and says what became of it; when to try again is the sender's.
//
// No redirect is followed, and private addresses are refused (RPT-41, RPT-42): a record in foreign DNS must not reach into our network.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "http/https_client.h"
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

class HttpsPost final : public Post {
 public:
  // REQUIRES: resolver outlives it.
  explicit HttpsPost(resolver::Resolver& resolver) : client_(resolver, "endpoints") {}
  // Before the first post, and at a reload: for posts begun from now on.
  void set(http::HttpsOptions options, std::shared_ptr<const net::ClientTls> tls) {
    client_.set(options, std::move(tls));
  }

  boost::asio::awaitable<Posted> post(tlsrpt::HttpsDestination to, std::shared_ptr<const std::string> gzip) override;

 private:
  http::HttpsClient client_;
};

// What the endpoint's answer comes to. Pure.
Posted judge(const http::HttpsAnswer& answer);

}  // namespace hoplock::reports
