// SPDX-License-Identifier: Apache-2.0
#include "disk/disk.h"

#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <thread>

#include "tests/support/faulty_vfs.h"
#include "tests/support/loop.h"
#include "tests/support/temp_directory.h"

namespace disk_disk_test {

using namespace hoplock;
using namespace hoplock::disk;

namespace {

const std::vector<Migration> one_table = {
    {"test", "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", {}}};

struct World {
  explicit World(const std::filesystem::path& directory, std::size_t checkpoint_bytes = 24 << 20) {
    Options options;
    options.directory = directory;
    options.migrations = one_table;
    options.checkpoint_bytes = checkpoint_bytes;
    options.checkpoint_cap_bytes = 4 * checkpoint_bytes;
    auto opened = Disk::open(loop.executor(), options);
    if (!opened) throw std::runtime_error(opened.error().detail);
    disk = std::move(*opened);
  }
  support::Loop loop;
  std::unique_ptr<Disk> disk;
};

auto insert(int id, std::string text = "x") {
  return [id, text](Tx& tx) -> Result<int> {
    tx.prepare("INSERT INTO item VALUES (?1, ?2)").bind(id, text).run();
    return id;
  };
}

auto count() {
  return [](Tx& tx) -> Result<std::int64_t> {
    auto row = tx.prepare("SELECT count(*) FROM item");
    row.step();
    return row.integer(0);
  };
}

template <class F>
asio::awaitable<void> collect(Disk& disk, F job, std::vector<std::string>& out) {
  auto result = co_await disk.run(Durability::durable, std::move(job));
  out.push_back(result ? "ok" : result.error().detail);
}

std::string octets_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("run: a durable job is there after the daemon is opened again") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    CHECK(world.loop.run(world.disk->run(Durability::durable, insert(7))).value() == 7);
  }
  World world(dir.path());
  CHECK(world.loop.run(world.disk->run(Durability::read, count())).value() == 1);
}

TEST_CASE("run: the work of many sessions that wait together costs fewer syncs than commits") {
  support::TempDirectory dir;
  support::FaultyVfs vfs;
  World world(dir.path());
  vfs.plan().sync_delay_us = 2000;
  vfs.plan().syncs = 0;
  std::vector<std::string> results;
  for (int i = 0; i < 200; ++i) world.loop.start(collect(*world.disk, insert(i), results));
  world.loop.run_all();
  CHECK(results.size() == 200);
  CHECK(std::count(results.begin(), results.end(), "ok") == 200);
  CHECK(vfs.plan().syncs >= 1);
  CHECK(vfs.plan().syncs < 20);
}

asio::awaitable<void> insert_some(Disk& disk, int first, int how_many) {
  for (int i = 0; i < how_many; ++i) {
    auto job = insert(first + i);
    const auto done = co_await disk.run(Durability::durable, std::move(job));
    CHECK(done);
  }
}

TEST_CASE(
    "run: on a slow disk sessions that take turns are gathered into one commit, not into two halves that wait for each "
    "other") {
  support::TempDirectory dir;
  support::FaultyVfs vfs;
  World world(dir.path());
  vfs.plan().sync_delay_us = 10000;
  const int before = vfs.plan().syncs;
  for (int session = 0; session < 10; ++session) world.loop.start(insert_some(*world.disk, session * 100, 20));
  world.loop.run_all();
  CHECK(vfs.plan().syncs - before <= 30);  // 20 when all ten always share; two halves would need 40
}

TEST_CASE("run: whoever comes after a commit that stalled does not wait a share of that time") {
  support::TempDirectory dir;
  support::FaultyVfs vfs;
  World world(dir.path());
  vfs.plan().sync_delay_us = 1'500'000;
  for (int session = 0; session < 3; ++session) world.loop.start(insert_some(*world.disk, session, 1));
  world.loop.run_all();  // the last of its commits is that of several
  vfs.plan().sync_delay_us = 0;
  const auto began = std::chrono::steady_clock::now();
  world.loop.run(world.disk->run(Durability::durable, insert(2000))).value();
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::milliseconds(300));  // a third of it would be 500 ms
}

TEST_CASE("run: one that waits alone is synced before it completes, every time") {
  support::TempDirectory dir;
  support::FaultyVfs vfs;
  World world(dir.path());
  const int start = vfs.plan().syncs;
  for (int i = 0; i < 20; ++i) {
    const int before = vfs.plan().syncs;
    CHECK(world.loop.run(world.disk->run(Durability::durable, insert(i))).has_value());
    CHECK(vfs.plan().syncs > before);
  }
  CHECK(vfs.plan().syncs <= start + 20 + 2);  // the log's header is synced by itself when it starts
}

TEST_CASE("run: reads and relaxed writes cost no sync; the next durable commit covers what was relaxed") {
  support::TempDirectory dir;
  support::FaultyVfs vfs;
  World world(dir.path());
  CHECK(world.loop.run(world.disk->run(Durability::durable, insert(1))).has_value());
  const int before = vfs.plan().syncs;
  CHECK(world.loop.run(world.disk->run(Durability::relaxed, insert(2))).has_value());
  CHECK(world.loop.run(world.disk->run(Durability::read, count())).value() == 2);
  CHECK(vfs.plan().syncs == before);
  CHECK(world.loop.run(world.disk->run(Durability::durable, insert(3))).has_value());
  CHECK(vfs.plan().syncs == before + 1);
}

TEST_CASE("run: a job that fails leaves nothing behind and spoils none of the others") {
  support::TempDirectory dir;
  World world(dir.path());
  int rollbacks = 0;
  world.disk->on_rollback([&rollbacks] { ++rollbacks; });
  std::vector<std::string> results;
  auto failing = [](Tx& tx) -> Result<int> {
    tx.prepare("INSERT INTO item VALUES (1000, 'never')").run();
    return bad_input("no");
  };
  auto breaking = [](Tx& tx) -> Result<int> {
    tx.prepare("INSERT INTO item VALUES (1, 'twice')").run();  // a constraint
    return 0;
  };
  for (int i = 0; i < 10; ++i) world.loop.start(collect(*world.disk, insert(i), results));
  world.loop.start(collect(*world.disk, failing, results));
  world.loop.start(collect(*world.disk, breaking, results));
  for (int i = 10; i < 20; ++i) world.loop.start(collect(*world.disk, insert(i), results));
  world.loop.run_all();
  CHECK(std::count(results.begin(), results.end(), "ok") == 20);
  CHECK(std::count(results.begin(), results.end(), "no") == 1);
  CHECK(world.loop.run(world.disk->run(Durability::read, count())).value() == 20);
  CHECK(rollbacks > 0);
  CHECK(world.disk->health().has_value());
}

TEST_CASE("run: an exception comes back to the loop, and nothing of that job is kept") {
  support::TempDirectory dir;
  World world(dir.path());
  auto throwing = [](Tx& tx) -> Result<int> {
    tx.prepare("INSERT INTO item VALUES (1, 'x')").run();
    throw std::logic_error("a bug");
  };
  CHECK_THROWS_AS(world.loop.run(world.disk->run(Durability::durable, throwing)), std::logic_error);
  CHECK(world.loop.run(world.disk->run(Durability::read, count())).value() == 0);
}

// A failed sync is not among them: see safety_test.cpp.
TEST_CASE("run: a full disk and an I/O error are told apart, and work resumes when they are over") {
  struct Row {
    int error;
    errc::errc_t code;
    const char* why;
  };
  const Row rows[] = {
      {SQLITE_FULL, errc::no_space_on_device, "ENOSPC from write"},
      {SQLITE_IOERR_WRITE, errc::io_error, "EIO from write"},
      {SQLITE_READONLY, errc::read_only_file_system, "a disk that went read-only"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    support::TempDirectory dir;
    support::FaultyVfs vfs;
    World world(dir.path());
    CHECK(world.loop.run(world.disk->run(Durability::durable, insert(1))).has_value());
    vfs.plan().error = row.error;
    vfs.plan().writes_until_failure = 0;
    for (int i = 0; i < 3; ++i) {
      const auto failed = world.loop.run(world.disk->run(Durability::durable, insert(2)));
      REQUIRE(!failed);
      CHECK(failed.error().code == row.code);
      CHECK(is_unavailable(failed.error()));
      CHECK(is_full(failed.error()) == (row.error == SQLITE_FULL));
      CHECK(!world.disk->health());
    }
    CHECK(world.loop.run(world.disk->run(Durability::read, count())).value() == 1);
    vfs.heal();
    CHECK(world.loop.run(world.disk->run(Durability::durable, insert(2))).has_value());
    CHECK(world.disk->health().has_value());
    CHECK(world.loop.run(world.disk->run(Durability::read, count())).value() == 2);
  }
}

TEST_CASE("run: failing at every write and sync in turn, a good answer is always kept and a bad one never half") {
  for (int step = 0; step < 60; ++step) {
    support::TempDirectory dir;
    support::FaultyVfs vfs;
    std::vector<int> good;
    {
      World world(dir.path());
      vfs.plan().error = step % 2 ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
      (step % 2 ? vfs.plan().writes_until_failure : vfs.plan().syncs_until_failure) = step / 2;
      for (int i = 0; i < 20; ++i) {
        auto pair = [i](Tx& tx) -> Result<int> {
          tx.prepare("INSERT INTO item VALUES (?1, 'a')").bind(2 * i).run();
          tx.prepare("INSERT INTO item VALUES (?1, 'b')").bind(2 * i + 1).run();
          return i;
        };
        if (world.loop.run(world.disk->run(Durability::durable, pair))) good.push_back(i);
        if (i == 15) vfs.heal();
      }
    }
    World world(dir.path());
    auto keys = [](Tx& tx) -> Result<std::vector<std::int64_t>> {
      std::vector<std::int64_t> all;
      for (auto row = tx.prepare("SELECT id FROM item"); row.step();) all.push_back(row.integer(0));
      return all;
    };
    const auto found = world.loop.run(world.disk->run(Durability::read, keys)).value();
    CHECK(found.size() % 2 == 0);
    for (const int i : good) CHECK(std::count(found.begin(), found.end(), 2 * i) == 1);
    if (step % 2) CHECK(good.size() >= 4);  // after a failed sync nothing is taken until the next start
  }
}

TEST_CASE("the write-ahead log does not grow without end, however slow its copying is") {
  support::TempDirectory dir;
  World world(dir.path(), 1 << 20);
  const std::string text(20'000, 'x');
  std::uintmax_t largest = 0;
  for (int i = 0; i < 1500; ++i) {
    REQUIRE(world.loop.run(world.disk->run(Durability::relaxed, insert(i, text))).has_value());
    largest = std::max(largest, std::filesystem::file_size(dir / "queue.db-wal"));
  }
  CHECK(largest < (6u << 20));  // of 30 MiB written
}

TEST_CASE("open: files are for the owner and the group only") {
  support::TempDirectory dir;
  World world(dir / "data");
  CHECK(world.loop.run(world.disk->run(Durability::durable, insert(1))).has_value());
  for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm", "lock"}) {
    struct stat status {};
    CAPTURE(name);
    REQUIRE(::stat((dir / "data" / name).c_str(), &status) == 0);
    CHECK((status.st_mode & 0137) == 0);
  }
}

TEST_CASE("open: a second daemon is refused, and the lock is named") {
  support::TempDirectory dir;
  World world(dir.path());
  Options options;
  options.directory = dir.path();
  options.migrations = one_table;
  const auto second = Disk::open(world.loop.executor(), options);
  REQUIRE(!second);
  CHECK(second.error().code == errc::device_or_resource_busy);
  CHECK(second.error().detail.find((dir / "lock").string()) != std::string::npos);
  CHECK(second.error().detail.find(std::to_string(::getpid())) != std::string::npos);
}

TEST_CASE("free_bytes: pages that the database has free count, once they have their place in its file") {
  support::TempDirectory dir;
  World world(dir.path(), 1 << 20);
  CHECK(world.loop.run(world.disk->run(Durability::durable, insert(1, std::string(8 << 20, 'x')))).has_value());
  auto remove = [](Tx& tx) -> Result<int> {
    tx.prepare("DELETE FROM item").run();
    return 0;
  };
  CHECK(world.loop.run(world.disk->run(Durability::durable, remove)).has_value());
  const auto counts = [&] {
    return world.disk->free_bytes() + (4 << 20) > std::filesystem::space(dir.path()).available + (8 << 20);
  };
  for (int i = 0; i < 200 && !counts(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(counts());
}

TEST_CASE("free_bytes: what was just written is known at once, not a second later") {
  support::TempDirectory dir;
  World world(dir.path());
  const auto before = world.disk->free_bytes();
  CHECK(world.loop.run(world.disk->run(Durability::durable, insert(1, std::string(64 << 20, 'x')))).has_value());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(world.disk->free_bytes() + (32 << 20) < before);
}

TEST_CASE("open_read_only: another connection reads while the daemon writes, and when it is stopped") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    CHECK(world.loop.run(world.disk->run(Durability::durable, insert(1))).has_value());
    auto reader = open_read_only(dir / "queue.db");
    REQUIRE(reader.has_value());
    CHECK(reader->integer("SELECT count(*) FROM item") == 1);
    CHECK(world.loop.run(world.disk->run(Durability::durable, insert(2))).has_value());
    CHECK(reader->integer("SELECT count(*) FROM item WHERE 1") == 2);
    CHECK_THROWS_AS(reader->execute("DELETE FROM item"), Failure);
  }
  const auto before = octets_of(dir / "queue.db");
  {
    auto reader = open_read_only(dir / "queue.db");
    REQUIRE(reader.has_value());
    CHECK(reader->integer("SELECT count(*) FROM item") == 2);
  }
  CHECK(octets_of(dir / "queue.db") == before);
  CHECK(open_read_only(dir / "none.db").error().code == errc::no_such_file_or_directory);
}

TEST_CASE("open_read_only: who may read the files and not write them reads beside the daemon, and when it is stopped") {
  if (geteuid() != 0) return;  // it takes two users
  constexpr gid_t group = 65534;
  support::TempDirectory dir;
  const auto share = [&dir] {
    CHECK(::chown(dir.path().c_str(), 0, group) == 0);
    CHECK(::chmod(dir.path().c_str(), 0750) == 0);
    for (const auto& entry : std::filesystem::directory_iterator(dir.path()))
      CHECK(::chown(entry.path().c_str(), 0, group) == 0);
  };
  // As a member of the group: the bare system call changes this thread alone.
  const auto counted = [&dir] {
    std::string found;
    std::thread([&] {
      if (syscall(SYS_setresgid, group, group, group) != 0 || syscall(SYS_setresuid, group, group, group) != 0) return;
      try {
        auto reader = open_read_only(dir / "queue.db");
        found = reader ? std::to_string(reader->integer("SELECT count(*) FROM item")) : reader.error().detail;
      } catch (const Failure& failure) {
        found = failure.error().detail;
      }
    }).join();
    return found;
  };
  {
    World world(dir.path());
    CHECK(world.loop.run(world.disk->run(Durability::durable, insert(1))).has_value());
    share();
    CHECK(counted() == "1");
  }
  CHECK(counted() == "1");
}

}  // namespace disk_disk_test
