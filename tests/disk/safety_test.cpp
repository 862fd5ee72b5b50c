// SPDX-License-Identifier: Apache-2.0
// What happens around the store while it is in use: other programs with its files, a sync that fails.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <utility>

#include "disk/backup.h"
#include "disk/disk.h"
#include "tests/disk/world.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/temp_directory.h"

namespace disk_safety_test {

using namespace hoplock;
using namespace hoplock::disk;
using namespace hoplock::disk::test;

namespace {

// Rows of type "POSIX … READ" that this process holds on the file: SQLite's shared lock, as another process would see it.
bool is_locked(const std::filesystem::path& path) {
  const std::string command =
      "/usr/bin/python3 -c \"import fcntl,struct,sys\nf=open(sys.argv[1],'r+b')\n"
      "l=struct.pack('hhqqi4x',fcntl.F_WRLCK,0,0x40000002,510,0)\n"
      "r=struct.unpack('hhqqi4x',fcntl.fcntl(f,fcntl.F_GETLK,l))\nsys.exit(0 if r[0]!=fcntl.F_UNLCK else 1)\" '" +
      path.string() + "'";
  return std::system(command.c_str()) == 0;
}

ino_t inode_of(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

TEST_CASE(
    "DUR-01: SQLite's lock outlives checkpoints, readers and examinations, so another program's shell leaves the log "
    "alone") {
  support::TempDirectory dir;
  World world(dir.path());
  const auto database = dir / "queue.db";
  int id = 0;
  while (world.sizes().database < (4 << 20)) REQUIRE(world.insert(++id, 20'000));  // several checkpoints
  { CHECK(open_read_only(database).has_value()); }
  CHECK(is_locked(database));
  const ino_t log = inode_of(dir / "queue.db-wal");
  CHECK(shell(database, ".backup " + (dir / "copy").string()) == 0);
  CHECK(shell(database, "PRAGMA wal_checkpoint; SELECT count(*) FROM item") == 0);
  CHECK(inode_of(dir / "queue.db-wal") == log);
  REQUIRE(world.insert(++id));
  copy_store(dir.path(), dir / "after");
  World after(dir / "after");
  CHECK(after.count() == id);
}

TEST_CASE(
    "DUR-03: a file of the store that vanishes, is replaced or cut is noticed before the next answer, and nothing is "
    "lost") {
  struct Row {
    const char* why;
    std::function<void(const std::filesystem::path&)> harm;
    const char* names;
  };
  const auto replace = [](const std::filesystem::path& path) {
    std::filesystem::copy_file(path, path.string() + "x");
    std::filesystem::rename(path.string() + "x", path);
  };
  const Row rows[] = {
      {"the log is deleted", [](const auto& dir) { std::filesystem::remove(dir / "queue.db-wal"); },
       "queue.db-wal was deleted"},
      {"the index is deleted", [](const auto& dir) { std::filesystem::remove(dir / "queue.db-shm"); },
       "queue.db-shm was deleted"},
      {"the database is deleted", [](const auto& dir) { std::filesystem::remove(dir / "queue.db"); },
       "queue.db was deleted"},
      {"the database is renamed", [](const auto& dir) { std::filesystem::rename(dir / "queue.db", dir / "old.db"); },
       "queue.db was deleted or renamed"},
      {"the log is replaced", [&](const auto& dir) { replace(dir / "queue.db-wal"); }, "queue.db-wal was replaced"},
      {"the database is replaced", [&](const auto& dir) { replace(dir / "queue.db"); }, "queue.db was replaced"},
      {"all of it is deleted",
       [](const auto& dir) {
         for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm", "lock"})
           std::filesystem::remove(dir / name);
       },
       "queue.db was deleted"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    support::TempDirectory dir;
    {
      World world(dir.path());
      for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
      row.harm(dir.path());
      const auto refused = world.insert(1000);
      REQUIRE(!refused);
      CHECK(refused.error().code == errc::io_error);
      CHECK_MESSAGE(refused.error().detail.find(row.names) != std::string::npos, refused.error().detail);
      CHECK(!world.disk->health());
      CHECK(world.wait_for(News::Gravity::fatal).find(row.names) != std::string::npos);
      CHECK(world.disk->broken());
      CHECK(!world.insert(1001));
    }
    World next(dir.path());
    CHECK(next.count() >= 50);
    CHECK(next.insert(2000).has_value());
  }
}

TEST_CASE("DUR-03: a log that is cut short is noticed before the next answer") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
  std::filesystem::resize_file(dir / "queue.db-wal", 32 + 5 * frame_octets);
  CHECK(world.wait_for(News::Gravity::fatal).find("queue.db-wal was cut to") != std::string::npos);
  CHECK(!world.insert(1000));
}

TEST_CASE(
    "DUR-03: a file that is copied over the database is noticed before the next answer, and nothing goes into it") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
  }
  std::filesystem::copy_file(dir / "queue.db", dir / "old.db");
  World world(dir.path());
  for (int i = 50; i < 100; ++i) REQUIRE(world.insert(i));
  CHECK(shell(dir / "queue.db", "PRAGMA wal_checkpoint(PASSIVE)") == 0);  // what SQLite copies there is no loss
  REQUIRE(world.insert(100));
  for (int i = 101; i < 200; ++i) REQUIRE(world.insert(i));
  std::system(("touch '" + (dir / "queue.db").string() + "'").c_str());
  REQUIRE(world.insert(200));
  std::string old = octets_of(dir / "old.db");
  old.resize(std::filesystem::file_size(dir / "queue.db"), '\0');  // as long, so that its length tells nothing
  {
    std::fstream file(dir / "queue.db", std::ios::in | std::ios::out | std::ios::binary);  // its inode stays
    file << old;
  }
  CHECK(!world.insert(201));
  CHECK(world.wait_for(News::Gravity::fatal).find("was overwritten") != std::string::npos);
  CHECK(world.disk->broken());
  world.disk.reset();
  CHECK(octets_of(dir / "queue.db") == old);
}

TEST_CASE("DUR-03: it is noticed too where the log began anew, or a recovery came before") {
  for (const bool killed : {false, true}) {
    CAPTURE(killed);
    support::TempDirectory dir;
    {
      World world(dir.path());
      for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
    }
    const std::string old = octets_of(dir / "queue.db");
    if (killed) {
      const pid_t child = ::fork();
      if (child == 0) {
        World world(dir.path());
        for (int i = 50; i < 100; ++i) static_cast<void>(world.insert(i));
        ::_exit(0);  // its log stays
      }
      ::waitpid(child, nullptr, 0);
    }
    World world(dir.path());
    for (int i = 100; i < 150; ++i) REQUIRE(world.insert(i));
    if (killed) {
      std::string before, now = old;
      for (int i = 0; i < 10'000 && (now == old || now != before); ++i) {  // what was recovered is copied once
        before = std::exchange(now, octets_of(dir / "queue.db"));
        ::usleep(1000);
      }
      REQUIRE(now != old);
      REQUIRE(world.insert(150));
    }
    std::string foreign = octets_of(dir / "queue.db");
    for (std::size_t i = 4096; i < foreign.size(); ++i) foreign[i] = static_cast<char>(~foreign[i]);
    {
      std::fstream file(dir / "queue.db", std::ios::in | std::ios::out | std::ios::binary);
      file << foreign;
    }
    CHECK(!world.insert(200));
    CHECK(world.wait_for(News::Gravity::fatal).find("was overwritten") != std::string::npos);
  }
}

TEST_CASE("DUR-03: an index that is cut under the daemon ends it with a line that names the file, nothing is lost") {
  support::TempDirectory dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const int said = ::open((dir / "said").c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(said, STDERR_FILENO);
    World world(dir / "data");
    for (int i = 0; i < 20; ++i) static_cast<void>(world.insert(i));
    std::filesystem::resize_file(dir / "data" / "queue.db-shm", 0);
    static_cast<void>(world.insert(20));
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 74);
  CHECK(octets_of(dir / "said").find((dir / "data" / "queue.db-shm").string()) != std::string::npos);
  World world(dir / "data");
  CHECK(world.count() >= 20);
}

TEST_CASE("DUR-04: a clean end leaves the log and its index their names, for a start that can make no files") {
  support::TempDirectory dir;
  for (int round = 0; round < 2; ++round) {
    World world(dir.path());
    for (int i = 0; i < 20; ++i) REQUIRE(world.insert(round * 100 + i));
    const auto log = inode_of(dir / "queue.db-wal"), index = inode_of(dir / "queue.db-shm");
    world.disk.reset();
    CHECK(inode_of(dir / "queue.db-wal") == log);
    CHECK(inode_of(dir / "queue.db-shm") == index);
    CHECK(std::filesystem::file_size(dir / "queue.db-wal") == 0);
    CHECK(open_read_only(dir / "queue.db").value().integer("SELECT count(*) FROM item") == (round + 1) * 20);
  }
}

TEST_CASE(
    "DUR-03: a log that is cut under the daemon is noticed by the very next write, and nothing of it comes into the "
    "database") {
  support::TempDirectory dir;
  for (const std::size_t left : {std::size_t{0}, std::size_t{32}, 32 + 10 * static_cast<std::size_t>(frame_octets)}) {
    CAPTURE(left);
    const auto data = dir / ("data" + std::to_string(left));
    {
      World world(data);
      for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
      const auto before = octets_of(data / "queue.db");
      std::filesystem::resize_file(data / "queue.db-wal", left);
      CHECK(!world.insert(50));  // at once: it would write behind a hole
      CHECK(!world.insert(51));
      CHECK(world.wait_for(News::Gravity::fatal).find("was cut to") != std::string::npos);
      CHECK(world.disk->broken());
      world.disk.reset();
      CHECK(octets_of(data / "queue.db") == before);
    }
    support::Loop loop;
    const auto opened = Disk::open(loop.executor(), options_for(data));
    REQUIRE(!opened);
    CHECK(opened.error().code == errc::bad_message);
  }
}

TEST_CASE("DUR-03: a log whose header is overwritten under the daemon is noticed before the next answer") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 20; ++i) REQUIRE(world.insert(i));
  {
    std::fstream file(dir / "queue.db-wal", std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(32, '\0');
  }
  CHECK(!world.insert(20));
  CHECK(world.wait_for(News::Gravity::fatal).find("was overwritten") != std::string::npos);
}

TEST_CASE("another program may have the log start anew; that is no loss") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
  CHECK(shell(dir / "queue.db", "PRAGMA wal_checkpoint(TRUNCATE)") == 0);
  CHECK(world.sizes().log == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // it looks once a second
  CHECK(world.insert(50).has_value());
  CHECK(!world.disk->broken());
}

TEST_CASE("DUR-03: a data_dir that is moved away is named where it is now, and nothing in it is touched") {
  support::TempDirectory dir;
  {
    World world(dir / "data");
    for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
    std::filesystem::rename(dir / "data", dir / "elsewhere");
    CHECK(!world.insert(1000));
    CHECK(world.wait_for(News::Gravity::fatal).find((dir / "elsewhere").string()) != std::string::npos);
  }
  World next(dir / "elsewhere");
  CHECK(next.count() >= 50);
}

TEST_CASE("DUR-02: after a failed sync nothing more is acknowledged or written, and the next start has all of it") {
  for (const bool of_database : {false, true}) {
    CAPTURE(of_database);
    support::TempDirectory dir;
    int id = 0;
    {
      support::FaultyVfs vfs;
      World world(dir.path());
      for (; id < 20; ++id) REQUIRE(world.insert(id));
      vfs.plan().error = SQLITE_IOERR_FSYNC;
      if (of_database)
        vfs.plan().database_syncs_fail = true;
      else
        vfs.plan().syncs_until_failure = 0;
      while (id < 2000 && world.insert(id, 5000)) ++id;
      REQUIRE(id < 2000);
      vfs.heal();  // it failed once; what comes next would succeed
      const auto log = octets_of(dir / "queue.db-wal");
      const auto fatal = world.wait_for(News::Gravity::fatal);
      CHECK_MESSAGE(
          fatal.find("sync " + (dir / (of_database ? "queue.db" : "queue.db-wal")).string()) != std::string::npos,
          fatal);
      CHECK(!world.insert(5000));
      CHECK(!world.disk->health());
      CHECK(world.disk->broken());
      world.disk.reset();
      CHECK(octets_of(dir / "queue.db-wal") == log);
    }
    World next(dir.path());
    CHECK(next.count() >= id);
    CHECK(next.disk->health().has_value());
  }
}

TEST_CASE("open: the lock is on the data; removing its file lets no second daemon in") {
  support::TempDirectory dir;
  World world(dir.path());
  std::filesystem::remove(dir / "lock");
  const auto second = Disk::open(world.loop.executor(), options_for(dir.path()));
  REQUIRE(!second);
  CHECK(second.error().code == errc::device_or_resource_busy);
  CHECK(second.error().detail.find((dir / "lock").string()) != std::string::npos);
}

TEST_CASE(
    "the log's cap holds under a reader that stands still: new mail waits, the reader is named, and the log shrinks "
    "after") {
  support::TempDirectory dir;
  World world(dir.path());
  REQUIRE(world.insert(0));
  auto reader = open_read_only(dir / "queue.db");
  REQUIRE(reader.has_value());
  reader->execute("BEGIN");
  CHECK(reader->integer("SELECT count(*) FROM item") == 1);
  int id = 0;
  while (world.disk->writable() && world.sizes().log < (64 << 20)) REQUIRE(world.insert(++id, 20'000));
  CHECK(!world.disk->writable());
  CHECK(world.wait_for(News::Gravity::warning).find("process " + std::to_string(::getpid())) != std::string::npos);
  CHECK(!world.disk->health());
  while (world.sizes().log < (64 << 20) && world.insert(id + 1, 20'000)) ++id;  // what ignores that
  CHECK(world.sizes().log < (20 << 20));                                        // twice the cap, and a little
  reader->execute("ROLLBACK");
  CHECK(world.wait_for(News::Gravity::information).find("new mail is taken") != std::string::npos);
  CHECK(world.disk->writable().has_value());
  CHECK(world.sizes().log < (9 << 20));
  CHECK(world.insert(id + 1).has_value());
  CHECK(world.count() == id + 2);
}

TEST_CASE("compact: a database gives back what it has free, a little at a time") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 300; ++i) REQUIRE(world.insert(i, 20'000));
  auto remove = [](Tx& tx) -> Result<int> {
    tx.prepare("DELETE FROM item WHERE id > 0").run();
    return 0;
  };
  REQUIRE(world.loop.run(world.disk->run(Durability::durable, remove)));
  std::uint64_t free = 1;
  for (int i = 0; i < 1000 && free > 0; ++i) free = world.loop.run(world.disk->compact()).value();
  CHECK(free == 0);
  for (int i = 1000; world.sizes().database > (1 << 20) && i < 2000; ++i) REQUIRE(world.insert(i, 1));
  CHECK(world.count() >= 1);
  world.disk.reset();
  CHECK(std::filesystem::file_size(dir / "queue.db") < (1 << 20));
}

TEST_CASE("open: what an older version made, without a way to shrink, gets one while little is in it") {
  support::TempDirectory dir;
  {
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open((dir / "queue.db").c_str(), &raw) == SQLITE_OK);
    const std::string sql = "PRAGMA journal_mode=WAL;" + std::string(one_table[0].sql) +
                            "; INSERT INTO item VALUES (1,'old'); PRAGMA user_version=1; PRAGMA application_id=" +
                            std::to_string(application_id);
    REQUIRE(sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(raw);
  }
  World world(dir.path());
  CHECK(world.count() == 1);
  CHECK(world.loop.run(world.disk->compact()).value() == 0);
}

TEST_CASE("copy_to: a whole copy of one moment, private, never over a file that is there") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 100; ++i) REQUIRE(world.insert(i, 5000));
  auto from = open_read_only(dir / "queue.db").value();
  from.execute("BEGIN");
  CHECK(from.integer("SELECT count(*) FROM item") == 100);
  for (int i = 100; i < 150; ++i) REQUIRE(world.insert(i, 5000));
  std::uint64_t last = 0;
  CHECK(copy_to(from, dir / "copy", [&](std::uint64_t done, std::uint64_t of) { last = of - done; }).has_value());
  CHECK(last == 0);
  struct stat status {};
  REQUIRE(::stat((dir / "copy").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  auto copy = Database::open(dir / "copy", Access::at_rest).value();
  CHECK(copy.integer("SELECT count(*) FROM item") == 100);
  CHECK(copy_to(from, dir / "copy", {}).error().code == errc::file_exists);
}

TEST_CASE("open: a store that was put back survives a first start that is killed at any of its writes") {
  support::TempDirectory dir;
  {
    World world(dir / "first");
    for (int i = 0; i < 20; ++i) REQUIRE(world.insert(i));
    auto from = open_read_only(dir / "first" / "queue.db").value();
    REQUIRE(copy_to(from, dir / "copy", {}).has_value());
  }
  int status = 0;
  for (int step = 0; !WIFEXITED(status) || step == 0; ++step) {
    CAPTURE(step);
    REQUIRE(step < 100);
    const auto data = dir / std::to_string(step);
    std::filesystem::create_directory(data);
    std::filesystem::copy_file(dir / "copy", data / "queue.db");
    const pid_t child = ::fork();
    if (child == 0) {
      support::FaultyVfs vfs;
      vfs.plan().calls_until_kill = step;
      World world(data);
      ::_exit(0);
    }
    ::waitpid(child, &status, 0);
    World world(data);
    CHECK(world.count() == 20);
  }
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace disk_safety_test
