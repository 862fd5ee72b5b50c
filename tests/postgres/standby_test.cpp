// SPDX-License-Identifier: Apache-2.0
// What a 250 is worth: a synchronous standby, and everything that makes COMMIT come back without it.
#include <thread>

#include "postgres/errors.h"
#include "tests/postgres/things.h"

namespace postgres_standby_test {

using namespace hoplock;
using namespace postgres_test;
using support::PostgresServer;

namespace {
// A primary with a synchronous standby, and a node that requires it.
struct Two {
  Two() {
    primary.set("synchronous_standby_names", "b");
    primary.await("SELECT sync_state FROM pg_stat_replication", "sync");
  }
  postgres::Options options() const {
    auto made = options_of(primary.port());
    made.synchronous = postgres::Synchronous::require;
    made.deadline = 2s;
    return made;
  }
  PostgresServer primary{PostgresServer::Files::synced};
  std::unique_ptr<PostgresServer> standby = PostgresServer::standby_of(primary, "b");
};

// So that a COMMIT waits: the standby hears nothing more, and its connection stays.
void freeze(const PostgresServer& server) {
  for (const pid_t one : server.processes()) ::kill(one, SIGSTOP);
}
void thaw(const PostgresServer& server) {
  for (const pid_t one : server.processes()) ::kill(one, SIGCONT);
}

postgres::NodeOptions patient() {
  auto who = postgres_test::node("a");
  who.ttl = 60s;
  return who;
}

constexpr const char* waits =
    "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'hoplock %/0' AND wait_event = 'SyncRep'";
std::string end_wait(const char* how) {
  return std::string("SELECT count(") + how +
         "(pid))::text FROM pg_stat_activity WHERE application_name LIKE 'hoplock %/0' AND wait_event = 'SyncRep'";
}
}  // namespace

TEST_CASE("require: an acknowledged write is on the standby") {
  NEEDS_POSTGRESQL();
  Two two;
  Node node(two.options());
  REQUIRE(node.start().has_value());
  CHECK(node.until([&] { return node.database.writable().has_value(); }));
  CHECK(node.database.replication().synchronous);
  for (int i = 0; i < 20; ++i) REQUIRE(node.write(insert({i})).has_value());
  two.primary.kill();
  two.standby->promote();
  CHECK(two.standby->sql("SELECT count(*)::text FROM thing") == "20");
}

TEST_CASE(
    "A cancelled wait for the standby is no success: the notice of COMMIT makes it unknown until the standby has it") {
  NEEDS_POSTGRESQL();
  Two two;
  Node node(two.options(), patient());
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1})).has_value());
  freeze(*two.standby);
  std::thread administrator([&] {
    two.primary.await(waits, "1");
    two.primary.sql(end_wait("pg_cancel_backend"));
  });
  const auto early = node.write(insert({2}), StreamKind::intake, 4s);
  administrator.join();
  REQUIRE_FALSE(early.has_value());
  CHECK(early.error().code == errc::timed_out);
  CHECK(two.primary.sql("SELECT count(*)::text FROM thing WHERE id = 2") ==
        "1");  // committed, visible, and on one machine
  CHECK(node.database.counters().unknown >= 1);
  thaw(*two.standby);
  CHECK(node.write(insert({3})).has_value());
  CHECK(two.standby->sql("SELECT count(*)::text FROM thing WHERE id IN (2, 3)") == "2");
}

TEST_CASE("A cancelled wait for the standby: once the standby is back the same batch is answered, once") {
  NEEDS_POSTGRESQL();
  Two two;
  Node node(two.options(), patient());
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1})).has_value());
  freeze(*two.standby);
  std::thread administrator([&] {
    two.primary.await(waits, "1");
    two.primary.sql(end_wait("pg_cancel_backend"));
    two.primary.await(waits, "1");  // the synchronous write behind it
    thaw(*two.standby);
  });
  const auto outcome = node.write(insert({2}));
  administrator.join();
  REQUIRE(outcome.has_value());
  CHECK(outcome->replayed);
  CHECK(two.standby->sql("SELECT count(*)::text FROM thing") == "2");
}

TEST_CASE("A terminated wait for the standby: the row is there, and is answered only when the standby has it") {
  NEEDS_POSTGRESQL();
  Two two;
  Node node(two.options(), patient());
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1})).has_value());
  freeze(*two.standby);
  std::thread administrator([&] {
    two.primary.await(waits, "1");
    two.primary.sql(end_wait("pg_terminate_backend"));
    two.primary.await("SELECT count(*)::text FROM thing WHERE id = 2", "1");
    two.primary.await(waits, "1");
    thaw(*two.standby);
  });
  const auto outcome = node.write(insert({2}));
  administrator.join();
  REQUIRE(outcome.has_value());
  CHECK(outcome->replayed);
  CHECK(two.primary.sql("SELECT count(*)::text FROM thing") == "2");
  CHECK(two.standby->sql("SELECT count(*)::text FROM thing") == "2");
}

TEST_CASE("A standby that is taken out: COMMIT comes back without a word, and is no success under require") {
  NEEDS_POSTGRESQL();
  Two two;
  Node node(two.options(), patient());
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1})).has_value());
  two.standby->kill();
  std::thread administrator([&] {  // Patroni without strict does this
    two.primary.await(waits, "1");
    two.primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
    two.primary.sql("SELECT pg_reload_conf()");
  });
  const auto alone = node.write(insert({2}), StreamKind::intake, 5s);
  administrator.join();
  REQUIRE_FALSE(alone.has_value());
  CHECK(alone.error().code == errc::timed_out);
  CHECK(two.primary.sql("SELECT count(*)::text FROM thing WHERE id = 2") == "1");
  CHECK(node.until([&] { return !node.database.replication().synchronous; }));
  REQUIRE_FALSE(node.database.writable().has_value());
  CHECK(node.database.writable().error().code == errc::io_error);
  two.standby->start();
  two.primary.set("synchronous_standby_names", "b");
  CHECK(node.until([&] { return node.database.writable().has_value(); }));
  CHECK(node.write(insert({3})).has_value());
  CHECK(two.standby->sql("SELECT count(*)::text FROM thing") == "3");
}

TEST_CASE("A standby that is taken out before: nothing is acknowledged under require, and it is under prefer") {
  NEEDS_POSTGRESQL();
  Two two;
  {
    Node node(two.options(), patient());
    REQUIRE(node.start().has_value());
    REQUIRE(node.write(insert({1})).has_value());
    two.primary.set("synchronous_standby_names", "");
    CHECK_FALSE(node.write(insert({2}), StreamKind::intake, 2s).has_value());
    auto relaxed = insert({3});
    relaxed.durability = postgres::Durability::relaxed;
    CHECK(node.write(std::move(relaxed), StreamKind::rest).has_value());
    two.primary.set("synchronous_standby_names", "b");
    CHECK(node.write(insert({4})).has_value());
  }
  two.primary.set("synchronous_standby_names", "");
  auto prefer = two.options();
  prefer.synchronous = postgres::Synchronous::prefer;
  Node node(prefer);
  REQUIRE(node.start().has_value());
  CHECK(node.write(insert({5})).has_value());
}

TEST_CASE("A role that may not see replication is told so, and nothing is acknowledged under require") {
  NEEDS_POSTGRESQL();
  Two two;
  two.primary.sql("CREATE ROLE plain LOGIN");
  two.primary.sql("GRANT CREATE ON SCHEMA public TO plain");
  auto options = two.options();
  options.url = PostgresServer::url_of(two.primary.port(), "plain");
  Node node(options, patient());
  REQUIRE(node.start().has_value());
  CHECK_FALSE(node.write(insert({1}), StreamKind::intake, 1s).has_value());
  node.until([&] { return !node.database.replication().names.empty(); });
  REQUIRE_FALSE(node.database.writable().has_value());
  CHECK(node.database.writable().error().detail.find("pg_read_all_stats") != std::string::npos);
  two.primary.sql("GRANT pg_read_all_stats TO plain");
  CHECK(node.write(insert({2})).has_value());
}

TEST_CASE("A fail-over: the same batches go to the new primary under their numbers, and the old one is refused") {
  NEEDS_POSTGRESQL();
  Two two;
  support::TempDirectory files;
  auto options = two.options();
  options.url = "postgresql://hoplock@127.0.0.1:" + std::to_string(two.primary.port()) +
                ",127.0.0.1:" + std::to_string(two.standby->port()) + "/postgres";
  options.timeline_file = files.file("timeline");
  {
    Node node(options, patient());
    REQUIRE(node.start().has_value());
    for (int i = 0; i < 10; ++i) REQUIRE(node.write(insert({i})).has_value());
    two.primary.kill();
    std::thread administrator([&] {
      two.standby->promote();
      two.standby->sql("ALTER SYSTEM SET synchronous_standby_names = ''");
      two.standby->sql("SELECT pg_reload_conf()");
    });
    const auto lost = node.write(insert({10}), StreamKind::intake, 3s);  // no standby is there: none is acknowledged
    administrator.join();
    CHECK_FALSE(lost.has_value());
    CHECK(two.standby->sql("SELECT count(*)::text FROM thing WHERE id < 10") == "10");
  }
  two.standby->stop();
  two.primary.start();  // which knows nothing of it
  auto made = postgres::BlockingConnection::open(options, postgres::Use::read_write, 5s);
  CHECK(made.has_value());  // the tool does not hold it against what was seen
  options.synchronous = postgres::Synchronous::prefer;
  Node late(options);
  std::optional<Result<postgres::OwnLease>> started;
  late.loop.start([](Node& node, std::optional<Result<postgres::OwnLease>>& to) -> boost::asio::awaitable<void> {
    to.emplace(co_await node.database.start());
  }(late, started));
  late.run_for(1s);
  CHECK_FALSE(started.has_value());
  REQUIRE_FALSE(late.heard<postgres::Failing>().empty());
  CHECK(late.heard<postgres::Failing>()[0].why.find("another one has replaced") != std::string::npos);
  two.primary.kill();
  two.standby->start();
  CHECK(late.until([&] { return started.has_value(); }));
  CHECK((started && started->has_value()));
}

}  // namespace postgres_standby_test
