// SPDX-License-Identifier: Apache-2.0
#include "reports/post.h"

#include <utility>

#include "base/version.h"

namespace hoplock::reports {

using boost::asio::awaitable;
using Kind = net::HttpsFailure::Kind;

namespace {

constexpr std::size_t most_answer = 4096;  // octets of an answer that nobody reads

Posted refused(std::string why) { return {Posted::What::refused, std::move(why), {}}; }

bool is_certificate_failure(const net::HttpsAnswer& answer) {
  const auto* failure = std::get_if<net::HttpsFailure>(&answer);
  return failure != nullptr && failure->kind == Kind::certificate;
}

std::string texts(const std::vector<hop::Refusal>& defects) {
  std::string all;
  for (const auto& defect : defects) all += (all.empty() ? "" : "; ") + defect.text;
  return all;
}

}  // namespace

void HttpsPost::set(PostOptions options, std::shared_ptr<const net::ClientTls> tls) {
  options_ = options;
  tls_ = std::move(tls);
}

awaitable<Posted> HttpsPost::post(tlsrpt::HttpsDestination to, std::shared_ptr<const std::string> gzip) {
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  const PostOptions options = options_;
  const auto tls = tls_;
  const auto* host = std::get_if<dns::Name>(&to.host);
  if (host == nullptr) co_return refused("it names an address in place of a host, which no certificate can be held to");
  const auto answers = co_await find_addresses(resolver_, *host, options.families);
  auto addresses = post_addresses(answers, options);
  if (auto* why = std::get_if<std::string>(&addresses)) co_return refused(std::move(*why));
  net::HttpsRequest request;
  request.host = *host;
  request.port = to.port;
  request.target = to.target;
  request.addresses = std::get<std::vector<Ip>>(std::move(addresses));
  request.source_ipv4 = options.source_ipv4;
  request.source_ipv6 = options.source_ipv6;
  request.method = net::HttpsRequest::Method::post;
  request.content_type = "application/tlsrpt+gzip";
  request.body = *gzip;
  request.user_agent = "hoplock/" HOPLOCK_VERSION;
  request.most_body = most_answer;
  request.deadline = deadline;
  net::HttpsRequest unverified = request;
  auto answer = co_await net::fetch(std::move(request), tls);
  if (is_certificate_failure(
          answer)) {  // RPT-42: reports tell of broken certificates; one must not keep them from arriving
    unverified.verify = net::HttpsRequest::Verify::observe;
    answer = co_await net::fetch(std::move(unverified), tls);
  }
  co_return judge(answer);
}

Posted judge(const net::HttpsAnswer& answer) {
  if (const auto* failure = std::get_if<net::HttpsFailure>(&answer)) {
    const bool silent = failure->kind == Kind::connect || failure->kind == Kind::timeout;
    return {silent ? Posted::What::silent : Posted::What::refused, failure->text, {}};
  }
  const auto& response = std::get<net::HttpsResponse>(answer);
  if (response.status >= 200 && response.status < 300) return {Posted::What::accepted, {}, texts(response.defects)};
  std::string why = response.peer.text() + ": it answers with status " + std::to_string(response.status);
  if (response.status >= 300 && response.status < 400) why += ", a redirect, which is not followed";
  return refused(std::move(why));
}

std::variant<std::vector<Ip>, std::string> post_addresses(const std::vector<dns::Answer>& answers,
                                                          const PostOptions& options) {
  net::Targets found = net::choose_targets(answers, options.internal);
  if (!found.addresses.empty()) return std::move(found.addresses);
  if (!found.refused.empty())
    return found.refused + " is a private or local address, which endpoints may not have (dns.local_targets)";
  if (!found.failures.empty()) return "its address could not be looked up: " + found.failures;
  return std::string(found.exists ? "it has no address" : "it does not exist in DNS");
}

}  // namespace hoplock::reports
