// SPDX-License-Identifier: Apache-2.0
// Sessions in the ledger as the servers saw them: under reuse, restart, a store that fails, and an end in the middle.
#include "store_sqlite/ledger.h"
#include "store_sqlite/statistics_reader.h"
#include "tests/delivery/relay.h"
#include "tests/support/faulty_vfs.h"

namespace delivery_count_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

struct World : Relay {
  World() { options.counting.enabled = true; }
  void reporting(const std::string& text, const std::string& address = "127.0.0.2") {
    domain(text, address);
    dns.add("_smtp._tls." + text + " TXT v=TLSRPTv1; rua=mailto:r@" + text);
  }
  // A server without TLS: with no policy each session is one without STARTTLS.
  std::uint64_t sessions(const std::string& of) {
    store::ReportSelection selection;
    selection.domain = name(of);
    const auto job = [selection](disk::Tx& tx) -> Result<std::uint64_t> {
      std::uint64_t sum = 0;
      for (const auto& account : store_sqlite::list_accounts(tx, selection)) {
        CHECK(account.sessions == account.failures);
        sum += account.sessions;
      }
      return sum;
    };
    return loop.run(disk->run(disk::Durability::read, job)).value();
  }
};

}  // namespace

TEST_CASE("RPT-07: the ledger counts what the servers saw, domain by domain, under reuse and in parallel") {
  World relay;
  Sink& one = relay.sink("127.0.0.2");
  Sink& two = relay.sink("127.0.0.3");
  relay.reporting("one.example");
  relay.reporting("two.example", "127.0.0.3");
  relay.domain("silent.example", "127.0.0.4");
  Sink& silent = relay.sink("127.0.0.4");
  relay.options.messages_per_session = 7;
  relay.put_many(100, "one.example");
  relay.put_many(30, "two.example");
  relay.put_many(10, "silent.example");
  relay.start();
  REQUIRE(relay.until([&] { return one.messages == 100 && two.messages == 30 && silent.messages == 10; }));
  relay.stop();
  CHECK(relay.sessions("one.example") == one.connections);
  CHECK(relay.sessions("two.example") == two.connections);
  CHECK(one.connections >= 100 / 7);
  CHECK(relay.sessions("silent.example") == 0);  // RPT-31: it publishes no record
}

TEST_CASE("RPT-30: sessions before and after a restart are one account") {
  World relay;
  Sink& sink = relay.sink();
  relay.reporting("one.example");
  relay.put({"a@one.example"});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 1 && relay.list().empty(); }));
  relay.restart();
  relay.put({"b@one.example"});
  REQUIRE(relay.until([&] { return sink.messages == 2 && relay.list().empty(); }));
  relay.stop();
  CHECK(sink.connections == 2);
  CHECK(relay.sessions("one.example") == 2);
}

TEST_CASE("RPT-30: while the store fails nothing is counted, and once it works again each session once") {
  support::FaultyVfs faulty;
  World relay;
  Sink& sink = relay.sink();
  relay.reporting("one.example");
  relay.put({"a@one.example"});
  sink.answer = [&](const std::string& command) {
    if (command != ".") return std::string();
    faulty.plan().error = 13;  // SQLITE_FULL
    faulty.plan().writes_until_failure = 0;
    return std::string();
  };
  relay.start();
  REQUIRE(relay.until([&] { return relay.scheduler->counts().stalled; }));
  relay.pass(1500ms);  // more than one try
  CHECK(relay.sessions("one.example") == 0);
  sink.answer = [](const std::string&) { return std::string(); };
  faulty.heal();
  REQUIRE(relay.until([&] { return relay.list().empty(); }));
  relay.stop();
  CHECK(sink.connections == 1);
  CHECK(relay.sessions("one.example") == 1);
}

TEST_CASE("RPT-30: a session that the daemon's end cuts off is counted") {
  World relay;
  Sink& sink = relay.sink();
  relay.reporting("one.example");
  relay.put({"a@one.example"});
  bool stuck = false;
  sink.answer = [&](const std::string& command) {
    if (command.starts_with("MAIL")) {
      stuck = true;
      sink.delay = 30s;
    }
    return std::string();
  };
  relay.start();
  REQUIRE(relay.until([&] { return stuck; }));
  relay.pass(50ms);
  relay.stop(100ms);
  CHECK(relay.sessions("one.example") == 1);
  CHECK(relay.list().size() == 1);
}

TEST_CASE("a damaged ledger stops no mail, and nothing is sent twice for it") {
  World relay;
  Sink& sink = relay.sink();
  relay.reporting("one.example");
  const auto drop = [](disk::Tx& tx) -> Result<> {
    tx.prepare("DROP TABLE tlsrpt_detail").run();
    return {};
  };
  relay.loop.run(relay.disk->run(disk::Durability::durable, drop)).value();
  relay.put({"a@one.example"});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 1 && relay.list().empty(); }));
  relay.put({"b@one.example"});
  relay.scheduler->notify();
  REQUIRE(relay.until([&] { return sink.messages == 2 && relay.list().empty(); }));
  relay.stop();
  CHECK(sink.messages == 2);
  CHECK(relay.log.events("store-failed").empty());
  REQUIRE_FALSE(relay.log.events("tlsrpt").empty());
  CHECK(relay.log.events("tlsrpt")[0].get("error").find("not counted") != std::string_view::npos);
}

TEST_CASE("damaged statistics stop no mail, nothing is sent twice for it, and the ledger counts on") {
  World relay;
  Sink& sink = relay.sink();
  relay.reporting("one.example");
  const auto drop = [](disk::Tx& tx) -> Result<> {
    tx.prepare("DROP TABLE statistics_batch").run();
    return {};
  };
  relay.loop.run(relay.disk->run(disk::Durability::durable, drop)).value();
  relay.put({"a@one.example"});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 1 && relay.list().empty(); }));
  relay.stop();
  CHECK(relay.sessions("one.example") == 1);
  REQUIRE(relay.log.events("store-failed").size() == 1);
  CHECK(relay.log.events("store-failed")[0].get("error").find("hoplock audit") != std::string_view::npos);
}

TEST_CASE("statistics of which no rows can be made are kept as they were counted") {
  World relay;
  Sink& sink = relay.sink();
  relay.domain("one.example");
  const auto drop = [](disk::Tx& tx) -> Result<> {
    tx.prepare("ALTER TABLE statistics RENAME TO elsewhere").run();
    return {};
  };
  const auto count = [](disk::Tx& tx) -> Result<std::int64_t> {
    auto row = tx.prepare("SELECT count(*) FROM statistics_batch");
    row.step();
    return row.integer(0);
  };
  relay.loop.run(relay.disk->run(disk::Durability::durable, drop)).value();
  relay.put({"a@one.example"});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 1 && relay.list().empty(); }));
  CHECK(relay.loop.run(relay.disk->run(disk::Durability::read, count)).value() == 1);
  relay.stop();
  CHECK(relay.log.events("store-failed").empty());
}

TEST_CASE("the statistics count each delivery once, before and after a restart") {
  World relay;
  Sink& sink = relay.sink();
  relay.domain("one.example");
  relay.put({"a@one.example", "b@one.example"});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 1; }));
  REQUIRE(relay.until([&] { return relay.list().empty(); }));
  relay.restart();
  relay.put({"c@one.example"});
  REQUIRE(relay.until([&] { return sink.messages == 2 && relay.list().empty(); }));
  relay.stop();
  statistics::Range range;
  range.to = statistics::day_of(wall());
  range.from = range.to - std::chrono::days(1);
  const auto found = store_sqlite::SqliteStatisticsReader::open(std::filesystem::path(relay.directory) / "queue.db")
                         .value()
                         .read(range)
                         .value();
  const auto& rows = found.partners.at("one.example");
  const auto& sum =
      rows.at({statistics::Kind::delivered, statistics::join_words({"opportunistic", "none", "none", "none"})});
  CHECK(sum.count == 3);
  CHECK(sum.messages == 2);
}

}  // namespace delivery_count_test
