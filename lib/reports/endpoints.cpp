// SPDX-License-Identifier: Apache-2.0
#include "reports/endpoints.h"

#include <algorithm>
#include <chrono>

#include "queue/schedule.h"

namespace hoplock::reports {

namespace {
constexpr queue::Retry holds{std::chrono::minutes{5}, 2, std::chrono::hours{1}, 0};
constexpr std::size_t most_hosts = 10'000;  // before those that nothing is known against are forgotten
}  // namespace

boost::asio::awaitable<std::optional<Time>> Endpoints::enter(std::string host, Time now) {
  for (;;) {
    Host& at = hosts_[host];  // looked up anew after each wait
    if (at.until > now && at.until <= now + holds.max) co_return at.until;
    if (at.inside < most_inside) {
      ++at.inside;
      co_return std::nullopt;
    }
    co_await at.left.wait();
  }
}

void Endpoints::leave(const std::string& host, Heard heard, Time now) {
  Host& at = hosts_[host];
  --at.inside;
  if (heard == Heard::nothing) {
    ++at.silences;
    at.until = now + queue::delay_after(holds, at.silences, 0).wait;
  } else {
    at.silences = 0;
    at.until = Time{};
  }
  at.left.notify_all();
  tidy(now);
}

void Endpoints::tidy(Time now) {
  if (hosts_.size() < most_hosts) return;
  std::erase_if(hosts_, [now](const auto& one) {
    const Host& host = one.second;
    return host.inside == 0 && !host.left.has_waiters() && host.until <= now;
  });
}

}  // namespace hoplock::reports
