// SPDX-License-Identifier: Apache-2.0
// For its own sources: one connection, driven from the loop: segments of statements in one round trip, and notifications. It retries nothing. One coroutine at
// a time uses it; once it is lost it stays so.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/condition.h"
#include "postgres/batch.h"
#include "postgres/blocking.h"
#include "postgres/link.h"
#include "postgres/timeline.h"

namespace hoplock::postgres {

namespace asio = boost::asio;
// Held until they are answered, and sent again as they are.
using Batches = std::vector<std::shared_ptr<const Batch>>;

// What all connections of a Database have in common. REQUIRES: outlives them.
struct Connecting {
  explicit Connecting(Options with) : options(std::move(with)), timeline(options.timeline_file) {}
  const Options options;
  Target target;
  Timeline timeline;
  std::uint64_t round_trips = 0;
  std::uint64_t statements = 0;
};

class Connection {
 public:
  // To the first of the hosts that is a primary on a timeline that we follow. `application`: what the server lists it as.
  // Errors: as BlockingConnection::open; of several hosts the detail says each one's.
  static asio::awaitable<Result<std::unique_ptr<Connection>>> open(Connecting& shared, Use use,
                                                                   std::string application);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Each batch up to a Sync of its own, all in one round trip. At the deadline the connection is lost.
  asio::awaitable<std::vector<Segment>> exchange(Batches batches, Filling filling, net::SteadyTime deadline);
  // One batch; error device_or_resource_busy: the connection was lost, and what was written is unknown.
  asio::awaitable<Result<Answer>> run(Batch batch, net::SteadyTime deadline);
  // Until a notification is there, the connection is lost, nudge() or the deadline.
  asio::awaitable<std::vector<std::string>> listen(net::SteadyTime deadline);
  void nudge();

  bool is_open() const { return !link_.lost(); }
  std::string why() const { return link_.why(); }
  // A warning of the server with the last exchange.
  const std::string& warning() const { return warning_; }

 private:
  class Watch;
  Connection(Connecting& shared, Link link, std::shared_ptr<Watch> watch);
  static asio::awaitable<Result<std::unique_ptr<Connection>>> open_host(Connecting& shared, Host host, Use use,
                                                                        std::string application);
  static asio::awaitable<std::vector<Host>> addresses_of(Host host, net::SteadyTime deadline);
  asio::awaitable<void> drive(net::SteadyTime deadline);
  asio::awaitable<Result<>> check_timeline(Use use, net::SteadyTime deadline);

  Connecting& shared_;
  std::shared_ptr<Watch> watch_;
  Link link_;
  std::string warning_;
};

}  // namespace hoplock::postgres
