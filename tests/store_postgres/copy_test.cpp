// SPDX-License-Identifier: Apache-2.0
// Mail that is copied in from other stores: whole, once, and nobody else's.
#include "store_postgres/copy.h"

#include "postgres/blocking.h"
#include "store/stored.h"
#include "store_sqlite/copy.h"
#include "tests/store/postgres.h"
#include "tests/store/sqlite.h"

namespace hoplock::store::contract::copy_test {

namespace {

constexpr std::int64_t first_source = 11, second_source = 22;

CopiedMessage copied(std::int64_t id, const std::string& sender, const std::vector<std::string>& recipients) {
  CopiedMessage made;
  made.id = Id{id};
  made.chunks = 1;
  made.sender = sender;
  made.recipients_were = static_cast<std::int64_t>(recipients.size());
  const std::string body = "Subject: x\r\n\r\nof " + sender + "\r\n";
  made.size = static_cast<std::int64_t>(body.size());
  made.bodies.push_back({0, checksum(body), body});
  for (const std::string& address : recipients) {
    CopiedRecipient one;
    one.seq = static_cast<std::int64_t>(made.recipients.size());
    one.domain = one.destination = "d.test";
    one.address = address;
    made.recipients.push_back(std::move(one));
  }
  return made;
}

struct Into {
  Postgres kept;
  std::unique_ptr<CopyTarget> target = open();
  postgres::BlockingConnection connect() const {
    auto made = postgres::BlockingConnection::open(kept.options(), postgres::Use::read_write, Milliseconds(5000));
    if (!made) FAIL(made.error().detail);
    return std::move(*made);
  }
  std::unique_ptr<CopyTarget> open() const {
    auto made = store_postgres::copy_target(connect(), postgres::Synchronous::local);
    if (!made) FAIL(made.error().detail);
    return std::move(*made);
  }
  void again() {  // as a command that is given again
    target.reset();
    target = open();
  }
  std::string text(const std::string& sql) const {
    auto connection = connect();
    auto rows = connection.run(postgres::statement(sql));
    if (!rows) FAIL(rows.error().detail);
    return rows->empty() ? "" : std::string((*rows)[0].text(0));
  }
  void change(const std::string& sql) const {
    auto connection = connect();
    const auto done = connection.run(postgres::statement(sql));
    if (!done) FAIL(done.error().detail);
  }
  std::string bodies() const {
    return text(
        "SELECT string_agg(m.sender || ' ' || r.address || ' ' || substr(convert_from(c.data, 'UTF8'), 15), ',' ORDER "
        "BY "
        "r.address) FROM message m JOIN recipient r ON r.message = m.id JOIN chunk c ON c.message = m.id");
  }
};

}  // namespace

TEST_CASE("two queues with an id in common arrive whole, each with its own bodies and history" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Into into;
  const Id id{1 << 20};
  REQUIRE(into.target->put_mail(first_source, Id{0}, {copied(id.value, "one", {"alice"})}).has_value());
  REQUIRE(into.target->put_mail(second_source, Id{0}, {copied(id.value, "two", {"bob", "bob2"})}).has_value());
  CHECK(into.bodies() == "one alice of one\r\n,two bob of two\r\n,two bob2 of two\r\n");
  CHECK(into.text("SELECT string_agg(((id - 1048576))::text, ',' ORDER BY id) FROM message") == "0,16");
  CHECK(into.text("SELECT value::text FROM mark WHERE name = 'id:0'") == std::to_string(id.value + 16));

  into.again();
  CopiedHistory line{id, {{1, "of one"}}, {7}, true};
  REQUIRE(into.target->put_history(first_source, Id{0}, {line}).has_value());
  line.entries[0].text = "of two";
  REQUIRE(into.target->put_history(second_source, Id{0}, {line}).has_value());
  // of a third, it is done, and its id is another's as well
  line = {id, {{1, "of three"}}, {8}, false};
  REQUIRE(into.target->put_history(33, Id{0}, {line}).has_value());
  CHECK(into.text("SELECT string_agg((message - 1048576)::text || ' ' || data, ',' ORDER BY message) FROM history") ==
        "0 of one,16 of two,32 of three");
  CHECK(
      into.text("SELECT string_agg((message - 1048576)::text || ' ' || key::text, ',' ORDER BY message) FROM party") ==
      "0 7,16 7,32 8");
}

TEST_CASE("a copy that is given again goes on behind what it put, whatever became of that" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Into into;
  const std::vector<CopiedMessage> first{copied(160, "one", {"a"}), copied(320, "one", {"b"})};
  REQUIRE(into.target->put_mail(first_source, Id{0}, first).has_value());
  into.change("DELETE FROM recipient");
  into.change("DELETE FROM chunk");
  into.change("DELETE FROM message");
  into.again();
  CHECK(into.target->mail_done(first_source).value() == Id{320});
  CHECK(into.target->mail_done(second_source).value() == Id{0});
  // who did not hear of that puts nothing
  CHECK_FALSE(into.target->put_mail(first_source, Id{0}, first).has_value());
  CHECK_FALSE(into.target->put_mail(first_source, Id{160}, {first[1]}).has_value());
  CHECK(into.text("SELECT count(*)::text FROM message") == "0");
  REQUIRE(into.target->put_mail(first_source, Id{320}, {copied(480, "one", {"c", "d"})}).has_value());
  CHECK(into.bodies() == "one c of one\r\n,one d of one\r\n");
  const auto totals = into.target->totals(first_source);
  REQUIRE(totals.has_value());
  CHECK(totals->messages == 3);
  CHECK(totals->recipients == 4);
  CHECK(totals->chunks == 3);
  CHECK(totals->octets == first[0].size * 3);
}

TEST_CASE("without a synchronous standby nothing is copied where one is required, and no page counts as proved" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Into into;
  auto connection = into.connect();
  CHECK_FALSE(store_postgres::check_standby(connection, postgres::Synchronous::require).has_value());
  CHECK(store_postgres::check_standby(connection, postgres::Synchronous::prefer).has_value());
  into.target.reset();
  auto strict = store_postgres::copy_target(std::move(connection), postgres::Synchronous::require).value();
  const auto put = strict->put_mail(first_source, Id{0}, {copied(160, "one", {"a"})});
  REQUIRE_FALSE(put.has_value());
  CHECK(put.error().code == errc::io_error);
  CHECK(strict->mail_done(first_source).value() ==
        Id{160});  // it is there all the same, and the next page goes on behind it
}

TEST_CASE("a queue that is being copied says so before its first page, and is copied into one database only") {
  support::TempDirectory directory;
  support::Loop loop;
  disk::Options options;
  options.directory = directory.path();
  options.migrations = store_sqlite::mail_migrations();
  const auto moving = [&]() -> std::optional<std::string> {
    const auto disk = std::move(disk::Disk::open(loop.executor(), options).value());
    auto look = [](disk::Tx& tx) -> Result<std::optional<std::string>> { return store_sqlite::moving_to(tx); };
    return loop.run(disk->run(disk::Durability::read, std::move(look))).value();
  };
  CHECK_FALSE(moving().has_value());
  {
    const auto source = std::move(store_sqlite::copy_source(directory.path() / "queue.db").value());
    REQUIRE(source->mark_moving("postgresql://one/x", "a name").has_value());
    const auto number = source->number().value();
    CHECK(source->number().value() == number);
    CHECK(source->mark_moving("postgresql://other/x", "another").error().code == errc::invalid_argument);
    CHECK(source->mark_moving("postgresql://one,two/x", "a name").has_value());
  }
  CHECK(moving() == "postgresql://one,two/x");
}

}  // namespace hoplock::store::contract::copy_test
