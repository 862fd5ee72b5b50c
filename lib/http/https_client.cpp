// SPDX-License-Identifier: Apache-2.0
#include "http/https_client.h"

#include <algorithm>
#include <utility>

#include "base/version.h"

namespace hoplock::http {

namespace {
constexpr std::size_t most_of_a_family = 4;
}

void HttpsClient::set(HttpsOptions options, std::shared_ptr<const net::ClientTls> tls) {
  options_ = options;
  tls_ = std::move(tls);
}

boost::asio::awaitable<HttpsAnswer> HttpsClient::ask(HttpsRequest request) {
  const HttpsOptions options = options_;
  const auto tls = tls_;
  request.deadline = std::chrono::steady_clock::now() + options.timeout;
  request.source_ipv4 = options.source_ipv4;
  request.source_ipv6 = options.source_ipv6;
  request.user_agent = "hoplock/" HOPLOCK_VERSION;
  auto answers = co_await find_addresses(resolver_, request.host, options.families);
  if (options.first == HttpsOptions::First::v6) std::reverse(answers.begin(), answers.end());
  auto found = choose_addresses(answers, options.internal, whose_);
  if (auto* failure = std::get_if<HttpsFailure>(&found)) co_return std::move(*failure);
  request.addresses = std::get<std::vector<Ip>>(std::move(found));
  HttpsRequest verified = request;
  verified.verify = HttpsRequest::Verify::enforce;
  auto answer = co_await fetch(std::move(verified), tls);
  const auto* failure = std::get_if<HttpsFailure>(&answer);
  if (request.verify == HttpsRequest::Verify::enforce || failure == nullptr ||
      failure->kind != HttpsFailure::Kind::certificate)
    co_return answer;
  answer = co_await fetch(std::move(request), tls);
  co_return answer;
}

std::variant<std::vector<Ip>, HttpsFailure> choose_addresses(const std::vector<dns::Answer>& answers,
                                                             HttpsOptions::Internal internal,
                                                             const std::string& whose) {
  std::vector<Ip> addresses;
  std::string refused, failures;
  bool exists = false;
  for (const dns::Answer& answer : answers) {
    exists = exists || answer.status != dns::Status::no_name;
    if (answer.failed()) failures += (failures.empty() ? "" : "; ") + answer.why;
    std::size_t taken = 0;
    for (const Ip& ip : answer.all<Ip>()) {
      if (internal == HttpsOptions::Internal::refuse && ip.is_internal()) {
        refused = ip.text();
      } else if (taken++ < most_of_a_family) {
        addresses.push_back(ip);
      }
    }
  }
  if (!addresses.empty()) return addresses;
  HttpsFailure failure{HttpsFailure::Kind::no_address, exists ? "it has no address" : "it does not exist in DNS", {}};
  if (!refused.empty())
    failure.text = refused + " is a private or local address, which " + whose + " may not have (dns.local_targets)";
  if (!failures.empty()) failure.text = "its address could not be looked up: " + failures;
  return failure;
}

}  // namespace hoplock::http
