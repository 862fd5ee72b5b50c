// SPDX-License-Identifier: Apache-2.0
#include "route/sts_fetch.h"

#include <utility>

#include "base/ascii.h"
#include "mtasts/policy.h"

namespace hoplock::route {

using boost::asio::awaitable;
using hop::Reason;
using hop::Refusal;

namespace {

Refusal cannot_fetch(std::string text) { return {Reason::sts_policy_fetch_error, std::move(text)}; }

}  // namespace

void HttpsPolicyFetch::set(http::HttpsOptions options, std::uint16_t port, std::shared_ptr<const net::ClientTls> tls) {
  client_.set(options, std::move(tls));
  port_ = port;
}

awaitable<FetchedText> HttpsPolicyFetch::fetch(dns::Name domain) {
  const auto host = domain.under(mtasts::policy_host_label);
  if (!host) co_return cannot_fetch("the name of its policy host would be too long");
  http::HttpsRequest request;
  request.host = *host;
  request.port = port_;
  request.target = mtasts::policy_path;
  request.most_body = mtasts::max_policy_octets;
  const auto answer = co_await client_.ask(std::move(request));
  FetchedText text = policy_text(answer);
  if (auto* refusal = std::get_if<Refusal>(&text))
    refusal->text = "the policy host " + host->text() + ": " + refusal->text;
  co_return text;
}

FetchedText policy_text(const http::HttpsAnswer& answer) {
  if (const auto* failure = std::get_if<http::HttpsFailure>(&answer)) {
    if (failure->kind != http::HttpsFailure::Kind::certificate) return cannot_fetch(failure->text);
    return Refusal{Reason::sts_webpki_invalid, failure->text};
  }
  const auto& response = std::get<http::HttpsResponse>(answer);
  if (response.status >= 300 && response.status < 400) {
    return cannot_fetch("it answers with a redirect (" + std::to_string(response.status) +
                        "), which RFC 8461 forbids to follow; the policy must be served at this very address");
  }
  if (response.status != 200) return cannot_fetch("it answers with status " + std::to_string(response.status));
  const std::string_view type = trim(split(response.content_type, ';').front());
  if (!equals_ignoring_case(type, "text/plain")) {
    return cannot_fetch("it serves the policy as " +
                        (type.empty() ? "no media type at all" : "'" + std::string(type) + "'") +
                        ", not as text/plain");
  }
  return response.body;
}

}  // namespace hoplock::route
