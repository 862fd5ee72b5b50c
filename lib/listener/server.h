// SPDX-License-Identifier: Apache-2.0
// Accepts connections and gives each a ServerSession. Owns the sockets, who gets a place (places.h), and the way to an orderly end. What
// may be said in a session is smtp::Session's; where messages go is queue::Queue's.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "listener/bounces.h"
#include "listener/options.h"
#include "listener/places.h"
#include "net/clock.h"
#include "net/condition.h"
#include "queue/queue.h"

namespace hoplock::listener {

struct Counts {
  std::uint64_t connections = 0;  // since the start
  std::size_t open = 0;
  std::uint64_t accepted = 0;  // messages
  std::uint64_t rejected = 0;  // replies of 4xx and 5xx that ended a command
};

// Which address of `Options` could not be served, and why.
struct ListenError {
  std::size_t index = 0;
  enum class What : std::uint8_t { address, certificate, users_file, client_ca } what = What::address;
  Error error;
};

class Server {
 public:
  // REQUIRES: queue and log outlive it, and the loop's last run.
  Server(boost::asio::any_io_executor executor, queue::Queue& queue, Log& log, net::Clock clock = net::now);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before anything is served; without it nobody hears of bounces but the log.
  void pass_bounces_to(BounceSink sink);

  // Options with everything done that can fail: certificates and files read, sockets bound. Nothing is served by it yet, and nothing
  // is changed when it is dropped. An address that is in use or not there yet is no error: it is tried again for as long as it is
  // among the options, with a log line when it begins (`listener-failed`) and ends (`listener-works`), while the others serve.
  struct Plan;
  std::variant<std::shared_ptr<Plan>, ListenError> prepare(Options options);
  // Cannot fail. Addresses that stay keep their sockets, sessions that run keep what they began with, new ones get the new options.
  // REQUIRES: no other plan was served since this one was made.
  void serve(std::shared_ptr<Plan> plan);
  // Both.
  std::optional<ListenError> open(Options options);
  // Stops accepting, says 421 4.3.2 to whoever is between commands, waits for messages under way until `deadline`, then cuts. When
  // it returns, no session is left.
  boost::asio::awaitable<void> stop(net::SteadyTime deadline);

  // As bound: a port 0 of the options has become a real one.
  std::vector<net::Endpoint> bound() const;
  // Why the other addresses are not; each names its address.
  std::vector<std::string> missing() const;
  const Counts& counts() const;
  Places::Counts places() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hoplock::listener
