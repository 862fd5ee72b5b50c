// SPDX-License-Identifier: Apache-2.0
// Log lines about clients that get no place, or lose theirs, and the share that strangers' sessions have. They cannot fill the log: what
// is beyond its share of a minute is told as a number, `rejections`, when the minute is over.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>

#include "base/ip.h"
#include "base/log.h"
#include "listener/server.h"
#include "net/task_group.h"
#include "smtp/reply.h"

namespace hoplock::listener {

class Refusals {
 public:
  static constexpr unsigned most_lines = 60;          // in a minute
  static constexpr unsigned most_of_sessions = 1200;  // likewise, about commands of those who may not relay
  static constexpr unsigned most_of_network = 120;    // of these

  // REQUIRES: log and counts outlive it, and the loop's last run.
  Refusals(boost::asio::any_io_executor executor, Log& log, Counts& counts)
      : log_(log), counts_(counts), tasks_(std::move(executor), log) {}
  Refusals(const Refusals&) = delete;
  Refusals& operator=(const Refusals&) = delete;

  void tell(const Ip& client, const smtp::Reply& reply);
  // Whether a line about a stranger's command has room; it is counted.
  bool may_tell(const Ip& network);
  // What had none.
  void leave_out(std::int64_t count);
  void stop() { tasks_.stop(); }
  boost::asio::awaitable<void> joined();

 private:
  struct Minute {
    bool runs = false;
    unsigned lines = 0;
    unsigned of_sessions = 0;
    std::map<Ip, unsigned> of_networks;
    std::int64_t left_out = 0;
  };
  Minute& minute();
  static boost::asio::awaitable<void> close(std::shared_ptr<Minute> minute, Log& log);

  Log& log_;
  Counts& counts_;
  std::shared_ptr<Minute> minute_ = std::make_shared<Minute>();
  net::TaskGroup tasks_;
};

}  // namespace hoplock::listener
