// SPDX-License-Identifier: Apache-2.0
// `hoplock nodes`, `hoplock store migrate`: the store that several nodes share, asked directly, so that it works with all daemons stopped.
#include <chrono>
#include <map>
#include <thread>

#include "daemon/options.h"
#include "daemon/store_options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "postgres/blocking.h"
#include "postgres/migrations.h"
#include "postgres/node.h"

namespace hoplock::daemon::tool {

namespace {

constexpr Milliseconds patience{10'000};
constexpr std::chrono::milliseconds longer_than_a_beat{2'500};
constexpr int most_nodes = 100;  // alive ones first, then those that were

struct NodeLine {
  std::int64_t incarnation = 0;
  std::string name;
  std::int64_t slot = 0;
  std::string version;
  Time started;
  std::int64_t beat = 0;
  std::string state;  // alive, silent, dead, left
  std::string routes;
  std::string sources;
  std::int64_t leases = 0;  // recipients that it has
};
struct StandbyLine {
  std::string name;
  std::string state;
  std::string sync;  // "": the role may not see it
  std::int64_t lag = 0;
};

Result<postgres::BlockingConnection> connect(const Call& call, postgres::Use use) {
  return postgres::BlockingConnection::open(postgres_options(call.loaded.config), use, patience);
}

int code_of(const Error& error) {
  if (error.code == errc::permission_denied || error.code == errc::invalid_argument) return config_error;
  return error.code == errc::device_or_resource_busy ? unavailable : io_error;
}

int fail_with(const Call& call, const Error& error) {
  return complain(call.console, code_of(error),
                  postgres::describe(postgres_options(call.loaded.config)) + ": " + error.detail);
}

Result<std::vector<NodeLine>> read_nodes(postgres::BlockingConnection& from) {
  auto rows =
      from.run(postgres::statement("SELECT incarnation, name, slot, version, started, beat, state, routes, sources, "
                                   "(SELECT count(*) FROM recipient WHERE owner = "
                                   "n.incarnation) FROM node n ORDER BY state, name, incarnation DESC LIMIT " +
                                   std::to_string(most_nodes)));
  if (!rows) return rows.error();
  std::vector<NodeLine> found;
  for (const postgres::Row row : *rows) {
    NodeLine one;
    one.incarnation = row.integer(0);
    one.name = row.text(1);
    one.slot = row.integer(2);
    one.version = row.maybe_text(3).value_or("");
    one.started = row.time(4);
    one.beat = row.integer(5);
    one.state = postgres::to_text(static_cast<postgres::NodeState>(row.integer(6)));
    one.routes = row.maybe_text(7).value_or("");
    one.sources = row.maybe_text(8).value_or("");
    one.leases = row.integer(9);
    found.push_back(std::move(one));
  }
  return found;
}

// A node counts as alive until another says that it is dead: whose beat does not move meanwhile is silent.
Result<std::vector<NodeLine>> watch_nodes(postgres::BlockingConnection& from) {
  auto before = read_nodes(from);
  if (!before) return before;
  std::map<std::int64_t, std::int64_t> beats;
  for (const NodeLine& one : *before) beats[one.incarnation] = one.beat;
  if (beats.empty()) return before;
  std::this_thread::sleep_for(longer_than_a_beat);
  auto after = read_nodes(from);
  if (!after) return after;
  for (NodeLine& one : *after) {
    const auto known = beats.find(one.incarnation);
    if (one.state == "alive" && known != beats.end() && known->second == one.beat) one.state = "silent";
  }
  return after;
}

Result<std::vector<StandbyLine>> read_standbys(postgres::BlockingConnection& from) {
  auto rows =
      from.run(postgres::statement("SELECT application_name, state, sync_state, "
                                   "coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn), 0)::bigint "
                                   "FROM pg_stat_replication ORDER BY 1"));
  if (!rows) return rows.error();
  std::vector<StandbyLine> found;
  for (const postgres::Row row : *rows)
    found.push_back({row.maybe_text(0).value_or(""), row.maybe_text(1).value_or(""), row.maybe_text(2).value_or(""),
                     row.integer(3)});
  return found;
}

std::string synchronous_word(config::StoreSynchronous synchronous) {
  return synchronous == config::StoreSynchronous::require  ? "require"
         : synchronous == config::StoreSynchronous::prefer ? "prefer"
                                                           : "local";
}

void print_json(const Call& call, const std::vector<NodeLine>& nodes, const std::vector<StandbyLine>& standbys) {
  json::object to;
  to["store"] = clean(postgres::describe(postgres_options(call.loaded.config)));
  to["synchronous"] = synchronous_word(call.loaded.config.store.synchronous);
  json::array list;
  for (const NodeLine& one : nodes) {
    json::object node;
    node["node"] = clean(one.name);
    node["state"] = one.state;
    node["incarnation"] = one.incarnation;
    node["slot"] = one.slot;
    node["version"] = text_or_null(one.version);
    node["started"] = time_or_null(one.started);
    node["leases"] = one.leases;
    node["sources"] = text_or_null(one.sources);
    node["routes"] = text_or_null(one.routes);
    list.push_back(std::move(node));
  }
  to["nodes"] = std::move(list);
  json::array replication;
  for (const StandbyLine& one : standbys) {
    json::object standby;
    standby["standby"] = clean(one.name);
    standby["state"] = text_or_null(one.state);
    standby["sync"] = text_or_null(one.sync);
    standby["lag"] = one.lag;
    replication.push_back(std::move(standby));
  }
  to["replication"] = std::move(replication);
  call.console.out << to_line(to) << '\n';
}

Tint tint_of(const Console& console, const std::string& state) {
  if (console.colour == Console::Colour::none) return Tint::none;
  return state == "alive" ? Tint::good : state == "left" ? Tint::none : Tint::bad;
}

void print(const Call& call, const std::vector<NodeLine>& nodes, const std::vector<StandbyLine>& standbys) {
  const Console& console = call.console;
  const auto right = Table::Align::right;
  Table table(console.out, console.width,
              {{"STATE"},
               {"NODE"},
               {"VERSION"},
               {"SINCE"},
               {"LEASES", right},
               {"SENDS FROM"},
               {"ROUTES"},
               {"INCARNATION", right}});
  for (const NodeLine& one : nodes)
    table.add({one.state, one.name, one.version, moment(one.started), std::to_string(one.leases), one.sources,
               one.routes.substr(0, 8), std::to_string(one.incarnation)},
              {}, tint_of(console, one.state));
  table.finish();
  if (nodes.empty()) console.out << "no node was ever here\n";
  std::string text;
  for (const StandbyLine& one : standbys)
    text += (text.empty() ? "" : "; ") + one.name + " " +
            (one.sync.empty() ? "(role may not see whether synchronous)" : one.sync) +
            (one.lag > 0 ? ", " + size(static_cast<std::uint64_t>(one.lag)) + " behind" : "");
  console.out << "store:    " << printable(postgres::describe(postgres_options(call.loaded.config)))
              << "\nstandbys: " << printable(text.empty() ? "none" : text)
              << " (store_synchronous: " << synchronous_word(call.loaded.config.store.synchronous) << ")\n";
}

}  // namespace

int nodes(const Call& call) {
  if (call.loaded.config.store.place.is_sqlite())
    return complain(call.console, no, "the store is this machine's alone (store: sqlite): there are no other nodes");
  auto connection = connect(call, postgres::Use::read_only);
  if (!connection) return fail_with(call, connection.error());
  const auto meta = postgres::examine(*connection);
  if (!meta) return fail_with(call, meta.error());
  if (meta->version == 0) {
    Error empty =
        fail(errc::no_such_file_or_directory, "there are no tables of hoplock yet; the first node makes them");
    return complain(call.console, no, postgres::describe(postgres_options(call.loaded.config)) + ": " + empty.detail);
  }
  const auto found = watch_nodes(*connection);
  if (!found) return fail_with(call, found.error());
  const auto standbys = read_standbys(*connection);
  if (!standbys) return fail_with(call, standbys.error());
  if (call.arguments.json) {
    print_json(call, *found, *standbys);
  } else {
    print(call, *found, *standbys);
  }
  return ok;
}

int store_migrate(const Call& call) {
  if (call.loaded.config.store.place.is_sqlite())
    return complain(call.console, no, "hoplockd brings queue.db up to date by itself (store: sqlite)");
  auto connection = connect(call, postgres::Use::read_write);
  if (!connection) return fail_with(call, connection.error());
  const auto before = postgres::examine(*connection);
  if (!before) return fail_with(call, before.error());
  const auto meta = postgres::migrate(*connection, postgres_migrations());
  if (!meta) return fail_with(call, meta.error());
  if (call.arguments.json) {
    json::object to;
    to["before"] = before->version;
    to["version"] = meta->version;
    to["readable_from"] = meta->readable_from;
    call.console.out << to_line(to) << '\n';
  } else if (before->version == meta->version) {
    call.console.out << "nothing to do: the tables are of version " << meta->version << '\n';
  } else {
    call.console.out << "the tables are of version " << meta->version << " now (were " << before->version
                     << "); programs of version " << meta->readable_from << " and later work with them\n";
  }
  return ok;
}

}  // namespace hoplock::daemon::tool
