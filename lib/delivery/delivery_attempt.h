// SPDX-License-Identifier: Apache-2.0
// One attempt from its look-up to its end: where the mail goes, from which of our addresses it leaves, the hosts, what is tried once more
// because something changed on the way, and what the attempt comes to. For this module's own sources.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "delivery/host_loop.h"
#include "delivery/progress.h"
#include "delivery/route_check.h"
#include "delivery/tlsrpt_sessions.h"
#include "delivery/transactions.h"

namespace hoplock::delivery {

class DeliveryAttempt {
 public:
  // As AttemptRunner::attempt. REQUIRES: `common` outlives it.
  DeliveryAttempt(Common& common, std::shared_ptr<const store::Job> job, std::optional<OpenSession>& session,
                  Access* access);
  // Cut off by the daemon's end, or by a bug: what was seen is not lost.
  ~DeliveryAttempt();
  DeliveryAttempt(const DeliveryAttempt&) = delete;
  DeliveryAttempt& operator=(const DeliveryAttempt&) = delete;

  // Once.
  boost::asio::awaitable<Attempt> go();

 private:
  boost::asio::awaitable<void> carry();
  void take_hosts(route::Hosts found);
  boost::asio::awaitable<route::Found> find();
  boost::asio::awaitable<route::Found> look_up();
  std::string from_where() const;
  boost::asio::awaitable<void> try_sources();
  boost::asio::awaitable<bool> has_new_policy();
  boost::asio::awaitable<bool> is_to_go_redacted();
  bool is_partly_over() const;
  void end_here(const std::exception& why);
  void leave_undecided_out();
  Attempt ended();
  ReportInterests* interests();
  const dns::Name& domain() const { return progress_.job->recipients.front().domain; }

  Common& common_;
  Progress progress_;
  RouteCheck route_check_;
  SessionRecorder recorder_;
  Transactions transactions_;
  HostLoop hosts_;
  bool told_ = false;
};

}  // namespace hoplock::delivery
