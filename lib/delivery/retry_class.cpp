// SPDX-License-Identifier: Apache-2.0
#include "delivery/retry_class.h"

#include <algorithm>
#include <chrono>

#include "delivery/reply_words.h"

namespace hoplock::delivery {

namespace {

constexpr Milliseconds most_for_policy{std::chrono::hours{1}};
constexpr double growth_for_greylisting = 1.2;

}  // namespace

RetryClass retry_class_of(std::optional<hop::Reason> reason, std::string_view reply) {
  switch (reason ? hop::kind(*reason) : hop::Kind::reply) {
    case hop::Kind::policy:
    case hop::Kind::waived:
      return RetryClass::policy;
    case hop::Kind::lookup:
    case hop::Kind::transport:
      return RetryClass::connection;
    case hop::Kind::reply:
      break;
  }
  return speaks_of_greylisting(reply) ? RetryClass::greylisting : RetryClass::reply;
}

queue::Retry retry_for(RetryClass failure, const queue::Retry& configured) {
  queue::Retry retry = configured;
  if (failure == RetryClass::policy) retry.max = std::min(retry.max, std::max(retry.first, most_for_policy));
  if (failure == RetryClass::greylisting) retry.factor = std::min(retry.factor, growth_for_greylisting);
  return retry;
}

bool is_by_policy(const store::Backoff& hold) {
  return retry_class_of(hop::parse_reason(hold.reason), hold.reply) == RetryClass::policy;
}

store::Backoff held_with_site(const std::optional<store::Backoff>& own, const store::Backoff& site) {
  if (!own || !is_by_policy(*own)) return site;
  store::Backoff hold = *own;
  hold.until = std::max(own->until, site.until);
  return hold;
}

}  // namespace hoplock::delivery
