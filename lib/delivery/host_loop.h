// SPDX-License-Identifier: Apache-2.0
// The hosts of a destination, one after the other, for mail that leaves from one source: the facts of each, what hop::decide plans for it,
// and its addresses, until it has had its say or the attempt has done enough. For this module's own sources.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>

#include "delivery/attempt_limits.h"
#include "delivery/host_order.h"
#include "delivery/host_sessions.h"
#include "delivery/progress.h"
#include "delivery/route_check.h"
#include "delivery/tlsrpt_sessions.h"
#include "delivery/transactions.h"

namespace hoplock::delivery {

class HostLoop {
 public:
  // REQUIRES: all outlive it.
  HostLoop(Progress& progress, RouteCheck& route_check, Transactions& transactions, SessionRecorder& recorder);

  // For those that are open, from progress.source. As an attempt of its own: what others used up does not count, and where there is only no
  // place now, its mail goes back.
  boost::asio::awaitable<void> try_source();
  // A host has no address that `sources` lets this mail leave for.
  bool is_out_of_reach() const { return out_of_reach_; }
  // The attempt ended: what the next one goes on behind.
  void remember() { order_.remember(); }

 private:
  boost::asio::awaitable<void> try_hosts();
  boost::asio::awaitable<void> try_next_hosts();
  boost::asio::awaitable<void> try_host(route::Host host);
  boost::asio::awaitable<void> try_addresses(route::Host host, hop::Connect plan, tlsrpt::Question question);
  boost::asio::awaitable<hop::HostFacts> facts_of(route::Host host, hop::LocalRule rule);
  boost::asio::awaitable<hop::HostFacts> look_up(route::Host host);
  hop::HostFacts reachable(hop::HostFacts host);
  void refuse(const route::Host& host, const hop::Refuse& refuse);
  void count_out_closed(std::size_t before);

  Progress& progress_;
  Common& common_;
  RouteCheck& route_check_;
  Transactions& transactions_;
  SessionRecorder& recorder_;
  HostOrder order_;
  AttemptLimits limits_;
  HostSessions sessions_;
  bool out_of_reach_ = false;
};

}  // namespace hoplock::delivery
