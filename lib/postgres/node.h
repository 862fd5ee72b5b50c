// SPDX-License-Identifier: Apache-2.0
// Nodes as values. A process that uses the database is an incarnation: a number that grows and is never used again, with a name, one of 16
// slots (which its ids carry), and a beat that it moves every two seconds. Others watch the beat, not a clock: who stands still for the TTL
// is dead, its writers are deleted, and only then what it owned is freed. An incarnation whose row says dead writes nothing any more.
//
// How long ours is believed alive is measured by CLOCK_BOOTTIME, which goes on while a machine is suspended.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"
#include "net/clock.h"
#include "postgres/batch.h"

namespace hoplock::postgres {

// CLOCK_BOOTTIME.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;
};
using BootTime = BootClock::time_point;

struct NodeOptions {
  std::string name;     // of this node; unique among those alive
  std::string version;  // of the program, for people
  std::string routes;   // hash of the routing keys: nodes that differ are told of
  std::string sources;  // its source addresses, for people
  net::Clock clock;     // ours, which is held against the database's; none: it is not
  Milliseconds ttl{15'000};
  Milliseconds beat{2'000};
  Milliseconds watch{3'000};  // of a name that is alive, before it is taken over
  // One statement each, with $1 (bigint) an incarnation that is dead: what frees all that it owned. Run in the transaction of a take-over
  // behind the deletion of its writers, in this order; also of a leave.
  std::vector<std::string> free_leases;
};

// Until when new work may be begun and a final dot sent, under which number.
struct OwnLease {
  std::int64_t incarnation = 0;  // 0: not registered
  int slot = -1;
  BootTime valid_until{};
  bool valid() const { return incarnation != 0 && BootClock::now() < valid_until; }
  bool operator==(const OwnLease&) const = default;
};

enum class NodeState : std::uint8_t { alive, dead, left };
std::string_view to_text(NodeState state);

struct NodeInfo {
  std::int64_t incarnation = 0;
  std::string name;
  int slot = 0;
  std::string version;
  Time started{};
  std::int64_t beat = 0;
  NodeState state = NodeState::alive;
  std::string routes;
  std::string sources;
  Milliseconds quiet{0};  // since its beat was seen to move, by us; of our own since the last good one
  bool self = false;
};
// Those alive and those of the last while, alive ones first. For the tool: `quiet` is not known to it.
Statement select_nodes();
std::vector<NodeInfo> nodes_of(const Rows& rows);

struct Replication {
  bool known = false;           // the server was asked, and the role may see it (pg_read_all_stats)
  bool synchronous = false;     // a synchronous standby streams
  std::string names;            // synchronous_standby_names
  std::uint64_t lag_bytes = 0;  // of the synchronous standby that is furthest
};

// What befell this node or was done by it, for the log and for the store above.
struct Joined {
  OwnLease lease;
};
struct Left {};
struct Fenced {
  std::int64_t incarnation = 0;
  std::string why;
};
struct TakenOver {
  std::int64_t incarnation = 0;
  std::string name;
  Milliseconds quiet{0};
};
// A fail-over lost batches that were acknowledged as durable: the server was promoted without having them. Never under `require`.
struct WritesLost {
  std::int64_t incarnation = 0;
  std::int64_t batches = 0;
};
struct Failing {  // of the database as a whole; told once until it recovers
  std::string why;
};
struct Recovered {};
using NodeNews = std::variant<Joined, Left, Fenced, TakenOver, WritesLost, Failing, Recovered>;

}  // namespace hoplock::postgres
