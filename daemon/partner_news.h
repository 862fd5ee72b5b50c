// SPDX-License-Identifier: Apache-2.0
// What was agreed on with partners has changed: what waits for their sake because of a rule is tried on the new terms at once.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "net/clock.h"
#include "partners/book.h"
#include "queue/queue.h"
#include "route/router.h"

namespace hoplock::daemon {

class PartnerNews {
 public:
  // REQUIRES: the services outlive it. `kick` is called when something came due.
  PartnerNews(queue::Queue& queue, route::Router& router, Log& log, std::function<void()> kick,
              net::Clock clock = net::now);

  // Tries what waits for these domains and is over with it then. 100,000 of them, and a million that wait, are gone through a few at a time.
  static boost::asio::awaitable<void> follow(PartnerNews& self, std::vector<dns::Pattern> changed);

 private:
  struct Wanted {
    partners::Patterns patterns;
    std::set<std::string> routes;  // destinations with hosts of a route that exact ones go to
    bool below = false;            // there are others than exact ones among them
    bool has(const std::string& destination) const;
  };
  boost::asio::awaitable<Wanted> wanted(std::vector<dns::Pattern> changed);
  boost::asio::awaitable<bool> wake(std::string destination);
  boost::asio::awaitable<bool> wake_waiting(Wanted wanted);
  queue::Queue& queue_;
  route::Router& router_;
  Log& log_;
  std::function<void()> kick_;
  net::Clock clock_;
  std::vector<std::string> reasons_;  // to wait, which a change may be the end of
};

}  // namespace hoplock::daemon
