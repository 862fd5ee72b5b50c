// SPDX-License-Identifier: Apache-2.0
// BND-03: what a start, a clock that was set back and a route that changed have to do for all that is kept is done in slices, and what
// did not fit into the start, or was cut off by its end, is done later. Proved by counting pages that are read and steps of SQLite.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "store_sqlite/rebase.h"
#include "tests/queue/instructions.h"
#include "tests/queue/world.h"
#include "tests/support/faulty_vfs.h"

namespace queue_slices_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;
using hoplock::support::TempDirectory;

namespace {

// Recipients of one domain that wait until `due` for an interval of 300 s; by SQL, for they are many.
void fill(const std::filesystem::path& directory, int messages, Time due) {
  { World world(directory); }
  auto db = disk::Database::open(directory / "queue.db", disk::Access::read_write).value();
  const std::string n = std::to_string(messages), first = std::to_string(Id::at(t0).value);
  const std::string late = std::to_string(to_millis(due));
  const std::string rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + n + ") ";
  db.execute("BEGIN; INSERT INTO destination (id, name, due, hold, failures, interval) VALUES (1, 'one.test', " + late +
             ", " + late + ", 1, 300000); INSERT INTO domain (id, name, destination, due) VALUES (1, 'one.test', 1, " +
             late + "); INSERT INTO message (id, received, size, chunks, recipients, flags, sender, client) " + rows +
             "SELECT " + first + " + i, " + std::to_string(to_millis(t0)) +
             ", 1, 1, 1, 0, 's@example.net', '192.0.2.1' FROM n; INSERT INTO chunk " + rows + "SELECT (" + first +
             " + i) << 15, 2363233923, x'78' FROM n;"
             " INSERT INTO recipient (id, domain, state, due, attempts, interval, address, notify) " +
             rows + "SELECT (" + first + " + i) << 15, 1, 1, " + late +
             ", 1, 300000, 'somebody.or.other' || i || '@one.test', 0 FROM n; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}

void seen_at(const std::filesystem::path& directory, Time time) {
  disk::Database::open(directory / "queue.db", disk::Access::read_write)
      .value()
      .execute("INSERT OR REPLACE INTO mark (name, value) VALUES ('seen', " + std::to_string(to_millis(time)) + ")");
}

std::int64_t waiting_beyond(World& world, Time time) {
  return world.count("recipient WHERE due > " + std::to_string(to_millis(time)));
}

}  // namespace

TEST_CASE("BND-03: after a clock was set back a start is done in time, and the rest is done beside the deliveries") {
  TempDirectory dir;
  constexpr int many = 200'000;  // more than a fast machine gets done in a start's time
  fill(dir.path(), many, at(900'000));
  seen_at(dir.path(), at(900'000));
  support::FaultyVfs vfs;
  vfs.plan().read_delay_us = 500;
  const auto began = std::chrono::steady_clock::now();
  World world(dir.path(), {}, at(10));
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
  CHECK(vfs.plan().reads < 9'000);
  vfs.plan().read_delay_us = 0;
  REQUIRE(waiting_beyond(world, at(10)) > 0);  // so there is a rest
  const Id id = world.put({"a@new.test"}, "x\r\n", at(11));
  CHECK(world.lease("new.test", at(11)).at(0).id == id);
  world.loop.run(world.queue->reroute(at(12))).value();
  CHECK(waiting_beyond(world, at(12)) == 0);
  const auto ready = world.ready(at(12));
  CHECK(std::count(ready.begin(), ready.end(), "one.test") == 1);  // its hold is over, too
  CHECK(world.lease("one.test", at(12), 10).size() == 10);
}

TEST_CASE("BND-03: a clock set back and a process that dies before all is due: the next start goes on with it") {
  TempDirectory dir;
  fill(dir.path(), 20'000, at(900'000));
  seen_at(dir.path(), at(900'000));
  const pid_t child = ::fork();
  if (child == 0) {
    support::FaultyVfs vfs;
    vfs.plan().read_delay_us = 2000;
    World world(dir.path(), {}, at(10));
    world.put({"a@new.test"}, "x\r\n", at(11));  // durable: what the queue last saw is the new time
    ::_exit(waiting_beyond(world, at(10)) > 0 ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  World world(dir.path(), {}, at(20));
  world.loop.run(world.queue->reroute(at(20))).value();
  CHECK(waiting_beyond(world, at(20)) == 0);
  CHECK(world.count("mark WHERE name = 'rebase'") == 0);
}

TEST_CASE("BND-03: no slice of the look after a clock was set back reads more than 40 pages") {
  TempDirectory dir;
  fill(dir.path(), 60'000, at(900'000));
  support::FaultyVfs vfs;
  World world(dir.path(), {}, at(10));
  vfs.plan().read_delay_us = 500;
  int worst = 0;
  Places places;
  Rebase from = Rebase::from(to_millis(at(10)));
  for (int slices = 0; slices < 60; ++slices) {
    const int before = vfs.plan().reads;
    auto job = [from, &places](disk::Tx& tx) -> Result<std::optional<Rebase>> { return rebase_some(tx, places, from); };
    const auto next = world.loop.run(world.disk->run(disk::Durability::relaxed, std::move(job))).value();
    worst = std::max(worst, vfs.plan().reads - before);
    if (!next) break;
    from = *next;
  }
  CHECK(worst <= 40);
}

TEST_CASE(
    "BND-03, MX-20: mail to a domain that goes elsewhere now takes no longer where very much waits, which then comes "
    "due") {
  Instructions instructions;
  std::int64_t cost[2] = {0, 0};
  for (const int large : {0, 1}) {
    TempDirectory dir;
    fill(dir.path(), large ? 30'000 : 300, at(900'000));
    World world(dir.path(), {}, at(1));
    world.smarthost = "smart.test";
    instructions.reset();
    world.put({"new@one.test"}, "x\r\n", at(10));
    cost[large] = instructions.count();
    CHECK(waiting_beyond(world, at(10)) > 0);
    if (large) {  // the process ends before the look at the routes, and the next one finds them as they are stored
      world.queue.reset();
      world.queue =
          std::make_unique<Queue>(*world.mail, Options{}, [&world](const dns::Name& d) { return world.route(d); });
      world.loop.run(world.queue->start(at(11))).value();
    }
    world.loop.run(world.queue->reroute(at(12))).value();
    CHECK(waiting_beyond(world, at(12)) == 0);
    CHECK(world.lease("smart.test", at(12), 50).size() == 50);
    CHECK(world.count("mark WHERE name LIKE 'hasten:%'") == 0);
  }
  CAPTURE(cost[0]);
  CHECK(cost[0] > 0);
  CHECK(cost[1] < cost[0] * 3 / 2 + 1000);
}

TEST_CASE(
    "BND-03: what waits for a rule comes due when it has changed, all of it, and no slice reads more than 40 pages") {
  TempDirectory dir;
  constexpr int many = 60'000, for_no_rule = 100;
  fill(dir.path(), many, at(900'000));
  disk::Database::open(dir / "queue.db", disk::Access::read_write)
      .value()
      .execute("UPDATE recipient SET reason = CASE WHEN (id >> 15) % " + std::to_string(many / for_no_rule) +
               " THEN 'dane-no-match' ELSE 'smtp-reply' END; PRAGMA wal_checkpoint(TRUNCATE)");
  support::FaultyVfs vfs;
  World world(dir.path(), {}, at(10));
  vfs.plan().read_delay_us = 500;
  struct Seen {
    bool over = false;
    int turns = 0;  // of who asks for the disk meanwhile
    int most_reads = 0;
  } seen;
  const auto watch = [](disk::Disk& disk, support::FaultyVfs& files, Seen& all) -> disk::asio::awaitable<void> {
    for (int before = files.plan().reads; !all.over; ++all.turns) {
      auto nothing = [](disk::Tx&) -> Result<> { return {}; };
      static_cast<void>(co_await disk.run(disk::Durability::read, std::move(nothing)));
      const int now = files.plan().reads;
      all.most_reads = std::max(all.most_reads, now - std::exchange(before, now));
    }
  };
  const auto wake = [](Queue& queue, Seen& all) -> disk::asio::awaitable<void> {
    std::string destination = "one.test";
    Wake wanted;
    wanted.reasons = {"dane-no-match"};
    wanted.now = at(20);
    const auto woken = co_await queue.wake(std::move(destination), std::move(wanted));
    all.over = true;
    CHECK(woken.has_value());
  };
  world.loop.start(wake(*world.queue, seen));
  world.loop.run(watch(*world.disk, vfs, seen), std::chrono::seconds(120));
  CHECK(seen.most_reads <= 40);
  CHECK(seen.turns >= 10);
  vfs.plan().read_delay_us = 0;
  CHECK(waiting_beyond(world, at(20)) == for_no_rule);
  CHECK(world.lease("one.test", at(20), 10).size() == 10);
}

TEST_CASE("BND-03: a start does not wait until all that belongs to no message is gone, and the sweep ends it") {
  TempDirectory dir;
  { World world(dir.path()); }
  disk::Database::open(dir / "queue.db", disk::Access::read_write)
      .value()
      .execute(
          "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO draft "
          "SELECT "
          "i FROM n; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO chunk "
          "SELECT i << 15, 0, zeroblob(5000) FROM n; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  support::FaultyVfs vfs;
  vfs.plan().read_delay_us = 500;
  World world(dir.path());
  CHECK(vfs.plan().reads < 5'000);
  vfs.plan().read_delay_us = 0;
  CHECK(world.count("draft") > 0);
  for (int calls = 0; calls < 50 && world.count("draft") > 0; ++calls)
    world.loop.run(world.queue->sweep(16 << 20)).value();
  CHECK(world.count("draft") == 0);
  CHECK(world.count("chunk") == 0);
}

}  // namespace queue_slices_test
