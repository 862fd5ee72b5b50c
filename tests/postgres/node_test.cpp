// SPDX-License-Identifier: Apache-2.0
#include "postgres/node.h"

#include <thread>

#include "postgres/errors.h"
#include "tests/postgres/things.h"
#include "tests/support/cutting_proxy.h"

namespace postgres_node_test {

using namespace hoplock;
using namespace postgres_test;
using support::CuttingProxy;

TEST_CASE(
    "Node: it registers with a slot, beats, and is believed alive until 0.8 of the TTL behind the last good beat") {
  NEEDS_POSTGRESQL();
  Node node(options_of(shared_server().port(), fresh_database()));
  const auto lease = node.start();
  REQUIRE(lease.has_value());
  CHECK(lease->incarnation == 1);
  CHECK(lease->slot == 0);
  CHECK(lease->valid());
  const auto before = node.database.lease().valid_until;
  CHECK(before <= postgres::BootClock::now() + 1200ms);
  CHECK(node.until([&] { return node.database.lease().valid_until > before + 300ms; }));
  CHECK(node.number("SELECT beat FROM node") >= 2);
  CHECK(node.until([&] { return node.database.nodes().size() == 1; }));
  const auto all = node.database.nodes();
  CHECK(all[0].self);
  CHECK(all[0].name == "a");
  CHECK(all[0].state == postgres::NodeState::alive);
  CHECK(node.heard<postgres::Joined>().size() == 1);
  CHECK_FALSE(node.database.meta().installation.empty());
}

TEST_CASE("Node: what leaves frees what it owned at once, and its slot") {
  NEEDS_POSTGRESQL();
  const auto options = options_of(shared_server().port(), fresh_database());
  Node stays(options, postgres_test::node("b"));
  REQUIRE(stays.start().has_value());
  {
    Node leaves(options, postgres_test::node("a"));
    REQUIRE(leaves.start().has_value());
    CHECK(leaves.database.lease().slot == 1);
    REQUIRE(leaves.write(insert({1})).has_value());
    CHECK(stays.number("SELECT count(*) FROM thing WHERE owner = 2") == 1);
  }
  CHECK(stays.number("SELECT count(*) FROM thing WHERE owner <> 0") == 0);
  CHECK(stays.number("SELECT count(*) FROM writer") == 4);
  CHECK(stays.number("SELECT count(*) FROM node WHERE state = 2") == 1);
  Node back(options, postgres_test::node("a"));
  REQUIRE(back.start().has_value());
  CHECK(back.database.lease().slot == 1);
  CHECK(back.database.lease().incarnation == 3);
}

TEST_CASE("Node: one that is silent for the TTL is taken over, and its writer can commit nothing any more") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  auto options = options_of(proxy.port(), database);
  options.deadline = 500ms;
  Node silent(options, postgres_test::node("a"));
  Node watcher(options_of(shared_server().port(), database), postgres_test::node("b"));
  REQUIRE(silent.start().has_value());
  REQUIRE(watcher.start().has_value());
  REQUIRE(silent.write(insert({1})).has_value());
  const std::int64_t first = silent.database.lease().incarnation;
  proxy.silence();
  const auto began = steady_clock::now();
  CHECK(watcher.until([&] { return !watcher.heard<postgres::TakenOver>().empty(); }));
  CHECK(steady_clock::now() - began >= 1400ms);
  CHECK(steady_clock::now() - began < 4s);
  CHECK_FALSE(silent.database.lease().valid());  // by its own clock, before
  CHECK(watcher.database.counters().takeovers == 1);
  CHECK(watcher.number("SELECT count(*) FROM thing WHERE owner <> 0") == 0);
  const auto late = silent.write(insert({2}), StreamKind::intake, 700ms);
  CHECK_FALSE(late.has_value());
  proxy.speak();
  CHECK(silent.until([&] { return silent.heard<postgres::Joined>().size() == 2; }));
  CHECK(silent.heard<postgres::Fenced>().size() == 1);
  CHECK(silent.database.lease().incarnation > first);
  CHECK(silent.write(insert({3})).has_value());
  CHECK(watcher.number("SELECT count(*) FROM thing WHERE id = 2") == 0);
}

TEST_CASE(
    "Node: one that stood still for longer than the TTL, as a suspended machine does, believes itself dead before it "
    "does anything") {
  NEEDS_POSTGRESQL();
  const auto options = options_of(shared_server().port(), fresh_database());
  Node still(options, postgres_test::node("a"));
  Node watcher(options, postgres_test::node("b"));
  REQUIRE(still.start().has_value());
  REQUIRE(watcher.start().has_value());
  REQUIRE(still.write(insert({1})).has_value());
  CHECK(watcher.until(
      [&] { return !watcher.heard<postgres::TakenOver>().empty(); }));  // the other's loop does not run meanwhile
  CHECK_FALSE(still.database.lease().valid());
  REQUIRE_FALSE(still.database.writable().has_value());
  CHECK(still.database.writable().error().code == errc::owner_dead);
  const auto fenced = still.write(insert({2}));
  REQUIRE_FALSE(fenced.has_value());
  CHECK(fenced.error().code == errc::owner_dead);
  CHECK(still.until([&] { return still.heard<postgres::Joined>().size() == 2; }));
  CHECK(watcher.number("SELECT count(*) FROM thing WHERE id = 2") == 0);
  CHECK(watcher.number("SELECT count(*) FROM thing WHERE owner <> 0") == 0);
}

TEST_CASE("Node: a stream that finds its writer gone is fenced, and says so to all who wait") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  auto who = postgres_test::node("a");
  who.beat = 60s;  // no beat finds it out
  who.ttl = 600s;
  Node node(options_of(shared_server().port(), database), who);
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1})).has_value());
  shared_server().sql_in(database, "UPDATE node SET state = 1");
  shared_server().sql_in(database, "DELETE FROM writer");
  const auto fenced = node.write(insert({2}));
  REQUIRE_FALSE(fenced.has_value());
  CHECK(fenced.error().code == errc::owner_dead);
  CHECK(node.until([&] { return node.heard<postgres::Joined>().size() == 2; }));
  CHECK(node.write(insert({3})).has_value());
  CHECK(node.number("SELECT count(*) FROM thing") == 2);
}

TEST_CASE("Node: a take-over goes on behind what the dead one still has in flight, and frees it") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  auto rival =
      postgres::BlockingConnection::open(options_of(shared_server().port(), database), postgres::Use::read_write, 5s);
  REQUIRE(rival.has_value());
  Node watcher(options_of(shared_server().port(), database), postgres_test::node("b"));
  REQUIRE(watcher.start().has_value());
  postgres::Batch dead;
  dead.push_back(statement("INSERT INTO node VALUES (77, 'x', 9, '', 0, 5, 0, '', '')"));
  dead.push_back(statement("INSERT INTO writer SELECT 77, s, 0 FROM generate_series(0, 3) s"));
  REQUIRE(rival->run(dead).has_value());
  postgres::Batch flight;  // of a node that is slow, not gone
  flight.push_back(statement("BEGIN"));
  flight.push_back(statement("UPDATE writer SET batch = 1 WHERE incarnation = 77 AND stream = 0 AND batch = 0"));
  flight.push_back(statement("INSERT INTO thing VALUES (1, 'late', 77, 1)"));
  REQUIRE(rival->run(flight).has_value());
  watcher.run_for(2500ms);
  CHECK(watcher.heard<postgres::TakenOver>().empty());
  postgres::Batch end;
  end.push_back(statement("COMMIT"));
  REQUIRE(rival->run(end).has_value());
  CHECK(watcher.until([&] { return !watcher.heard<postgres::TakenOver>().empty(); }));
  CHECK(watcher.number("SELECT owner FROM thing WHERE id = 1") == 0);
  const auto late = rival->run(statement("UPDATE writer SET batch = 2 WHERE incarnation = 77"));
  REQUIRE(late.has_value());
  CHECK(late->changed() == 0);
}

TEST_CASE("Node: a watcher that was itself away for half the TTL suspects nobody") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  auto who = postgres_test::node("b");
  who.ttl = 3s;
  auto options = options_of(proxy.port(), database);
  options.deadline = 500ms;
  Node watcher(options, who);
  REQUIRE(watcher.start().has_value());
  shared_server().sql_in(database, "INSERT INTO node VALUES (77, 'x', 9, '', 0, 5, 0, '', '')");
  watcher.run_for(1s);
  proxy.silence();
  watcher.run_for(1800ms);
  proxy.speak();
  watcher.run_for(1s);  // 3.8 s behind the last beat
  CHECK(watcher.heard<postgres::TakenOver>().empty());
  CHECK(watcher.until([&] { return !watcher.heard<postgres::TakenOver>().empty(); }));
}

TEST_CASE("Node: a name that is alive is refused, one that a crash left is taken over without waiting for the TTL") {
  NEEDS_POSTGRESQL();
  const auto options = options_of(shared_server().port(), fresh_database());
  auto who = postgres_test::node("a");
  who.ttl = 60s;
  Node first(options, who);
  REQUIRE(first.start().has_value());
  REQUIRE(first.write(insert({1})).has_value());
  {
    Node second(options, who);
    std::thread goes_on;
    std::atomic<bool> ends = false;
    goes_on = std::thread([&] {
      while (!ends) first.run_for(50ms);
    });
    const auto refused = second.start();
    ends = true;
    goes_on.join();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == errc::address_in_use);
  }
  Node again(options, who);  // the first one's loop stands still now
  const auto began = steady_clock::now();
  REQUIRE(again.start().has_value());
  CHECK(steady_clock::now() - began < 5s);
  CHECK(again.heard<postgres::TakenOver>().size() == 1);
  CHECK(again.number("SELECT count(*) FROM thing WHERE owner <> 0") == 0);
  CHECK(first.until([&] { return !first.heard<postgres::Fenced>().empty(); }));
}

TEST_CASE("Node: sixteen slots, and the seventeenth waits for one") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  Node node(options_of(shared_server().port(), database));
  REQUIRE(node.start().has_value());
  shared_server().sql_in(
      database, "INSERT INTO node SELECT 100 + s, 'n' || s, s, '', 0, 5, 0, '', '' FROM generate_series(1, 15) s");
  Node late(options_of(shared_server().port(), database), postgres_test::node("z"));
  std::optional<Result<postgres::OwnLease>> started;
  late.loop.start([](Node& one, std::optional<Result<postgres::OwnLease>>& to) -> boost::asio::awaitable<void> {
    to.emplace(co_await one.database.start());
  }(late, started));
  late.run_for(300ms);
  REQUIRE_FALSE(started.has_value());
  CHECK(late.heard<postgres::Failing>().size() == 1);
  shared_server().sql_in(database, "UPDATE node SET state = 2 WHERE incarnation = 107");
  CHECK(late.until([&] { return started.has_value(); }));
  CHECK(late.database.lease().slot == 7);
}

TEST_CASE("Node: a database that gives a number which was given before is an older state of itself") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  support::TempDirectory files;
  auto options = options_of(shared_server().port(), database);
  options.timeline_file = files.file("timeline");
  {
    Node node(options);
    REQUIRE(node.start().has_value());
  }
  shared_server().sql_in(database, "SELECT setval('incarnation', 1, false)");
  shared_server().sql_in(database, "DELETE FROM node");
  Node node(options);
  const auto refused = node.start();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::state_not_recoverable);
  CHECK(refused.error().detail.find(options.timeline_file.string()) != std::string::npos);
}

TEST_CASE("Node: unreachable at the start is no end, and a wrong password is one") {
  NEEDS_POSTGRESQL();
  support::PostgresServer server;
  CuttingProxy proxy(server.port());
  proxy.refuse();
  {
    Node node(options_of(proxy.port()));
    std::optional<Result<postgres::OwnLease>> started;
    node.loop.start([](Node& one, std::optional<Result<postgres::OwnLease>>& to) -> boost::asio::awaitable<void> {
      to.emplace(co_await one.database.start());
    }(node, started));
    node.run_for(300ms);
    CHECK_FALSE(started.has_value());
    CHECK_FALSE(node.database.health().has_value());
    proxy.accept_again();
    CHECK(node.until([&] { return started.has_value(); }));
    CHECK(node.database.health().has_value());
  }
  server.sql("CREATE ROLE locked LOGIN PASSWORD 'right'");
  server.require_password("locked");
  support::TempDirectory files;
  auto options = options_of(server.port());
  options.url = support::PostgresServer::url_of(server.port(), "locked");
  options.password_file = files.write("password", "wrong");
  Node node(options);
  const auto refused = node.start();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::permission_denied);
}

TEST_CASE("Node: how far the database's clock is from ours is measured") {
  NEEDS_POSTGRESQL();
  auto who = postgres_test::node("a");
  who.clock = [] { return net::now() - Seconds(100); };
  Node node(options_of(shared_server().port(), fresh_database()), who);
  REQUIRE(node.start().has_value());
  CHECK(node.until([&] { return node.database.clock_offset() > 99s; }));
  CHECK(node.database.clock_offset() < 101s);
}

}  // namespace postgres_node_test
