// SPDX-License-Identifier: Apache-2.0
// What the HTTP listener serves: /metrics and /healthz, made from the DaemonStatus, the Counters and the last Survey of the database.
// All other paths it passes on to `others`. Changes nothing itself.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>

#include "http/server.h"
#include "monitor/counters.h"
#include "monitor/daemon_status.h"
#include "monitor/health.h"
#include "monitor/survey.h"

namespace hoplock::monitor {

class Endpoints {
 public:
  using Ask = std::function<DaemonStatus()>;  // called on the loop, for each request
  // REQUIRES: surveyor and counters outlive it and the loop's last run.
  Endpoints(Surveyor& surveyor, const Counters& counters, Ask status, http::Server::Answer others)
      : surveyor_(surveyor), counters_(counters), status_(std::move(status)), others_(std::move(others)) {}

  boost::asio::awaitable<http::Reply> answer(http::Request request);
  // What /healthz would say.
  boost::asio::awaitable<std::vector<Problem>> health();

 private:
  boost::asio::awaitable<http::Reply> metrics();
  boost::asio::awaitable<http::Reply> healthz(http::Request::Accepts accepts);
  Surveyor& surveyor_;
  const Counters& counters_;
  Ask status_;
  http::Server::Answer others_;
};

}  // namespace hoplock::monitor
