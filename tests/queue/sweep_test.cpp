// SPDX-License-Identifier: Apache-2.0
// BND-03: the sweep goes on where the disk or the file is not well. Pages of a real file are damaged, and a disk that does not
// answer stands in the way.
#include <fstream>

#include "tests/queue/world.h"
#include "tests/support/faulty_vfs.h"

namespace queue_sweep_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

// Writes over the first octets of a page of the table, of this kind: "leaf" or "overflow". Which it is: the one on the path.
void spoil(const std::filesystem::path& file, const std::string& where) {
  std::int64_t page = 0;
  {
    auto db = disk::Database::open(file, disk::Access::read_only).value();
    page = db.integer("SELECT pageno FROM dbstat WHERE name = 'chunk' AND " + where + " LIMIT 1");
  }
  REQUIRE(page > 1);
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp((page - 1) * 4096);
  out << std::string(64, '\x5a');
}

std::vector<Id> sweep_all(World& world) {
  std::vector<Id> damaged;
  for (int calls = 0; calls < 100; ++calls) {
    const auto swept = world.loop.run(world.queue->sweep(4 << 20)).value();
    damaged.insert(damaged.end(), swept.damaged.begin(), swept.damaged.end());
    if (swept.end) return damaged;
  }
  FAIL_CHECK("the sweep does not come to its end");
  return damaged;
}

}  // namespace

TEST_CASE("sweep: a damaged page under a body stops neither the look at those behind it nor their delivery") {
  for (const std::string where : {"pagetype = 'overflow'", "pagetype = 'leaf'", "pagetype = 'internal'"}) {
    CAPTURE(where);
    support::TempDirectory dir;
    std::vector<Id> all;
    {
      World world(dir.path());
      for (int i = 0; i < 400; ++i)
        all.push_back(world.put({"a@one.test"}, std::string(i % 100 == 0 ? 200'000 : 3'000, 'x'), at(i)));
    }
    disk::Database::open(dir / "queue.db", disk::Access::read_write)
        .value()
        .execute("UPDATE chunk SET sum = sum + 1 WHERE id >> 15 = " + std::to_string(all.back().value) +
                 "; PRAGMA wal_checkpoint(TRUNCATE)");
    spoil(dir / "queue.db", where);
    World world(dir.path(), {}, at(1000));
    const auto damaged = sweep_all(world);
    REQUIRE(!damaged.empty());
    CHECK(damaged.back() == all.back());
    CHECK(sweep_all(world).size() >= damaged.size());  // the next round comes to the end as well
    std::size_t leased = 0;
    for (auto jobs = world.lease("one.test", at(1002), 500); !jobs.empty();
         jobs = world.lease("one.test", at(1002), 500))
      leased += jobs.size();
    CHECK(leased + damaged.size() == all.size());
    Filter held;
    held.state = "held";
    CHECK(world.list(held).size() == damaged.size());
  }
}

TEST_CASE("a damaged page under one body leaves the others of its destination deliverable before any sweep") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    for (int i = 0; i < 20; ++i) world.put({"a@one.test"}, std::string(9'000, 'x'), at(i));
  }
  spoil(dir / "queue.db", "pagetype = 'overflow'");
  World world(dir.path(), {}, at(1000));
  CHECK(world.lease("one.test", at(1000)).size() == 19);
}

TEST_CASE("sweep: a place that cannot be read is passed over and told, and looked at again") {
  support::TempDirectory dir;
  std::vector<Id> all;
  {
    World world(dir.path());
    for (int i = 0; i < 200; ++i) all.push_back(world.put({"a@one.test"}, std::string(30'000, 'x'), at(i)));
  }
  disk::Database::open(dir / "queue.db", disk::Access::read_write)
      .value()
      .execute("UPDATE chunk SET sum = sum + 1 WHERE id >> 15 = " + std::to_string(all.back().value) +
               "; PRAGMA wal_checkpoint(TRUNCATE)");
  support::FaultyVfs vfs;
  int told = 0;
  for (int step = 0; step < 60; step += 3) {
    CAPTURE(step);
    World world(dir.path(), {}, at(1000));
    vfs.plan().reads_until_failure = step;
    std::vector<Id> damaged;
    for (int calls = 0; calls < 400 && damaged.empty(); ++calls) {
      const auto swept = world.loop.run(world.queue->sweep(1 << 20));
      vfs.heal();  // it was read once; the sweep does not begin anew for it
      if (!swept) CHECK(swept.error().code == errc::io_error);
      if (!swept || swept->unread) ++told;
      if (swept) damaged = swept->damaged;
    }
    CHECK(damaged == std::vector<Id>{all.back()});
  }
  CHECK(told > 0);
}

}  // namespace queue_sweep_test
