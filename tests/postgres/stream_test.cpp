// SPDX-License-Identifier: Apache-2.0
#include "postgres/stream.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include "postgres/errors.h"
#include "tests/postgres/things.h"

namespace postgres_stream_test {

using namespace hoplock;
using namespace postgres_test;
namespace asio = boost::asio;

namespace {
using Outcomes = std::vector<Result<postgres::Written>>;

asio::awaitable<void> write_one(postgres::Database& database, Job job, Outcomes& outcomes, std::size_t at,
                                std::size_t& done) {
  outcomes[at] = co_await database.write(StreamKind::intake, std::move(job));
  ++done;
}

// All at once, as sessions do.
Outcomes write_all(Node& node, std::vector<Job> jobs) {
  Outcomes outcomes(jobs.size(), Result<postgres::Written>(fail(errc::timed_out, "nothing came")));
  std::size_t done = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i)
    node.loop.start(write_one(node.database, std::move(jobs[i]), outcomes, i, done));
  CHECK(node.until([&] { return done == outcomes.size(); }));
  return outcomes;
}
}  // namespace

TEST_CASE("Stream: jobs that wait are one transaction in one round trip, and each has its own rows") {
  NEEDS_POSTGRESQL();
  Node node(options_of(shared_server().port(), fresh_database()));
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1000})).has_value());
  const auto before = node.database.counters();
  std::vector<Job> jobs;
  for (int i = 0; i < 100; ++i) {
    Job job = insert({i});
    job.statements.push_back(
        statement("SELECT $1, $2, $3", i, postgres::Parameter::incarnation(), postgres::Parameter::batch()));
    jobs.push_back(std::move(job));
  }
  const auto outcomes = write_all(node, std::move(jobs));
  for (int i = 0; i < 100; ++i) {
    REQUIRE(outcomes[static_cast<std::size_t>(i)].has_value());
    const postgres::Written& written = *outcomes[static_cast<std::size_t>(i)];
    REQUIRE(written.rows.size() == 2);
    CHECK(written.rows[0].changed() == 1);
    CHECK(written.rows[1][0].integer(0) == i);
    CHECK(written.rows[1][0].integer(1) == node.database.lease().incarnation);
    CHECK(written.rows[1][0].integer(2) == written.batch);
    CHECK_FALSE(written.replayed);
  }
  const auto after = node.database.counters();
  CHECK(after.batches - before.batches <= 3);
  CHECK(after.jobs - before.jobs == 100);
  CHECK(node.number("SELECT count(*) FROM thing") == 101);
  CHECK(node.database.commits().sum() > 0);
}

TEST_CASE("Stream: a job that fails spoils none of the others, whichever it is") {
  NEEDS_POSTGRESQL();
  Node node(options_of(shared_server().port(), fresh_database()));
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({5, 6})).has_value());
  std::vector<Job> jobs;
  for (int i = 0; i < 10; ++i) jobs.push_back(insert({i, i + 100}));
  jobs[9].statements.push_back(
      statement("SELECT 1 / count(*) FROM thing WHERE id = -1"));  // what an assertion looks like
  const auto outcomes = write_all(node, std::move(jobs));
  for (std::size_t i = 0; i < 10; ++i) CHECK(outcomes[i].has_value() == (i != 5 && i != 6 && i != 9));
  CHECK(postgres::sqlstate(outcomes[5].error()) == "23505");
  CHECK(outcomes[9].error().code == errc::bad_message);
  CHECK(node.number("SELECT count(*) FROM thing") == 2 + 14);
  CHECK(node.number("SELECT count(*) FROM thing WHERE id IN (105, 106, 9, 109)") == 0);
  CHECK(node.write(insert({50})).has_value());
}

TEST_CASE("Stream: a lock that is held by others for too long is no loss, and a deadlock is tried again") {
  NEEDS_POSTGRESQL();
  const auto options = options_of(shared_server().port(), fresh_database());
  Node node(options);
  REQUIRE(node.start().has_value());
  REQUIRE(node.write(insert({1, 2})).has_value());
  auto other = postgres::BlockingConnection::open(options, postgres::Use::read_write, 5s);
  REQUIRE(other.has_value());
  postgres::Batch lock;
  lock.push_back(statement("BEGIN"));
  lock.push_back(statement("SET LOCAL deadlock_timeout = '10s'"));  // it is the node that finds it
  lock.push_back(statement("UPDATE thing SET word = 'other' WHERE id = 2"));
  CHECK(other->run(lock).has_value());
  Job both;
  both.statements.push_back(statement("UPDATE thing SET word = 'node' WHERE id = 1"));
  both.statements.push_back(statement("UPDATE thing SET word = 'node' WHERE id = 2"));
  Outcomes outcomes(1, Result<postgres::Written>(fail(errc::timed_out, "nothing came")));
  std::size_t done = 0;
  node.loop.start(write_one(node.database, std::move(both), outcomes, 0, done));
  std::thread rival([&] {
    other->run(statement("SELECT pg_sleep(0.3)"));
    postgres::Batch rest;
    rest.push_back(statement("UPDATE thing SET word = 'other' WHERE id = 1"));
    rest.push_back(statement("COMMIT"));
    CHECK(other->run(rest, 20s).has_value());
  });
  CHECK(node.until([&] { return done == 1; }));
  rival.join();
  CHECK(outcomes[0].has_value());
  CHECK(node.number("SELECT count(*) FROM thing WHERE word = 'node'") == 2);
}

TEST_CASE("Stream: what was posted is written, again and again while it cannot be") {
  NEEDS_POSTGRESQL();
  Node node(options_of(shared_server().port(), fresh_database()));
  REQUIRE(node.start().has_value());
  node.database.post(StreamKind::rest, insert({1}));
  CHECK(node.until([&] { return node.number("SELECT count(*) FROM thing") == 1; }));
}

TEST_CASE("Stream: before it is registered a node writes nothing and reads nothing") {
  Node node(options_of(1));
  const auto written = node.write(insert({1}));
  REQUIRE_FALSE(written.has_value());
  CHECK(postgres::is_unavailable(written.error()));
  CHECK_FALSE(node.read("SELECT 1").has_value());
  CHECK_FALSE(node.database.writable().has_value());
}

TEST_CASE(
    "Stream: nothing is told inside a transaction that writes; NOTIFY goes out behind it, on a connection of its own") {
  NEEDS_POSTGRESQL();
  support::PostgresServer server(support::PostgresServer::Files::unsynced, {"log_statement=all"});
  Node node(options_of(server.port()));
  Node listener(options_of(server.port()), postgres_test::node("b"));
  std::vector<std::string> heard;
  listener.database.on_notify([&](std::string_view payload) { heard.emplace_back(payload); });
  REQUIRE(node.start().has_value());
  REQUIRE(listener.start().has_value());
  CHECK(listener.until([&] { return server.log().find("LISTEN") != std::string::npos; }));
  REQUIRE(node.write(insert({1})).has_value());
  node.database.notify("freed example.org");
  node.database.notify("freed example.org");
  CHECK(node.until([&] {
    listener.run_for(20ms);
    return !heard.empty();
  }));
  CHECK(heard == std::vector<std::string>{"freed example.org"});
  std::istringstream lines(server.log());
  for (std::string line; std::getline(lines, line);)
    if (line.find("pg_notify") != std::string::npos) CHECK(line.find("hoplock notices|") == 0);
}

}  // namespace postgres_stream_test
