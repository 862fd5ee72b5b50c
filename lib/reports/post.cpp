// SPDX-License-Identifier: Apache-2.0
#include "reports/post.h"

#include <utility>

namespace hoplock::reports {

using boost::asio::awaitable;
using Kind = http::HttpsFailure::Kind;

namespace {

constexpr std::size_t most_answer = 4096;  // octets of an answer that nobody reads

Posted refused(std::string why) { return {Posted::What::refused, std::move(why), {}}; }

std::string texts(const std::vector<hop::Refusal>& defects) {
  std::string all;
  for (const auto& defect : defects) all += (all.empty() ? "" : "; ") + defect.text;
  return all;
}

}  // namespace

awaitable<Posted> HttpsPost::post(tlsrpt::HttpsDestination to, std::shared_ptr<const std::string> gzip) {
  const auto* host = std::get_if<dns::Name>(&to.host);
  if (host == nullptr) co_return refused("it names an address in place of a host, which no certificate can be held to");
  http::HttpsRequest request;
  request.host = *host;
  request.port = to.port;
  request.target = to.target;
  request.method = http::HttpsRequest::Method::post;
  request.content_type = "application/tlsrpt+gzip";
  request.body = *gzip;
  request.most_body = most_answer;
  // RPT-42: reports tell of broken certificates; one must not keep them from arriving
  request.verify = http::HttpsRequest::Verify::observe;
  const auto answer = co_await client_.ask(std::move(request));
  co_return judge(answer);
}

Posted judge(const http::HttpsAnswer& answer) {
  if (const auto* failure = std::get_if<http::HttpsFailure>(&answer)) {
    const bool silent = failure->kind == Kind::connect || failure->kind == Kind::timeout;
    return {silent ? Posted::What::silent : Posted::What::refused, failure->text, {}};
  }
  const auto& response = std::get<http::HttpsResponse>(answer);
  if (response.status >= 200 && response.status < 300) return {Posted::What::accepted, {}, texts(response.defects)};
  std::string why = response.peer.text() + ": it answers with status " + std::to_string(response.status);
  if (response.status >= 300 && response.status < 400) why += ", a redirect, which is not followed";
  return refused(std::move(why));
}

}  // namespace hoplock::reports
