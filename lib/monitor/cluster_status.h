// SPDX-License-Identifier: Apache-2.0
// What a node says of a store that several share, and of the nodes that it sees there. Values; the daemon fills them in.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace hoplock::monitor {

struct ClusterStatus {
  std::string node;              // this one's name
  std::int64_t incarnation = 0;  // 0: it is not registered
  std::string server;            // for people: "db1:5432, db2:5432, database hoplock"
  Result<> store;                // it answers, and can be written
  Result<> replication;          // a commit is on two machines, where it must be
  bool lease = true;             // the other nodes take this one for alive
  std::string fenced;            // why the last incarnation was declared dead; "" once this one is registered again
  std::string schema;            // what is wrong with the tables' version
  double lease_seconds = 0;      // that it lasts without another beat
  Milliseconds clock_offset{0};  // the server's clock less ours
  struct Node {
    std::string name, state, version;  // alive, dead or left
    Milliseconds quiet{0};             // since its beat was seen to move
    bool self = false;
  };
  std::vector<Node> seen;
  std::map<std::string, std::uint64_t> nodes;  // by state: alive, dead, left
  bool routes_differ = false;                  // nodes that are alive have other routes than this one
  bool synchronous = false;
  std::uint64_t lag_octets = 0;   // of the standby
  std::uint64_t unknown = 0;      // commits whose outcome was not known at once, since the start
  std::uint64_t replayed = 0;     // of these, those that stood already
  std::uint64_t leases_lost = 0;  // recipients whose result came when another node had them
  std::uint64_t takeovers = 0;    // of dead nodes, by this one
  std::uint64_t dead_rows = 0;
  std::uint64_t round_trips = 0;
};

}  // namespace hoplock::monitor
