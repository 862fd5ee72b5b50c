// SPDX-License-Identifier: Apache-2.0
#include "postgres/node.h"

#include <time.h>

#include <iterator>

#include "postgres/migrations.h"

namespace hoplock::postgres {

BootTime BootClock::now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

std::string_view to_text(NodeState state) {
  constexpr std::string_view words[] = {"alive", "dead", "left"};
  const auto at = static_cast<std::size_t>(state);
  return at < std::size(words) ? words[at] : "unknown";
}

const Migration& node_tables() {
  static const Migration tables{"nodes and their writers",
                                {"CREATE SEQUENCE incarnation",
                                 "CREATE TABLE node (incarnation bigint PRIMARY KEY, name text NOT NULL, slot smallint "
                                 "NOT NULL, version text NOT NULL,"
                                 " started bigint NOT NULL, beat bigint NOT NULL, state smallint NOT NULL, routes text "
                                 "NOT NULL, sources text NOT NULL)"
                                 " WITH (fillfactor = 20)",
                                 "CREATE UNIQUE INDEX node_slot ON node (slot) WHERE state = 0",
                                 "CREATE UNIQUE INDEX node_name ON node (name) WHERE state = 0",
                                 "CREATE TABLE writer (incarnation bigint, stream smallint, batch bigint NOT NULL, "
                                 "PRIMARY KEY (incarnation, stream))"
                                 " WITH (fillfactor = 20)"},
                                1};
  return tables;
}

Statement select_nodes() {
  return statement(
      "SELECT incarnation, name, slot, version, started, beat, state, routes, sources FROM node ORDER BY state <> 0, "
      "incarnation DESC"
      " LIMIT 100");
}

std::vector<NodeInfo> nodes_of(const Rows& rows) {
  std::vector<NodeInfo> nodes;
  for (const Row row : rows) {
    NodeInfo one;
    one.incarnation = row.integer(0);
    one.name = row.text(1);
    one.slot = static_cast<int>(row.integer(2));
    one.version = row.text(3);
    one.started = row.time(4);
    one.beat = row.integer(5);
    one.state = static_cast<NodeState>(row.integer(6));
    one.routes = row.text(7);
    one.sources = row.text(8);
    nodes.push_back(std::move(one));
  }
  return nodes;
}

}  // namespace hoplock::postgres
