// SPDX-License-Identifier: Apache-2.0
// The start over a write-ahead log that a crash left: how much it asks of the disk, and what it writes anew.
#include <doctest/doctest.h>

#include "disk/disk.h"
#include "disk/log_file.h"
#include "disk/vfs.h"
#include "tests/disk/world.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/temp_directory.h"

namespace disk_start_test {

using namespace hoplock;
using namespace hoplock::disk;
using hoplock::disk::test::copy_store;
using hoplock::disk::test::World;

namespace {

// The table is one that a start looks at no further, as that of the bodies.
Options options_for(const std::filesystem::path& directory) {
  Options options;
  options.directory = directory;
  options.migrations = {{"test", "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", "item"}};
  return options;
}

}  // namespace

// A cold disk takes half a millisecond for each read, whether of one page or of many: 4 s are 8,000 reads.
TEST_CASE(
    "BND-03: a start over a log that a reader let grow to all that deliveries may write asks the disk 4,000 times") {
  support::TempDirectory dir;
  int id = 0;
  {
    World world(options_for(dir / "data"));
    REQUIRE(world.insert(id++, 10));
    auto reader = Database::open(dir / "data" / "queue.db", Access::read_only).value();
    reader.execute("BEGIN");
    CHECK(reader.integer("SELECT count(*) FROM item") == 1);
    while (id < 1000 && world.insert(id, 2'000'000)) ++id;
    REQUIRE(id < 1000);  // refused: it is at its end
    copy_store(dir / "data", dir / "crashed");
    reader.execute("COMMIT");
  }
  const auto log = std::filesystem::file_size(dir / "crashed" / "queue.db-wal");
  CHECK(log > (400U << 20U));
  CHECK(log < (640U << 20U));
  const auto before = calls_done();
  World next(options_for(dir / "crashed"));
  const auto calls = calls_done() - before;
  CHECK_MESSAGE(calls < 4000, calls);
  CHECK(next.count() == id);
}

TEST_CASE("DUR-02: a start writes anew of the log what no sync had covered, and only that") {
  support::TempDirectory dir;
  int id = 0;
  {
    World world(options_for(dir / "data"));
    for (; id < 20; ++id) REQUIRE(world.insert(id, 100'000));
    copy_store(dir / "data", dir / "known");
    auto job = [](Tx& tx) -> Result<int> {
      tx.prepare("INSERT INTO item VALUES (1000, ?1)").bind(std::string(100'000, 'y')).run();
      return 0;
    };
    REQUIRE(world.loop.run(world.disk->run(Durability::relaxed, std::move(job))));
    copy_store(dir / "data", dir / "beyond");
  }
  struct Row {
    const char* store;
    int least, most;  // writes of 64 KiB
    int rows;
  };
  for (const Row& row : {Row{"known", 0, 0, id}, Row{"beyond", 1, 3, id + 1}}) {
    CAPTURE(row.store);
    support::FaultyVfs vfs;
    auto db = Database::open(dir / row.store / "queue.db", Access::existing).value();
    CHECK(db.integer("SELECT count(*) FROM item") == row.rows);
    const int before = vfs.plan().log_writes;
    const int syncs = vfs.plan().syncs;
    REQUIRE(renew_log(db));
    CHECK(vfs.plan().log_writes - before >= row.least);
    CHECK(vfs.plan().log_writes - before <= row.most);
    CHECK(vfs.plan().syncs == syncs + (row.most > 0 ? 1 : 0));
    db.leave_log();
  }
}

}  // namespace disk_start_test
