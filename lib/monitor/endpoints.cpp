// SPDX-License-Identifier: Apache-2.0
#include "monitor/endpoints.h"

#include <string>
#include <utility>

#include "monitor/health.h"
#include "monitor/metrics.h"

namespace hoplock::monitor {

namespace asio = boost::asio;

namespace {

// Prometheus gives up after 10 s, a probe of /healthz often after 1 or 2.
constexpr std::chrono::milliseconds survey_patience{3000};
constexpr std::chrono::milliseconds health_patience{500};

}  // namespace

asio::awaitable<http::Reply> Endpoints::metrics() {
  const auto survey = co_await surveyor_.look(survey_patience);
  const DaemonStatus status = status_();
  const auto fetches = counters_.fetches_last_hour(std::chrono::steady_clock::now());
  http::Reply reply;
  reply.type = Exposition::content_type;
  reply.body = to_metrics(counters_, status, survey.get(), problems(status, survey.get(), fetches));
  co_return reply;
}

asio::awaitable<std::vector<Problem>> Endpoints::health() {
  const auto survey = co_await surveyor_.look(health_patience);
  const auto fetches = counters_.fetches_last_hour(std::chrono::steady_clock::now());
  co_return problems(status_(), survey.get(), fetches);
}

asio::awaitable<http::Reply> Endpoints::healthz(http::Request::Accepts accepts) {
  const auto wrong = co_await health();
  http::Reply reply;
  reply.status = wrong.empty() ? 200 : 503;
  if (accepts == http::Request::Accepts::json) {
    reply.type = "application/json";
    reply.body = to_json(wrong);
  } else {
    reply.body = to_text(wrong);
  }
  co_return reply;
}

asio::awaitable<http::Reply> Endpoints::answer(http::Request request) {
  if (request.path == "/metrics") co_return co_await metrics();
  if (request.path == "/healthz") co_return co_await healthz(request.accepts);
  co_return co_await others_(std::move(request));
}

}  // namespace hoplock::monitor
