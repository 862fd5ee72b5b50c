// SPDX-License-Identifier: Apache-2.0
// For its own sources: this node among the others. It registers as an incarnation, beats, watches the others' beats and takes over from who
// stands still, and looks at what a commit is worth there. All of it on a connection of its own, so that no batch keeps a beat from going
// out; a take-over, which may free much, on another.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/condition.h"
#include "net/task_group.h"
#include "postgres/connection.h"
#include "postgres/database.h"

namespace hoplock::postgres {

inline constexpr double safe_share = 0.8;  // of the TTL, in which ours is believed alive

class Member {
 public:
  // REQUIRES: what is referred to outlives it.
  Member(Connecting& shared, net::TaskGroup& tasks, Counters& counters, NodeOptions options,
         std::vector<Migration> migrations);

  void on_news(std::function<void(const NodeNews&)> call) { news_ = std::move(call); }
  // Connects, migrates and registers until that is done; an Error is for good.
  asio::awaitable<Result<>> enlist();
  // Beats, and enlists again when it was fenced. Until it is cancelled or has left.
  asio::awaitable<void> beat();
  // The row of this node says that it left, and what it owned is free. Error: not told to the database; others find out after the TTL.
  asio::awaitable<Result<>> leave(net::SteadyTime deadline);
  // A stream found this node's writer gone.
  void fence(std::int64_t incarnation, std::string why);

  OwnLease lease() const { return lease_; }
  Result<> health() const;  // reachable, and a standby there where one is required
  std::vector<NodeInfo> nodes() const;
  const Replication& replication() const { return replication_; }
  Milliseconds clock_offset() const { return clock_offset_; }
  const Meta& meta() const { return meta_; }

 private:
  struct Seen {
    NodeInfo info;
    BootTime since{};  // its beat has stood there
    bool taking = false;
  };
  // Of a dead one.
  struct Dead {
    std::int64_t incarnation = 0;
    std::int64_t beat = 0;
    std::string name;
    Milliseconds quiet{0};
  };

  asio::awaitable<Result<>> connected();
  asio::awaitable<Result<OwnLease>> enlist_once();
  asio::awaitable<Result<>> replace_namesake();
  asio::awaitable<Result<OwnLease>> insert();
  asio::awaitable<Result<>> beat_once();
  void look_at(const Rows& rows, BootTime now);
  void look_at_replication(const Rows& rows);
  asio::awaitable<void> take_over(Dead dead);
  asio::awaitable<Result<>> write(Connection& connection, std::shared_ptr<const Batch> batch, net::SteadyTime deadline);
  std::shared_ptr<const Batch> burial(std::int64_t incarnation, std::optional<std::int64_t> beat,
                                      NodeState state) const;
  void tell(const NodeNews& news) const;
  void note(const Result<>& outcome);

  Connecting& shared_;
  net::TaskGroup& tasks_;
  Counters& counters_;
  NodeOptions options_;
  std::vector<Migration> migrations_;
  std::function<void(const NodeNews&)> news_;
  std::unique_ptr<Connection> connection_;
  OwnLease lease_;
  BootTime last_good_{};
  BootTime looked_{};
  std::map<std::int64_t, Seen> seen_;
  std::vector<NodeInfo> gone_;  // dead or left, for people
  std::optional<Error> failure_;
  bool failing_told_ = false;
  Replication replication_;
  Milliseconds clock_offset_{0};
  Meta meta_;
  net::Condition changed_;
  bool leaving_ = false;
};

}  // namespace hoplock::postgres
