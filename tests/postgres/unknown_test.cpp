// SPDX-License-Identifier: Apache-2.0
// Outcomes that are not known at once.
#include "postgres/errors.h"
#include "tests/postgres/things.h"
#include "tests/support/cutting_proxy.h"

namespace postgres_unknown_test {

using namespace hoplock;
using namespace postgres_test;
using support::CuttingProxy;
using support::PostgresServer;

namespace {
Job counted(std::int64_t id) {
  Job job = insert({id});
  job.statements.push_back(statement("UPDATE tally SET n = n + 1 RETURNING n"));
  job.read_back.push_back(statement("SELECT n FROM tally"));
  return job;
}

std::vector<postgres::Migration> with_tally() {
  auto all = tables();
  all.push_back({"a tally", {"CREATE TABLE tally (n bigint NOT NULL)", "INSERT INTO tally VALUES (0)"}, 1});
  return all;
}
}  // namespace

TEST_CASE(
    "An unknown COMMIT: cut at each octet of its answer, the batch is sent again under its number and written once") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  Node node(options_of(proxy.port(), database), postgres_test::node("a"), with_tally());
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(counted(1000)).has_value());
  const std::size_t answer = proxy.answer_octets();
  REQUIRE(answer >= 12 + 6);  // COMMIT, and that it is ready
  std::int64_t written = 1;
  for (std::size_t octets = 0; octets < answer; ++octets) {
    CAPTURE(octets);
    proxy.cut_answer(octets);
    const auto outcome = node.write(counted(static_cast<std::int64_t>(octets)));
    REQUIRE(outcome.has_value());
    CHECK(proxy.has_cut());
    CHECK(outcome->replayed);
    ++written;
    REQUIRE(outcome->rows.size() == 1);
    CHECK(outcome->rows[0][0].integer(0) == written);  // read back
    CHECK(node.number("SELECT n FROM tally") == written);
  }
  CHECK(node.database.counters().unknown == answer);
  CHECK(node.database.counters().replayed == answer);
  CHECK(node.number("SELECT count(*) FROM thing") == written);
}

TEST_CASE("An unknown COMMIT: a request that is cut at any octet is written once, by a later try or by that one") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  Node node(options_of(proxy.port(), database), postgres_test::node("a"), with_tally());
  REQUIRE(node.start().has_value());
  for (int i = 0; i < 2; ++i) REQUIRE(node.write(counted(1000 + i)).has_value());
  const std::size_t request = proxy.request_octets();
  REQUIRE(request > 100);
  std::int64_t written = 2;
  for (std::size_t octets = 0; octets <= request; octets += octets + 40 < request ? 17 : 1) {
    CAPTURE(octets);
    REQUIRE(node.write(counted(5000 + static_cast<std::int64_t>(octets)))
                .has_value());  // on a connection that has it prepared
    proxy.cut_request(octets);
    const auto outcome = node.write(counted(static_cast<std::int64_t>(octets)));
    REQUIRE(outcome.has_value());
    CHECK(proxy.has_cut());
    written += 2;
    CHECK(node.number("SELECT n FROM tally") == written);
  }
  CHECK(node.database.counters().replayed < node.database.counters().unknown);
}

TEST_CASE(
    "Two batches under one number: a batch in doubt that proves impossible is passed over before its jobs are tried "
    "apart") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  Node node(options_of(proxy.port(), database));
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1})).has_value());  // batch 1
  proxy.cut_request(0);                          // batch 2 never arrives …
  auto other =
      postgres::BlockingConnection::open(options_of(shared_server().port(), database), postgres::Use::read_write, 5s);
  REQUIRE(other.has_value());
  CHECK(other->run(statement("INSERT INTO thing VALUES (2, 'theirs', 0, 0)"))
            .has_value());  // … and is impossible when it does
  const auto failed = node.write(insert({2}));
  REQUIRE_FALSE(failed.has_value());
  CHECK(postgres::sqlstate(failed.error()) == "23505");
  const std::string ours = std::to_string(node.database.lease().incarnation);
  CHECK(node.number("SELECT batch FROM writer WHERE stream = 0 AND incarnation = " + ours) == 3);  // 2 was passed over
  // the try that was on its way, were it to arrive now
  const auto ghost = other->run(statement("UPDATE writer SET batch = 2 WHERE stream = 0 AND batch = 1"));
  REQUIRE(ghost.has_value());
  CHECK(ghost->changed() == 0);
  const auto next = node.write(insert({3}));
  REQUIRE(next.has_value());
  CHECK(next->batch == 4);
  CHECK_FALSE(next->replayed);
  CHECK(node.number("SELECT count(*) FROM thing") == 3);
}

TEST_CASE("Two batches under one number: a try that arrives late finds its number used") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  Node node(options_of(proxy.port(), database), postgres_test::node("a"), with_tally());
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(counted(1)).has_value());
  proxy.hold_request();
  const auto outcome = node.write(counted(2));
  REQUIRE(outcome.has_value());
  CHECK(proxy.has_cut());
  proxy.release();
  node.run_for(300ms);
  CHECK(node.number("SELECT n FROM tally") == 2);
  CHECK(node.write(counted(3)).has_value());
  CHECK(node.number("SELECT n FROM tally") == 3);
}

TEST_CASE("The caller's deadline: what was not sent never is, and what is written all the same is made undone") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  auto options = options_of(proxy.port(), database);
  options.deadline = 1s;
  auto who = postgres_test::node("a");
  who.ttl = 30s;
  Node node(options, who);
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1})).has_value());
  proxy.cut_answer(0);
  proxy.refuse_from_cut();
  Job job = insert({2});
  job.undo.push_back(statement("DELETE FROM thing WHERE id = $1", 2));
  const auto late = node.write(std::move(job), StreamKind::intake, 300ms);
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().code == errc::timed_out);
  CHECK(shared_server().sql_in(database, "SELECT count(*) FROM thing WHERE id = 2") == "1");
  const auto unsent = node.write(insert({3}), StreamKind::intake, 300ms);
  REQUIRE_FALSE(unsent.has_value());
  CHECK(unsent.error().code == errc::timed_out);
  proxy.accept_again();
  REQUIRE(node.write(insert({4})).has_value());
  CHECK(node.until([&] { return node.number("SELECT count(*) FROM thing WHERE id = 2") == 0; }));
  CHECK(node.number("SELECT count(*) FROM thing") == 2);
}

TEST_CASE("A silent network: our own deadline makes the outcome unknown, and the same batch settles it") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  CuttingProxy proxy(shared_server().port());
  auto options = options_of(proxy.port(), database);
  options.deadline = 500ms;
  auto who = postgres_test::node("a");
  who.ttl = 30s;
  Node node(options, who, with_tally());
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(counted(1)).has_value());
  proxy.silence();
  const auto late = node.write(counted(2), StreamKind::intake, 1500ms);
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().code == errc::timed_out);
  CHECK(node.database.counters().unknown >= 1);
  proxy.speak();
  REQUIRE(node.write(counted(3)).has_value());
  CHECK(node.number("SELECT n FROM tally") == 3);  // without an undo the second stays
}

TEST_CASE(
    "A fail-over that lost relaxed batches: the writer's row is behind, and the next batch goes on from there under a "
    "number of its own") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  Node node(options_of(shared_server().port(), database));
  REQUIRE(node.start().has_value());
  for (int i = 0; i < 3; ++i) {
    Job job = insert({i});
    job.durability = postgres::Durability::relaxed;
    REQUIRE(node.write(std::move(job)).has_value());
  }
  for (const char* row : {"1", "0"}) {
    shared_server().sql_in(database, "UPDATE writer SET batch = " + std::string(row) + " WHERE stream = 0");
    shared_server().sql_in(database, "DELETE FROM thing WHERE id = 2");
    Job asserts = insert({100});
    asserts.statements.push_back(
        statement("SELECT 1 / (count(*) = 3)::int FROM thing WHERE id < 3"));  // its chunks, as it were
    const auto refused = node.write(std::move(asserts));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == errc::bad_message);
    const auto next = node.write(insert({*row}));
    REQUIRE(next.has_value());
    CHECK(next->batch > 3);
  }
  CHECK(node.number("SELECT count(*) FROM thing WHERE id = 100") == 0);
  CHECK(node.heard<postgres::WritesLost>().size() == 1);  // '0' took back what was acknowledged behind '1'
}

TEST_CASE("A server that is killed and comes back: what was answered is there, and what was in doubt is there once") {
  NEEDS_POSTGRESQL();
  PostgresServer server(PostgresServer::Files::synced);
  auto who = postgres_test::node("a");
  who.ttl = 30s;
  Node node(options_of(server.port()), who, with_tally());
  REQUIRE(node.start().has_value());
  std::int64_t good = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {
      if (i == 10) server.kill();
      if (i == 10) server.start();
      const auto outcome = node.write(counted(round * 100 + i));
      REQUIRE(outcome.has_value());
      ++good;
    }
  }
  CHECK(node.number("SELECT n FROM tally") == good);
  CHECK(node.number("SELECT count(*) FROM thing") == good);
}

}  // namespace postgres_unknown_test
