// SPDX-License-Identifier: Apache-2.0
// Destinations that are held off for what DNS or MTA-STS says of them, looked at again while they wait: once the MX set, a TLSA set or
// the policy's id is another one than when they were given up, they come due at once and need not sit out their hold. A partner who has
// mended his records gets his mail in minutes. Bounded: so many destinations, a few at a time, each as often as a first retry. Decides
// nothing about mail: what comes due meets the same rules as ever.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "delivery/services.h"
#include "net/condition.h"
#include "net/task_group.h"

namespace hoplock::delivery {

// Whether a hold with this reason may be over before its time because records changed.
bool may_change_by_dns(std::optional<hop::Reason> reason);
// What a delivery there would go by, as one text: two texts differ when a set, a record or the policy's id does, and not when only their
// order or their time to live does.
boost::asio::awaitable<std::string> records_of(route::Router& router, dns::Name domain);

class RecordWatch {
 public:
  // REQUIRES: the services outlive it. `changed` is called when something came due.
  RecordWatch(const Services& services, std::function<void()> changed)
      : router_(services.router),
        queue_(services.queue),
        log_(services.log),
        clock_(services.clock),
        changed_(std::move(changed)) {}

  // Not sooner again than this.
  void every(std::chrono::milliseconds interval);
  // That destination, where `domain` is delivered, was given up just now.
  void add(const std::string& destination, const dns::Name& domain);
  // It works again.
  void remove(const std::string& destination) { watched_.erase(destination); }
  std::size_t count() const { return watched_.size(); }
  // Checks until end().
  boost::asio::awaitable<void> run();
  void end();

 private:
  struct Watched {
    dns::Name domain;
    std::optional<std::string> records;  // nothing: not looked at yet
    net::SteadyTime next;
  };
  boost::asio::awaitable<void> check(std::string destination);
  static boost::asio::awaitable<void> check_one(RecordWatch& self, std::string destination);
  boost::asio::awaitable<bool> is_over(std::string destination);
  route::Router& router_;
  queue::Queue& queue_;
  Log& log_;
  net::Clock clock_;
  std::function<void()> changed_;
  std::chrono::milliseconds interval_{std::chrono::minutes{5}};
  std::map<std::string, Watched> watched_;
  bool ended_ = false;
  std::size_t checking_ = 0;
  net::Condition news_;
};

}  // namespace hoplock::delivery
