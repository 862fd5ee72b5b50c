// SPDX-License-Identifier: Apache-2.0
// A database with one table of the test's own, and nodes of it: what the tests of lib/postgres share.
#pragma once
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postgres/database.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/postgres_server.h"

// Skips with a word where PostgreSQL 15 is not installed; CI has it.
#define NEEDS_POSTGRESQL()                                                 \
  if (!support::PostgresServer::is_installed()) {                          \
    MESSAGE("skipped: postgresql-15 is not installed");                    \
    REQUIRE_MESSAGE(std::getenv("CI") == nullptr, "CI has postgresql-15"); \
    return;                                                                \
  }

namespace postgres_test {

using namespace hoplock;
using namespace std::chrono_literals;
using postgres::Job;
using postgres::statement;
using postgres::StreamKind;
using std::chrono::steady_clock;

// The server of tests that do not harm it, each with a database of its own.
inline support::PostgresServer& shared_server() {
  static support::PostgresServer server;
  return server;
}
inline std::string fresh_database(const support::PostgresServer& server = shared_server()) {
  static std::atomic<int> made = 0;
  const std::string name = "t" + std::to_string(++made);
  server.sql("CREATE DATABASE " + name);
  return name;
}
inline postgres::Options options_of(std::uint16_t port, const std::string& database = "postgres") {
  postgres::Options options;
  options.tls = postgres::Tls::off;
  options.synchronous = postgres::Synchronous::prefer;
  options.url = "postgresql://hoplock@127.0.0.1:" + std::to_string(port) + "/" + database;
  return options;
}

inline postgres::NodeOptions node(const std::string& name) {
  postgres::NodeOptions options;
  options.name = name;
  options.version = "test";
  options.ttl = 1500ms;
  options.beat = 200ms;
  options.watch = 500ms;
  options.free_leases = {"UPDATE thing SET owner = 0 WHERE owner = $1"};
  return options;
}

inline std::vector<postgres::Migration> tables() {
  return {
      postgres::node_tables(),
      {"things",
       {"CREATE TABLE thing (id bigint PRIMARY KEY, word text NOT NULL, owner bigint NOT NULL, lease bigint NOT NULL)"},
       1}};
}

// One node, beating on a loop of its own as long as something runs there.
class Node {
 public:
  explicit Node(const postgres::Options& options, postgres::NodeOptions who = node("a"),
                std::vector<postgres::Migration> migrations = tables())
      : database(loop.executor(), log, options, std::move(who), std::move(migrations)) {
    database.on_news([this](const postgres::NodeNews& heard) { news.push_back(heard); });
  }
  ~Node() {
    loop.run(database.stop(steady_clock::now() + 3s), 60s);
    for (const Event& event : log.events("internal-error")) FAIL_CHECK(event.get("error"));
  }

  Result<postgres::OwnLease> start() { return loop.run(database.start()); }
  Result<postgres::Written> write(Job job, StreamKind stream = StreamKind::intake,
                                  std::chrono::milliseconds patience = 25s) {
    return loop.run(database.write(stream, std::move(job), steady_clock::now() + patience), 60s);
  }
  Result<postgres::Answer> read(std::string sql) {
    postgres::Batch batch;
    batch.push_back(statement(std::move(sql)));
    return loop.run(database.run(std::move(batch)));
  }
  std::int64_t number(std::string sql) {
    auto answer = read(std::move(sql));
    if (!answer) FAIL(answer.error().detail);
    return answer->front()[0].integer(0);
  }
  // Lets it run until that is so.
  template <class Condition>
  bool until(Condition condition, std::chrono::milliseconds limit = 20s) {
    const auto end = steady_clock::now() + limit;
    while (!condition() && steady_clock::now() < end) {
      loop.io().restart();
      loop.io().run_one_for(20ms);
    }
    return condition();
  }
  void run_for(std::chrono::milliseconds time) {
    until([] { return false; }, time);
  }
  template <class Kind>
  std::vector<Kind> heard() const {
    std::vector<Kind> found;
    for (const postgres::NodeNews& one : news)
      if (const auto* value = std::get_if<Kind>(&one)) found.push_back(*value);
    return found;
  }

  support::Loop loop;
  support::MemoryLog log;
  std::vector<postgres::NodeNews> news;
  postgres::Database database;
};

inline Job insert(const std::vector<std::int64_t>& ids, const std::string& word = "w") {
  Job job;
  job.statements.push_back(statement("INSERT INTO thing SELECT id, $2, $3, $4 FROM unnest($1) AS t(id)", ids, word,
                                     postgres::Parameter::incarnation(), postgres::Parameter::batch()));
  return job;
}

}  // namespace postgres_test
