// SPDX-License-Identifier: Apache-2.0
// What the HTTP listener serves: /metrics, /healthz and the status page, made from the services' Facts, the Counters and the last
// Survey of the database. Changes nothing.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>

#include "control/counters.h"
#include "control/facts.h"
#include "control/health.h"
#include "control/http.h"
#include "control/survey.h"

namespace hoplock::control {

class Watch {
 public:
  using Ask = std::function<Facts()>;  // called on the loop, for each request
  // REQUIRES: surveyor and counters outlive it and the loop's last run.
  Watch(Surveyor& surveyor, const Counters& counters, Ask facts)
      : surveyor_(surveyor), counters_(counters), facts_(std::move(facts)) {}

  boost::asio::awaitable<HttpReply> answer(HttpRequest request);
  // What /healthz would say.
  boost::asio::awaitable<std::vector<Problem>> health();

 private:
  boost::asio::awaitable<HttpReply> metrics();
  boost::asio::awaitable<HttpReply> healthz(HttpRequest::Accepts accepts);
  boost::asio::awaitable<HttpReply> page();
  Surveyor& surveyor_;
  const Counters& counters_;
  Ask facts_;
};

}  // namespace hoplock::control
