// SPDX-License-Identifier: Apache-2.0
// What the queue remembers of messages: one row an event, found by id, address and domain, forgotten in time.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <atomic>

#include "store_sqlite/history.h"
#include "tests/queue/instructions.h"
#include "tests/queue/world.h"

namespace queue_history_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;
using hoplock::support::TempDirectory;

namespace {

Options recording() {
  Options options;
  options.history = Recording::on;
  return options;
}

std::vector<Traced> trace(World& world, TraceQuery query) {
  std::vector<Traced> all;
  auto reader = world.reader();
  reader
      .trace(query,
             [&](const Traced& one) {
               all.push_back(one);
               return Go::on;
             })
      .value();
  return all;
}
std::vector<Id> by_address(World& world, const std::string& address) {
  TraceQuery query;
  query.address = address;
  std::vector<Id> ids;
  for (const auto& one : trace(world, query)) ids.push_back(one.id);
  return ids;
}
std::vector<Id> by_domain(World& world, const std::string& domain, std::optional<Time> since = {}) {
  TraceQuery query;
  query.domain = domain;
  query.since = since;
  std::vector<Id> ids;
  for (const auto& one : trace(world, query)) ids.push_back(one.id);
  return ids;
}
std::vector<std::string> told(World& world, Id id) {
  TraceQuery query;
  query.id = id;
  std::vector<std::string> all;
  for (const auto& one : trace(world, query))
    for (const auto& event : one.events) all.push_back(event.text);
  return all;
}
void prune(World& world, Time before) {
  std::optional<PruneFrom> from(std::in_place);
  while (from) from = world.loop.run(world.queue->prune(before, *from)).value();
}

}  // namespace

TEST_CASE("a message's life: accepted, attempts, operators, in the order of its events, and after it is gone") {
  TempDirectory directory;
  World world(directory.path(), recording());
  const Id id = world.put({"bob@example.org"});
  auto settled = World::all(world.lease("example.org").at(0), Verdict::deferred, at(10));
  settled.history_entry = R"({"event":"deferred"})";
  world.apply({settled}, at(1));
  Selection selection;
  selection.ids = {id};
  selection.by_whom = "root";
  world.act(Action::retry, selection, at(2));
  settled = World::all(world.lease("example.org", at(3)).at(0), Verdict::delivered);
  settled.history_entry = "{\"event\":\"hop\"}\n{\"event\":\"delivered\"}";
  world.apply({settled}, at(3));
  CHECK(world.count("message") == 0);
  CHECK(
      told(world, id) ==
      std::vector<std::string>{
          R"({"event":"accepted","from":"sender@example.net","to":["bob@example.org"],"size":21,"client":"192.0.2.1"})",
          R"({"event":"deferred"})", R"({"event":"retry","by":"root"})",
          "{\"event\":\"hop\"}\n{\"event\":\"delivered\"}"});
}

// A trace told of the notice before the bounce that it is about.
TEST_CASE("of one moment an attempt's story comes first, and behind it who was told of its end") {
  TempDirectory directory;
  World world(directory.path(), recording());
  const Id id = world.put({"bob@example.org", "eve@example.org"});
  auto settled = World::all(world.lease("example.org").at(0), Verdict::bounced);
  settled.history_entry = R"({"event":"bounced"})";
  Results results;
  results.now = at(1);
  results.settled.push_back(std::move(settled));
  Notice notice;
  notice.about = id;
  notice.seqs = {0, 1};
  notice.what = "failed";
  notice.recipient = World::recipients({"sender@example.net"}).at(0);
  notice.compose = [](std::string_view) {
    NoticeText text;
    text.head = "Subject: notice\r\n\r\n";
    return text;
  };
  results.notices.push_back(std::move(notice));
  world.loop.run(world.queue->apply(std::move(results))).value();
  const auto events = told(world, id);
  REQUIRE(events.size() == 3);
  CHECK(events[1] == R"({"event":"bounced"})");
  CHECK(events[2].starts_with(R"({"event":"notice","action":"failed")"));
}

TEST_CASE("messages are found by address and by domain, of sender and recipients, in any case") {
  TempDirectory directory;
  World world(directory.path(), recording());
  const Id first = world.put({"bob@example.org", "carl@example.com"});
  const Id second = world.put({"Bob@Example.org"}, "x\r\n", at(100), "");
  CHECK(by_address(world, "bob@example.org") == std::vector<Id>{first, second});
  CHECK(by_address(world, "carl@EXAMPLE.com") == std::vector<Id>{first});
  CHECK(by_address(world, "sender@example.net") == std::vector<Id>{first});
  CHECK(by_address(world, "") == std::vector<Id>{second});
  CHECK(by_address(world, "bob@example.com").empty());
  CHECK(by_domain(world, "example.org") == std::vector<Id>{first, second});
  CHECK(by_domain(world, "example.net") == std::vector<Id>{first});
  CHECK(by_domain(world, "example.org", at(50)) == std::vector<Id>{second});
  CHECK(by_domain(world, "nowhere.example").empty());
}

TEST_CASE("history goes when its time is over: not of a message that is queued, not of one that ended lately") {
  TempDirectory directory;
  World world(directory.path(), recording());
  const Id waiting = world.put({"bob@example.org"});
  const Id old = world.put({"carl@example.com"});
  world.apply({World::all(world.lease("example.com").at(0), Verdict::delivered)}, at(1));
  const Id late = world.put({"dora@example.info"});
  auto settled = World::all(world.lease("example.info").at(0), Verdict::delivered);
  settled.history_entry = R"({"event":"delivered"})";
  world.apply({settled}, at(5000));
  prune(world, at(1000));
  CHECK(told(world, waiting).size() == 1);
  CHECK(told(world, old).empty());
  CHECK(told(world, late).size() == 2);
  CHECK(by_domain(world, "example.com").empty());
  CHECK(by_domain(world, "example.net") == std::vector<Id>{waiting, late});
  CHECK(world.count("party") == 4);
  prune(world, at(6000));
  CHECK(told(world, late).empty());
  CHECK(world.count("history") == 1);
  CHECK(world.count("party") == 2);
}

TEST_CASE("pruning many goes part by part") {
  TempDirectory directory;
  World world(directory.path(), recording());
  for (int i = 0; i < 1200; ++i) world.put({"u" + std::to_string(i) + "@example.com"});
  auto jobs = world.lease("example.com", t0, 2000);
  std::vector<Settled> settled;
  for (const auto& job : jobs) settled.push_back(World::all(job, Verdict::delivered));
  world.apply(settled, at(1));
  const auto first = world.loop.run(world.queue->prune(at(100), {})).value();
  if (first) CHECK(world.count("history") > 0);  // a slice of it, unless the disk is very fast
  prune(world, at(100));
  CHECK(world.count("history") == 0);
  CHECK(world.count("party") == 0);
}

namespace {

// Messages that came and went at 100,000 s, and are remembered.
void remember(const std::filesystem::path& directory, int messages) {
  auto db = disk::Database::open(directory / "queue.db", disk::Access::read_write).value();
  const std::string first = std::to_string(Id::at(at(100'000)).value);
  const std::string rows =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + std::to_string(messages) + ")";
  db.execute("BEGIN;" + rows + "INSERT INTO history SELECT (" + first + " + i) << 15, " +
             std::to_string(to_millis(at(100'000))) + ", '{\"event\":\"accepted\"}' FROM n;" + rows +
             "INSERT INTO party SELECT (i * 7919 % 4294967291) << 31, " + first + " + i FROM n; COMMIT");
}

}  // namespace

TEST_CASE("BND-03: forgetting costs what is forgotten, not what is kept, and leaves no key of it") {
  Instructions instructions;
  std::int64_t cost[2] = {0, 0};
  for (const int large : {0, 1}) {
    TempDirectory directory;
    {
      World world(directory.path(), recording());
      for (int i = 0; i < 50; ++i)
        world.put({"u" + std::to_string(i) + "@example.com", "\"a \\\" b\"@example.org"}, "x\r\n", at(i),
                  i % 2 ? "" : "s@x.test");
      std::vector<Settled> settled;
      for (const char* destination : {"example.com", "example.org"})
        for (const auto& job : world.lease(destination, at(60))) settled.push_back(World::all(job, Verdict::delivered));
      world.apply(settled, at(60));
    }
    remember(directory.path(), large ? 200'000 : 2'000);
    World world(directory.path(), recording(), at(200'000));
    instructions.reset();
    prune(world, at(50'000));
    cost[large] = instructions.count();
    CHECK(world.count("history") == (large ? 200'000 : 2'000));
    CHECK(world.count("party WHERE message < " + std::to_string(Id::at(at(50'000)).value)) == 0);
  }
  CAPTURE(cost[0]);
  CAPTURE(cost[1]);
  CHECK(cost[0] > 0);
  CHECK(cost[1] < cost[0] + 600'000);  // a slice of looking for strays; the walk over all keys cost five times that
}

TEST_CASE(
    "all that happened is read from the latest message on, in pages, as far back and for as long as the reader wants") {
  TempDirectory directory;
  World world(directory.path(), recording());
  std::vector<Id> ids;
  for (int i = 0; i < 1200; ++i) ids.push_back(world.put({"bob@example.org"}, "x\r\n", at(i)));
  const auto read = [&](Time since, std::size_t most) {
    std::vector<Time> times;
    auto reader = world.reader();
    const auto call = [&](Time accepted, std::string_view text) {
      CHECK(text.starts_with(R"({"event":"accepted")"));
      times.push_back(accepted);
      return times.size() < most ? Go::on : Go::stop;
    };
    reader.history(since, call).value();
    return times;
  };
  const auto all = read(at(0), 10'000);
  REQUIRE(all.size() == 1200);
  CHECK(std::is_sorted(all.rbegin(), all.rend()));
  CHECK(read(at(0), 700).size() == 700);
  CHECK(read(ids[600].time() + Milliseconds(1), 10'000).size() == 599);
}

TEST_CASE("what is switched off is not written") {
  TempDirectory directory;
  World world(directory.path());
  world.put({"bob@example.org"});
  CHECK(world.count("history") == 0);
  world.queue->set_history(Recording::on);
  world.put({"bob@example.org"});
  CHECK(world.count("history") == 1);
}

}  // namespace queue_history_test
