// SPDX-License-Identifier: Apache-2.0
// What the operator's HTTP listener shows of this daemon: asks the services for their status, keeps which bodies proved damaged, and
// owns the listener, the survey of the database and what is made of them (monitor/endpoints.h).
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <vector>

#include "config/config.h"
#include "control/protocol.h"
#include "daemon/certificates.h"
#include "daemon/dns_watch.h"
#include "daemon/log_writer.h"
#include "daemon/stores.h"
#include "delivery/scheduler.h"
#include "listener/logins.h"
#include "listener/passwords.h"
#include "listener/proven.h"
#include "listener/server.h"
#include "monitor/counting_log.h"
#include "monitor/endpoints.h"
#include "monitor/recorder.h"
#include "page/pages.h"
#include "queue/queue.h"
#include "resolver/unbound.h"
#include "route/router.h"

namespace hoplock::daemon {

class StatusServer {
 public:
  struct Parts {
    boost::asio::any_io_executor executor;
    monitor::CountingLog& log;
    const LogWriter& writer;  // behind it
    Stores& stores;
    queue::Queue& queue;
    resolver::Unbound& resolver;
    const route::Router& router;
    const DnsWatch& dns;
    const CertificateWatch& certificates;
    delivery::Scheduler& scheduler;
    listener::Server& listener;
  };
  // REQUIRES: the parts outlive it and the loop's last run.
  explicit StatusServer(Parts parts);
  StatusServer(const StatusServer&) = delete;
  StatusServer& operator=(const StatusServer&) = delete;

  // At the start and at a reload: everything done that can fail, files read and the socket bound; nothing changes by it. `key` is the
  // configuration's that the error is about.
  struct Failure {
    std::string key;
    Error error;
  };
  struct Plan {
    http::Server::Plan http;
    std::string hostname;
    std::uint64_t min_free_space = 0;
    bool uses_mx = true;
    bool accepts = true;
  };
  std::variant<Plan, Failure> prepare(const config::Config& config);
  // From now on. REQUIRES: no other plan was served since this one was made.
  void serve(Plan plan);
  boost::asio::awaitable<std::vector<monitor::Problem>> health() { return endpoints_.health(); }
  Time started() const { return started_; }
  std::vector<control::Status::Failure> failures() const;  // of the last day, most first
  // For ever: the figures of each minute, into the store. Once the deliveries have ended, what is left of them.
  boost::asio::awaitable<void> record() { return recorder_.run(); }
  void end_recording() { recorder_.end(); }
  boost::asio::awaitable<void> stop(net::SteadyTime deadline) { return server_.stop(deadline); }

 private:
  // Who may look; null: everybody who can connect.
  std::function<boost::asio::awaitable<bool>(http::Requester)> admission(const config::Http& http,
                                                                         std::shared_ptr<const listener::Users> users);
  monitor::DaemonStatus status() const;
  page::Pages::Parts page_parts();
  monitor::DaemonStatus::Places places() const;
  void damaged(store::Id id);

  Parts parts_;
  Time started_;
  std::string hostname_;
  std::uint64_t min_free_space_ = 0;
  bool uses_mx_ = true;
  bool accepts_ = true;
  std::vector<monitor::DaemonStatus::Damage> damaged_;
  listener::Logins logins_;
  listener::Passwords passwords_;
  listener::ProvenLogins proven_;
  monitor::Surveyor surveyor_;
  monitor::Recorder recorder_;
  page::Lookups lookups_;
  page::Pages pages_;
  monitor::Endpoints endpoints_;
  http::Server server_;
};

}  // namespace hoplock::daemon
