// SPDX-License-Identifier: Apache-2.0
// What all parts of delivery work with.
#pragma once
#include <boost/asio/any_io_executor.hpp>

#include "base/log.h"
#include "net/clock.h"
#include "queue/queue.h"
#include "route/router.h"

namespace hoplock::delivery {

namespace asio = boost::asio;

struct Services {
  boost::asio::any_io_executor executor;
  queue::Queue& queue;
  route::Router& router;
  Log& log;
  net::Clock clock = net::now;
};

}  // namespace hoplock::delivery
