// SPDX-License-Identifier: Apache-2.0
#include "control/watch.h"

#include <string>
#include <utility>

#include "control/health.h"
#include "control/metrics.h"
#include "control/page.h"

namespace hoplock::control {

namespace asio = boost::asio;

namespace {

// Prometheus gives up after 10 s, a probe of /healthz often after 1 or 2.
constexpr std::chrono::milliseconds survey_patience{3000};
constexpr std::chrono::milliseconds health_patience{500};

}  // namespace

asio::awaitable<HttpReply> Watch::metrics() {
  const auto survey = co_await surveyor_.look(survey_patience);
  const Facts facts = facts_();
  const auto fetches = counters_.fetches_last_hour(std::chrono::steady_clock::now());
  HttpReply reply;
  reply.type = Exposition::content_type;
  reply.body = to_metrics(counters_, facts, survey.get(), problems(facts, survey.get(), fetches));
  co_return reply;
}

asio::awaitable<std::vector<Problem>> Watch::health() {
  const auto survey = co_await surveyor_.look(health_patience);
  const auto fetches = counters_.fetches_last_hour(std::chrono::steady_clock::now());
  co_return problems(facts_(), survey.get(), fetches);
}

asio::awaitable<HttpReply> Watch::healthz(HttpRequest::Accepts accepts) {
  const auto wrong = co_await health();
  HttpReply reply;
  reply.status = wrong.empty() ? 200 : 503;
  if (accepts == HttpRequest::Accepts::json) {
    reply.type = "application/json";
    reply.body = to_json(wrong);
  } else {
    reply.body = to_text(wrong);
  }
  co_return reply;
}

asio::awaitable<HttpReply> Watch::page() {
  const auto survey = co_await surveyor_.look(survey_patience);
  const Facts facts = facts_();
  const auto now = std::chrono::steady_clock::now();
  const auto fetches = counters_.fetches_last_hour(now);
  const auto wrong = problems(facts, survey.get(), fetches);
  const auto last_hour = counters_.last_hour(now);
  HttpReply reply;
  reply.type = "text/html; charset=utf-8";
  reply.body = to_html({facts, survey.get(), wrong, last_hour, fetches});
  co_return reply;
}

asio::awaitable<HttpReply> Watch::answer(HttpRequest request) {
  if (request.path == "/metrics") co_return co_await metrics();
  if (request.path == "/healthz") co_return co_await healthz(request.accepts);
  if (request.path == "/") co_return co_await page();
  HttpReply reply;
  reply.status = 404;
  reply.body = "404 Not Found: there are /, /metrics and /healthz\n";
  co_return reply;
}

}  // namespace hoplock::control
