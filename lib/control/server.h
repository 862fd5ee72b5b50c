// SPDX-License-Identifier: Apache-2.0
// The daemon's end of the control socket: a Unix stream socket, mode 0660, for the operator's tool. Serves root, the daemon's
// own user and members of the socket's group, nobody else; answers each request of protocol.h from the queue or by one
// of the Calls. What it does to the queue it logs with who told it (`held`, `released`, `removed`, `retried`); what others do they log
// themselves, as delivery does what was bounced. It decides nothing about mail.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "control/protocol.h"
#include "net/clock.h"
#include "net/condition.h"
#include "queue/queue.h"
#include "reports/sender.h"
#include "route/sts.h"

namespace hoplock::control {

struct Calls {
  std::function<std::vector<queue::InLine>()> waiting;  // next hops that wait for a session
  std::function<void()> kick;                           // before and after retry and release: look for due work
  std::function<boost::asio::awaitable<Status>()>
      status;  // all of it but version, pid and the number of active recipients
  // Reads the configuration again: the complaint when it is refused.
  std::function<std::optional<std::string>()> reload;
  // The notices of `queue bounce` are delivery's.
  std::function<boost::asio::awaitable<Result<store::Affected>>(store::Selection, queue::Queue::Progress)> bounce;
  std::function<boost::asio::awaitable<route::PolicyEvent>(dns::Name)> refresh_policy;
  std::function<boost::asio::awaitable<Result<reports::Sender::SendNowResult>>(store::ReportSelection)> send_reports;
  std::function<boost::asio::awaitable<Result<partners::Done>>(std::vector<partners::Order>, std::string by)>
      change_partners;
  // For `compact`: gives some of the store's free pages back, and how many are left; the store's size in octets.
  std::function<boost::asio::awaitable<Result<std::uint64_t>>()> compact;
  std::function<std::uint64_t()> store_octets;
  net::Clock clock = net::now;
};

class Server {
 public:
  // REQUIRES: queue and log outlive it, and the loop's last run.
  Server(boost::asio::any_io_executor executor, queue::Queue& queue, Log& log, Calls calls);
  ~Server();  // also removes the socket
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and begins to serve. A socket that stands there already is replaced: REQUIRES: the caller holds the lock of data_dir.
  // The error names the path.
  Result<> open(const std::string& path);
  // Stops accepting, lets requests under way end until the deadline, removes the socket.
  boost::asio::awaitable<void> stop(net::SteadyTime deadline);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hoplock::control
