// SPDX-License-Identifier: Apache-2.0
#include "postgres/batch.h"

#include <doctest/doctest.h>

#include "postgres/blocking.h"
#include "postgres/errors.h"
#include "tests/postgres/things.h"

namespace postgres_values_test {

using namespace hoplock;
using namespace postgres_test;
using postgres::Batch;
using postgres::BlockingConnection;
using postgres::Octets;
using postgres::Use;

namespace {
BlockingConnection connect(Use use = Use::read_write) {
  auto made = BlockingConnection::open(options_of(shared_server().port()), use, 5s);
  if (!made) FAIL(made.error().detail);
  return std::move(*made);
}
}  // namespace

TEST_CASE("postgres: parameters of every kind come back as they went") {
  NEEDS_POSTGRESQL();
  auto connection = connect();
  const std::string zeros("\0\xff\0", 3);
  auto rows =
      connection.run(statement("SELECT $1, $2, $3, $4, $5, $6, $7::text, $8", -1, std::int64_t{1} << 62, true, "zwölf",
                               Octets{zeros}, std::optional<int>(), std::optional<std::string>(), from_millis(7)));
  REQUIRE(rows.has_value());
  const postgres::Row row = (*rows)[0];
  CHECK(row.integer(0) == -1);
  CHECK(row.integer(1) == std::int64_t{1} << 62);
  CHECK(row.boolean(2));
  CHECK(row.text(3) == "zwölf");
  CHECK(row.bytea(4) == zeros);
  CHECK(row.null(5));
  CHECK_FALSE(row.maybe_integer(5).has_value());
  CHECK_FALSE(row.maybe_text(6).has_value());
  CHECK(row.time(7) == from_millis(7));
  CHECK_THROWS_AS(static_cast<void>(row.integer(3)), std::logic_error);
  CHECK_THROWS_AS(static_cast<void>(row.text(0)), std::logic_error);
}

TEST_CASE("postgres: arrays of every kind are rows to the server, with NULLs and without elements") {
  NEEDS_POSTGRESQL();
  auto connection = connect();
  const std::vector<std::int64_t> numbers = {1, -2};
  const std::vector<std::optional<std::string>> texts = {"a", std::nullopt};
  const std::vector<Octets> octets = {{std::string("\0", 1)}, {""}};
  const std::vector<bool> flags = {true, false};
  auto rows = connection.run(statement("SELECT * FROM unnest($1, $2, $3, $4)", numbers, texts, octets, flags));
  REQUIRE(rows.has_value());
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0].integer(0) == 1);
  CHECK((*rows)[1].integer(0) == -2);
  CHECK((*rows)[0].text(1) == "a");
  CHECK((*rows)[1].null(1));
  CHECK((*rows)[0].bytea(2) == std::string_view("\0", 1));
  CHECK((*rows)[1].bytea(2).empty());
  CHECK((*rows)[0].boolean(3));
  CHECK_FALSE((*rows)[1].boolean(3));
  rows = connection.run(statement("SELECT * FROM unnest($1)", std::vector<std::string>()));
  REQUIRE(rows.has_value());
  CHECK(rows->empty());
}

TEST_CASE("postgres: an error keeps its SQLSTATE and compares with the codes that a store names") {
  NEEDS_POSTGRESQL();
  auto connection = connect();
  auto rows = connection.run(statement("SELECT 1 / $1", 0));
  REQUIRE_FALSE(rows.has_value());
  CHECK(postgres::sqlstate(rows.error()) == "22012");
  CHECK(rows.error().code == errc::bad_message);
  CHECK(rows.error().detail == "division by zero");
  rows = connection.run(statement("SELECT 7"));  // the connection goes on
  REQUIRE(rows.has_value());
  CHECK((*rows)[0].integer(0) == 7);
  CHECK(postgres::sql_error("53100", "full").code == errc::no_space_on_device);
  CHECK(postgres::sql_error("40P01", "").code == errc::resource_unavailable_try_again);
  CHECK(postgres::sql_error("25006", "").code == errc::read_only_file_system);
  CHECK(postgres::sql_error("57P01", "").code == errc::device_or_resource_busy);
  CHECK(postgres::sql_error("28P01", "").code == errc::permission_denied);
  CHECK(postgres::sql_error("58030", "").code == errc::io_error);
  CHECK(postgres::sql_error("23505", "").code == errc::state_not_recoverable);
  CHECK(postgres::sqlstate(fail(errc::io_error, "")).empty());
}

TEST_CASE("postgres: a batch is one transaction, and its first error ends it") {
  NEEDS_POSTGRESQL();
  auto connection = connect();
  Batch batch;
  batch.push_back(statement("CREATE TABLE half (id bigint)"));
  batch.push_back(statement("INSERT INTO half VALUES ($1)", 1));
  batch.push_back(statement("SELECT no_such_function()"));
  batch.push_back(statement("INSERT INTO half VALUES ($1)", 2));
  const auto failed = connection.run(batch);
  REQUIRE_FALSE(failed.has_value());
  CHECK(postgres::sqlstate(failed.error()) == "42883");
  const auto rows = connection.run(statement("SELECT to_regclass('half') IS NULL"));
  REQUIRE(rows.has_value());
  CHECK((*rows)[0].boolean(0));
}

TEST_CASE("postgres: a connection that only reads writes nothing") {
  NEEDS_POSTGRESQL();
  auto connection = connect(Use::read_only);
  const auto rows = connection.run(statement("CREATE TABLE written (id bigint)"));
  REQUIRE_FALSE(rows.has_value());
  CHECK(rows.error().code == errc::read_only_file_system);
}

TEST_CASE("postgres: our own deadline ends a wait that the server does not end") {
  NEEDS_POSTGRESQL();
  auto connection = connect();
  Batch batch;
  batch.push_back(statement("SELECT pg_sleep(60)"));
  const auto began = steady_clock::now();
  const auto answer = connection.run(batch, 200ms);
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().code == errc::timed_out);
  CHECK(steady_clock::now() - began < 5s);
  CHECK_FALSE(connection.is_open());
}

TEST_CASE("postgres: who cannot be reached, let in or spoken to is told apart, and no password is told") {
  NEEDS_POSTGRESQL();
  support::PostgresServer server;
  server.sql("CREATE ROLE locked LOGIN PASSWORD 'right'");
  support::TempDirectory files;
  auto options = options_of(server.port());
  options.url = "postgresql://locked@127.0.0.1:" + std::to_string(server.port()) + "/postgres";
  server.require_password("locked");
  options.password_file = files.write("password", "wrong-secret\n");
  auto made = BlockingConnection::open(options, Use::read_only, 5s);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().code == errc::permission_denied);
  CHECK(postgres::sqlstate(made.error()) == "28P01");
  CHECK(made.error().detail.find("secret") == std::string::npos);
  options.password_file = files.write("password", "right\n");
  made = BlockingConnection::open(options, Use::read_only, 5s);
  CHECK(made.has_value());
  options.url += "_that_is_none";
  made = BlockingConnection::open(options, Use::read_only, 5s);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().code == errc::permission_denied);
  options.url = "postgresql://hoplock:hidden@127.0.0.1:1/postgres";
  made = BlockingConnection::open(options, Use::read_only, 5s);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().code == errc::device_or_resource_busy);
  CHECK(made.error().detail.find("hidden") == std::string::npos);
  CHECK(postgres::describe(options) == "127.0.0.1:1, database postgres");
  options.url = "postgresql://db1/hoplock";
  CHECK_FALSE(postgres::check(options).has_value());
  options.tls = postgres::Tls::verify_full;
  CHECK(postgres::check(options).has_value());
  options.url = "mysql://db1/hoplock";
  CHECK_FALSE(postgres::check(options).has_value());
}

}  // namespace postgres_values_test
