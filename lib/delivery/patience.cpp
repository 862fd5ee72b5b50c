#include "delivery/patience.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace hoplock::delivery {

namespace {

constexpr Milliseconds most_for_policy{std::chrono::hours{1}};
constexpr double growth_for_greylisting = 1.2;

bool speaks_of_greylisting(std::string_view reply) {
  const std::string lower = to_lower(reply);
  constexpr std::array<std::string_view, 5> words{"greylist", "graylist", "grey list", "gray list", "grey-list"};
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

}  // namespace

FailureClass class_of(std::string_view reason, std::string_view reply) {
  if (reason == "smtp-reply" || reason.empty())
    return speaks_of_greylisting(reply) ? FailureClass::greylisting : FailureClass::reply;
  constexpr std::array<std::string_view, 4> transport{"connect-timeout", "connect-refused", "connection-lost",
                                                      "dns-failure"};
  return std::find(transport.begin(), transport.end(), reason) == transport.end() ? FailureClass::policy
                                                                                  : FailureClass::connection;
}

queue::Retry retry_for(FailureClass failure, const queue::Retry& configured) {
  queue::Retry retry = configured;
  if (failure == FailureClass::policy) retry.max = std::min(retry.max, std::max(retry.first, most_for_policy));
  if (failure == FailureClass::greylisting) retry.factor = std::min(retry.factor, growth_for_greylisting);
  return retry;
}

}  // namespace hoplock::delivery
