// SPDX-License-Identifier: Apache-2.0
#include "daemon/partner_news.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string_view>
#include <utility>

#include "hop/names.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::size_t looked_for_at_once = 512;  // on the loop

}  // namespace

PartnerNews::PartnerNews(queue::Queue& queue, route::Router& router, Log& log, std::function<void()> kick,
                         net::Clock clock)
    : queue_(queue), router_(router), log_(log), kick_(std::move(kick)), clock_(std::move(clock)) {
  for (const hop::Reason reason : hop::all_reasons()) {
    if (hop::is_policy(reason)) reasons_.emplace_back(to_text(reason));
  }
}

bool PartnerNews::Wanted::has(const std::string& destination) const {
  if (route::has_hosts(destination)) return below || routes.contains(destination);
  const auto name = dns::Name::parse(destination);
  return name && partners::is_among(patterns, *name);
}

asio::awaitable<PartnerNews::Wanted> PartnerNews::wanted(std::vector<dns::Pattern> changed) {
  const auto executor = co_await asio::this_coro::executor;
  Wanted to;
  std::size_t n = 0;
  for (const dns::Pattern& one : changed) {
    if (one.kind == dns::Pattern::Kind::exact) {
      std::string destination = router_.table().destination(one.name, clock_());
      if (route::has_hosts(destination)) to.routes.insert(std::move(destination));
    } else {
      to.below = true;
    }
    to.patterns.insert(one);
    if (++n % looked_for_at_once == 0) co_await asio::post(executor, asio::use_awaitable);
  }
  co_return to;
}

asio::awaitable<bool> PartnerNews::wake(std::string destination) {
  store::Wake wake;
  wake.reasons = reasons_;
  wake.now = clock_();
  const auto woken = co_await queue_.wake(std::move(destination), std::move(wake));
  if (!woken) log_.write(Event(Level::error, "queue-failed").add("error", woken.error().detail));
  co_return woken.has_value();
}

// Whoever is held off for another reason, such as a host that does not answer, stays so.
asio::awaitable<bool> PartnerNews::wake_waiting(Wanted wanted) {
  std::string after;
  for (;;) {
    std::string from = after;
    const auto some = co_await queue_.waiting(std::move(from), clock_());
    if (!some) {
      log_.write(Event(Level::error, "queue-failed").add("error", some.error().detail));
      co_return false;
    }
    if (some->empty()) co_return true;
    for (const store::Waiting& one : *some) {
      after = one.destination;
      const bool by_rule = !one.held || std::find(reasons_.begin(), reasons_.end(), one.reason) != reasons_.end();
      if (!by_rule || !wanted.has(one.destination)) continue;
      std::string destination = one.destination;
      if (!co_await wake(std::move(destination))) co_return false;
    }
  }
}

asio::awaitable<void> PartnerNews::follow(PartnerNews& self, std::vector<dns::Pattern> changed) {
  Wanted which = co_await self.wanted(std::move(changed));
  if (which.below || !which.routes.empty()) {  // its mandate is part of a destination with hosts
    const auto rerouted = co_await self.queue_.reroute(self.clock_());
    if (!rerouted) self.log_.write(Event(Level::error, "queue-failed").add("error", rerouted.error().detail));
  }
  co_await self.wake_waiting(std::move(which));
  self.kick_();
}

}  // namespace hoplock::daemon
