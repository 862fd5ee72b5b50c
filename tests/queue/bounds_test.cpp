// SPDX-License-Identifier: Apache-2.0
// BND-03 and DUR-04 at the queue: a start, the background and a message with very many recipients cost what they should. Proved
// by counting pages that are read and instructions that SQLite runs, on a disk that is made slow or fails.
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include <sched.h>

#include "store_sqlite/inspect.h"
#include "tests/queue/instructions.h"
#include "tests/queue/world.h"
#include "tests/support/faulty_vfs.h"

namespace queue_bounds_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

// As many messages as told, one recipient each, held back until long after; by SQL, for they are many.
void fill(const std::filesystem::path& directory, int messages, int domains) {
  { World world(directory); }
  auto db = disk::Database::open(directory / "queue.db", disk::Access::read_write).value();
  const std::string n = std::to_string(messages), d = std::to_string(domains);
  const std::string first = std::to_string(Id::at(t0).value), late = std::to_string(to_millis(at(1'000'000)));
  const std::string rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ";
  db.execute(
      "BEGIN;" + rows + d + ") INSERT INTO destination (id, name, due) SELECT i, 'd' || i || '.test', " + late +
      " FROM n;" + rows + d + ") INSERT INTO domain (id, name, destination, due) SELECT i, 'd' || i || '.test', i, " +
      late + " FROM n;" + rows + n +
      ") INSERT INTO message (id, received, size, chunks, recipients, flags, sender, client)"
      " SELECT " +
      first + " + i, " + std::to_string(to_millis(t0)) + ", 10, 1, 1, 0, 's@example.net', '192.0.2.1' FROM n;" + rows +
      n + ") INSERT INTO chunk SELECT (" + first + " + i) << 15, 2363233923, x'78' FROM n;" + rows + n +
      ") INSERT INTO recipient (id, domain, state, due, attempts, interval, address, notify) SELECT (" + first +
      " + i) << 15, 1 + i % " + d + ", 1, " + late + ", 1, 300000, 'somebody.or.other' || i || '@d' || (1 + i % " + d +
      ") || '.test', 0 FROM n; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace

TEST_CASE(
    "BND-03: a start checks a bounded number of pages, and looks behind it keep the disk for no longer than 20 ms") {
  support::TempDirectory dir;
  fill(dir.path(), 300'000, 100);
  support::FaultyVfs vfs;
  vfs.plan().read_delay_us = 500;
  World world(dir.path(), {}, at(10));
  CHECK(vfs.plan().reads < 9'000);  // 4.5 s
  const Id id = world.put({"a@new.test"}, "Subject: x\r\n\r\nhello\r\n", at(11));
  CHECK(world.lease("new.test", at(11)).at(0).id == id);
  int worst = 0;
  for (Inspected from;;) {
    const int before = vfs.plan().reads;
    from = world.loop
               .run(world.disk->run(disk::Durability::read,
                                    [from](disk::Tx& tx) -> Result<Inspected> { return inspect(tx, from); }))
               .value();
    worst = std::max(worst, vfs.plan().reads - before);
    if (from.table != Inspected::Table::message) break;
  }
  CHECK(worst <= 40);
}

TEST_CASE("BND-03: damage that the start had no time for is found in slices") {
  support::TempDirectory dir;
  fill(dir.path(), 300'000, 100);
  std::int64_t page = 0;
  {
    auto db = disk::Database::open(dir / "queue.db", disk::Access::read_only).value();
    page = db.integer(
        "SELECT pageno FROM dbstat WHERE name = 'recipient' AND pagetype = 'leaf' ORDER BY path DESC LIMIT 1");
  }
  REQUIRE(page > 1);
  {
    std::fstream file(dir / "queue.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((page - 1) * 4096);
    file << std::string(4096, '\x5a');
  }
  support::FaultyVfs vfs;
  vfs.plan().read_delay_us = 500;
  World world(dir.path(), {}, at(10));
  vfs.plan().read_delay_us = 0;
  Result<Queue::Swept> swept{Queue::Swept{}};
  for (int i = 0; i < 100 && swept; ++i) swept = world.loop.run(world.queue->sweep(1 << 20));
  REQUIRE(!swept);
  CHECK(swept.error().code == errc::bad_message);
}

TEST_CASE("what could not be read is not called damaged, and is read when the disk is well") {
  for (const bool large : {false, true}) {
    CAPTURE(large);
    support::TempDirectory dir;
    Id id;
    {
      World world(dir.path());
      id = world.put({"a@one.test"}, std::string(large ? 200'000 : 9'000, 'x'));
    }
    support::FaultyVfs vfs;
    for (int step = 0; step < 40; ++step) {
      World world(dir.path());
      std::vector<Id> damaged;
      world.queue->on_damage([&](Id which) { damaged.push_back(which); });
      vfs.plan().reads_until_failure = step;
      LeaseLimit limit;
      const auto failed = world.loop.run(world.queue->lease("one.test", at(1), limit));
      if (!failed) CHECK(failed.error().code == errc::io_error);
      for (std::uint32_t n = 0; large && n < 4; ++n)
        if (const auto chunk = world.loop.run(world.queue->read_chunk(id, n)); !chunk)
          CHECK(chunk.error().code == errc::io_error);
      static_cast<void>(world.loop.run(world.queue->sweep(1 << 20)));
      vfs.heal();
      CHECK(damaged.empty());
      CHECK(world.list().at(0).state() != "held");
      if (failed && !failed->empty()) continue;
      CHECK(world.lease("one.test", at(1)).size() == 1);
    }
  }
}

TEST_CASE("old mail that is held is not walked at each failure of another destination") {
  Instructions instructions;
  std::int64_t cost[2] = {0, 0};
  for (const int large : {0, 1}) {
    support::TempDirectory dir;
    fill(dir.path(), large ? 60'000 : 6'000, 10);
    World world(dir.path());
    disk::Database::open(dir / "queue.db", disk::Access::read_write).value().execute("UPDATE recipient SET state = 2");
    const Id old = world.put({"a@down.test"}, "x\r\n", at(500));
    const Id young = world.put({"b@down.test"}, "x\r\n", at(900'000));
    LeaseLimit limit;
    instructions.reset();
    const auto found = world.loop.run(world.queue->lease_older("down.test", at(800'000), limit)).value();
    cost[large] = instructions.count();
    REQUIRE(found.size() == 1);
    CHECK(found[0].id == old);
    CHECK(old < young);
  }
  CAPTURE(cost[0]);
  CHECK(cost[0] > 0);
  CHECK(cost[1] < cost[0] * 3 / 2 + 1000);
}

TEST_CASE("very many recipients with a domain each cost in proportion") {
  Instructions instructions;
  std::int64_t cost[2] = {0, 0};
  for (const int large : {0, 1}) {
    support::TempDirectory dir;
    Options options;
    options.window_messages = 64;  // so that most are read back
    World world(dir.path(), options);
    std::vector<std::string> many;
    const int count = large ? 2000 : 500;
    for (int i = 0; i < count; ++i) many.push_back("u@d" + std::to_string(i) + ".test");
    instructions.reset();
    const Id id = world.put(many);
    for (int i = 0; i < count; ++i) {
      const auto jobs = world.lease("d" + std::to_string(i) + ".test");
      REQUIRE(jobs.size() == 1);
      CHECK(jobs[0].recipients.size() == 1);
      world.apply({World::all(jobs[0], Verdict::delivered)}, at(1));
    }
    cost[large] = instructions.count();
    CHECK(!world.reader().show(id, {}).value().has_value());
  }
  CAPTURE(cost[0]);
  CHECK(cost[0] > 0);
  CHECK(cost[1] < 4 * cost[0] * 3 / 2);
}

namespace {

// In a mount namespace of its own, on a small real file system.
int on_small_disk(int (*body)(const std::filesystem::path&)) {
  support::TempDirectory dir;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=24m") != 0)
      ::_exit(77);
    int code = 99;
    try {
      code = body(dir.path());
    } catch (const std::exception&) {
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

// A stream without end, and what is left for the others.
int greedy(const std::filesystem::path& directory) {
  World world(directory);
  world.queue->set_min_free_space(12 << 20);
  auto writer = std::make_unique<Writer>(world.queue->begin(t0));
  bool refused = false;
  for (int i = 0; i < 16 && !refused; ++i) refused = !world.loop.run(writer->write(std::string(1 << 20, 'x')));
  if (!refused) return 1;
  const auto system = std::filesystem::space(directory);
  if (system.available < (8U << 20U)) return 2;
  writer.reset();  // its chunks go at once
  for (int i = 0; world.count("chunk") > 0; ++i) {
    if (i == 500) return 3;
    world.loop.io().run_for(std::chrono::milliseconds(10));
    world.loop.io().restart();
  }
  ::usleep(20'000);  // what is known of free space may be a few milliseconds old
  if (!world.queue->accepting()) return 4;
  world.put({"new@one.test"}, "x\r\n", at(1));
  return world.lease("one.test", at(1)).size() == 1 ? 0 : 5;
}

}  // namespace

TEST_CASE("DUR-04: a stream stops at min_free_space, and what it wrote is given back at once when it is abandoned") {
  const int code = on_small_disk(greedy);
  CHECK(code == 0);
}

}  // namespace queue_bounds_test
