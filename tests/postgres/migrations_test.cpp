// SPDX-License-Identifier: Apache-2.0
#include "postgres/migrations.h"

#include <thread>

#include "postgres/errors.h"
#include "tests/postgres/things.h"

namespace postgres_migrations_test {

using namespace hoplock;
using namespace postgres_test;
using postgres::BlockingConnection;
using postgres::Use;

namespace {
BlockingConnection connect(const std::string& database) {
  auto made = BlockingConnection::open(options_of(shared_server().port(), database), Use::read_write, 5s);
  if (!made) FAIL(made.error().detail);
  return std::move(*made);
}
}  // namespace

TEST_CASE("Migrations: what is missing is applied, once, and the installation keeps its name") {
  NEEDS_POSTGRESQL();
  auto connection = connect(fresh_database());
  auto meta = postgres::examine(connection);
  REQUIRE(meta.has_value());
  CHECK(meta->version == 0);
  meta = postgres::migrate(connection, {postgres::node_tables()});
  REQUIRE(meta.has_value());
  CHECK(meta->version == 1);
  CHECK(meta->installation.size() == 36);
  const auto again = postgres::migrate(connection, tables());
  REQUIRE(again.has_value());
  CHECK(again->version == 2);
  CHECK(again->installation == meta->installation);
  CHECK_FALSE(again->moved_to.has_value());
  CHECK(connection.run(statement("SELECT FROM thing")).has_value());
}

TEST_CASE("Migrations: an older program goes on as far as it can read what a newer one made") {
  NEEDS_POSTGRESQL();
  auto connection = connect(fresh_database());
  auto newer = tables();
  newer.push_back({"a column more", {"ALTER TABLE thing ADD COLUMN more text"}, 2});
  REQUIRE(postgres::migrate(connection, newer).has_value());
  const auto readable = postgres::migrate(connection, tables());
  REQUIRE(readable.has_value());
  CHECK(readable->version == 3);
  const auto refused = postgres::migrate(connection, {postgres::node_tables()});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::not_supported);
}

TEST_CASE("Migrations: several at once, and one of them does it") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  std::vector<std::thread> all;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&] {
      auto connection = BlockingConnection::open(options_of(shared_server().port(), database), Use::read_write, 5s);
      if (!connection) return;
      for (int again = 0; again < 3; ++again)
        if (postgres::migrate(*connection, tables())) {
          ++good;
          return;
        }
    });
  for (std::thread& one : all) one.join();
  CHECK(good == 4);
}

TEST_CASE("Migrations: what fails leaves nothing behind") {
  NEEDS_POSTGRESQL();
  auto connection = connect(fresh_database());
  auto wrong = tables();
  wrong.push_back({"wrong", {"CREATE TABLE other (id bigint)", "CREATE TABLE thing (id bigint)"}, 1});
  const auto failed = postgres::migrate(connection, wrong);
  REQUIRE_FALSE(failed.has_value());
  CHECK(postgres::sqlstate(failed.error()) == "42P07");
  const auto meta = postgres::examine(connection);
  REQUIRE(meta.has_value());
  CHECK(meta->version == 0);
  CHECK(postgres::migrate(connection, tables()).has_value());
}

TEST_CASE("Migrations: a role without the right says which one") {
  NEEDS_POSTGRESQL();
  const std::string database = fresh_database();
  auto options = options_of(shared_server().port(), database);
  shared_server().sql("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
  options.url = "postgresql://reader@127.0.0.1:" + std::to_string(shared_server().port()) + "/" + database;
  auto connection = BlockingConnection::open(options, Use::read_write, 5s);
  REQUIRE(connection.has_value());
  const auto refused = postgres::migrate(*connection, tables());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::permission_denied);
}

}  // namespace postgres_migrations_test
