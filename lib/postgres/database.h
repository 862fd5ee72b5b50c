// SPDX-License-Identifier: Apache-2.0
// The database that several nodes share, as its users see it: reads, and jobs that are written under the fence of this node's incarnation.
// Owns the connections (one for the beats, one for each stream, one that reads, one that listens) and the tables `node`, `writer` and
// `hoplock_meta`; knows no other table and no mail.
//
//   Job job;
//   job.statements.push_back(statement("INSERT … SELECT … FROM unnest($1, $2)", ids, octets));
//   auto written = co_await database.write(StreamKind::intake, std::move(job), deadline);
//
// Jobs of a stream are done in their order; all that wait become one transaction in one round trip (group commit). What is answered good is
// in the database, as durable as it asked for. A job whose outcome is unknown is sent again under its number until it is known: nothing is
// done twice, and no number is used for anything else. Of one loop; BlockingConnection is for other threads.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/log.h"
#include "base/result.h"
#include "net/condition.h"
#include "postgres/batch.h"
#include "postgres/errors.h"
#include "postgres/migrations.h"
#include "postgres/node.h"
#include "postgres/options.h"

namespace hoplock::postgres {

// Each has its own order, its own connection and its own numbers.
enum class StreamKind : std::uint8_t { intake, settle, claims, rest };
inline constexpr std::size_t streams = 4;

struct Counters {
  std::uint64_t round_trips = 0;
  std::uint64_t statements = 0;
  std::uint64_t batches = 0;    // that were applied
  std::uint64_t jobs = 0;       // in them
  std::uint64_t unknown = 0;    // outcomes of batches that were not known at once
  std::uint64_t replayed = 0;   // of these, applied by the try whose answer was lost
  std::uint64_t takeovers = 0;  // of other nodes by this one
};

class Database {
 public:
  // Nothing is done before start(). REQUIRES: loop and log outlive it; migrations begin with node_tables().
  Database(asio::any_io_executor loop, Log& log, Options options, NodeOptions node, std::vector<Migration> migrations);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Migrates and registers, as long as that takes while no server is there (health() says so meanwhile, write() and run() fail at once).
  // Then beats until stop(), and registers anew when it was fenced. Errors are for good: permission_denied, invalid_argument (exit 78),
  // not_supported (74), address_in_use: a node of that name is alive (69), state_not_recoverable (74).
  asio::awaitable<Result<OwnLease>> start();
  // What waits is done as far as it can be until then, all leases are freed (free_leases), the node leaves; others take up its mail at once.
  asio::awaitable<void> stop(net::SteadyTime deadline);

  // Reads only, in one round trip; what is committed when it runs. Tried again on another connection until Options::patience is over.
  // Errors: is_unavailable(), or the statement's.
  asio::awaitable<Result<Answer>> run(Batch batch);
  asio::awaitable<Result<Rows>> run(Statement statement);
  // Errors: is_unavailable(): nothing was written. owner_dead: fenced; it may have been written before that, and never will be from now on.
  // timed_out: the deadline passed; what was not sent never will be, and what is committed all the same is made undone (Job::undo).
  // The statement's own (sqlstate()): nothing was written. Is not cancelled.
  asio::awaitable<Result<Written>> write(StreamKind stream, Job job, net::SteadyTime deadline);
  asio::awaitable<Result<Written>> write(StreamKind stream, Job job) {
    return write(stream, std::move(job), net::SteadyTime::max());
  }
  // Without waiting; tried again while the database is unavailable, dropped when this node is fenced.
  void post(StreamKind stream, Job job);
  // Tells the other nodes, outside of any transaction that writes; at most ten a second, what is too much is dropped (they poll, too).
  void notify(std::string payload);

  // Whether mail may be taken: device_or_resource_busy (unreachable, no batch was good for 5 s), read_only_file_system,
  // no_space_on_device, owner_dead (not registered or the lease ran out), and under `require` io_error: no synchronous standby.
  Result<> writable() const;
  // For people: why not, of the database as a whole.
  Result<> health() const;
  OwnLease lease() const;
  std::vector<NodeInfo> nodes() const;  // as last seen
  Replication replication() const;
  // The database's clock less ours, as last measured.
  Milliseconds clock_offset() const;
  const Meta& meta() const;
  Counters counters() const;
  Histogram commits() const;  // seconds of durable batches

  // Called on the loop. Set them before start().
  void on_news(std::function<void(const NodeNews&)> call);
  void on_notify(std::function<void(std::string_view payload)> call);

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace hoplock::postgres
