// SPDX-License-Identifier: Apache-2.0
#include "route/sts_fetch.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "base/version.h"
#include "mtasts/policy.h"
#include "net/targets.h"
#include "route/gather.h"

namespace hoplock::route {

using boost::asio::awaitable;
using hop::Reason;
using hop::Refusal;

namespace {

Refusal cannot_fetch(std::string text) { return {Reason::sts_policy_fetch_error, std::move(text)}; }

net::HttpsRequest request_for(dns::Name host, std::vector<Ip> addresses, const FetchOptions& options) {
  net::HttpsRequest request;
  request.host = std::move(host);
  request.port = options.https_port;
  request.target = mtasts::policy_path;
  request.addresses = std::move(addresses);
  request.source_ipv4 = options.source_ipv4;
  request.source_ipv6 = options.source_ipv6;
  request.user_agent = "hoplock/" HOPLOCK_VERSION;
  request.most_body = mtasts::max_policy_octets;
  return request;
}

}  // namespace

void HttpsPolicyFetch::set(FetchOptions options, std::shared_ptr<const net::ClientTls> tls) {
  options_ = options;
  tls_ = std::move(tls);
}

awaitable<FetchedText> HttpsPolicyFetch::fetch(dns::Name domain) {
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  const FetchOptions options = options_;
  const auto tls = tls_;
  const auto host = domain.under(mtasts::policy_host_label);
  if (!host) co_return cannot_fetch("the name of its policy host would be too long");
  auto answers = co_await find_addresses(resolver_, *host, families(options.address_family));
  if (options.address_family == AddressFamily::prefer_ipv6) std::reverse(answers.begin(), answers.end());
  auto addresses = policy_addresses(answers, options);
  if (auto* refusal = std::get_if<Refusal>(&addresses)) {
    refusal->text = "the policy host " + host->text() + ": " + refusal->text;
    co_return std::move(*refusal);
  }
  net::HttpsRequest request = request_for(*host, std::get<std::vector<Ip>>(std::move(addresses)), options);
  request.deadline = deadline;
  const auto answer = co_await net::fetch(std::move(request), tls);
  FetchedText text = policy_text(answer);
  if (auto* refusal = std::get_if<Refusal>(&text))
    refusal->text = "the policy host " + host->text() + ": " + refusal->text;
  co_return text;
}

FetchedText policy_text(const net::HttpsAnswer& answer) {
  if (const auto* failure = std::get_if<net::HttpsFailure>(&answer)) {
    if (failure->kind != net::HttpsFailure::Kind::certificate) return cannot_fetch(failure->text);
    return Refusal{Reason::sts_webpki_invalid, failure->text};
  }
  const auto& response = std::get<net::HttpsResponse>(answer);
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

std::variant<std::vector<Ip>, Refusal> policy_addresses(const std::vector<dns::Answer>& answers,
                                                        const FetchOptions& options) {
  const bool allowed = options.local_targets == LocalTargets::allow;
  net::Targets found = net::choose_targets(answers, allowed ? net::Internal::allow : net::Internal::refuse);
  if (!found.addresses.empty()) return std::move(found.addresses);
  if (!found.failures.empty()) return cannot_fetch("its address could not be looked up: " + found.failures);
  if (!found.refused.empty()) {
    return cannot_fetch(found.refused +
                        " is a private or local address, which policy hosts may not have (dns.local_targets)");
  }
  return cannot_fetch(found.exists ? "it has no address" : "it does not exist in DNS");
}

}  // namespace hoplock::route
