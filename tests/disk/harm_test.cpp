// SPDX-License-Identifier: Apache-2.0
// What was done to the store's files is told whenever it is found: by the next write in whatever state the log is, at the end, and at the
// next start; and what is no harm is not taken for it.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <thread>
#include <utility>

#include "disk/disk.h"
#include "tests/disk/world.h"
#include "tests/support/temp_directory.h"

namespace disk_harm_test {

using namespace hoplock;
using namespace hoplock::disk;
using namespace hoplock::disk::test;

namespace {

// In place and as long, as cp(1) does it.
void overwrite_database(const std::filesystem::path& data) {
  std::string foreign = octets_of(data / "queue.db");
  for (std::size_t i = 4096; i < foreign.size(); ++i) foreign[i] = static_cast<char>(~foreign[i]);
  std::fstream file(data / "queue.db", std::ios::in | std::ios::out | std::ios::binary);
  file << foreign;
}

// In a process that dies with its log.
template <class Work>
void die_after(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
}

// Until the daemon has copied its log, with nothing behind it. How many were inserted.
int grow_until_copied(World& world, const std::filesystem::path& data, int id) {
  const auto changed = [&] { return std::filesystem::last_write_time(data / "queue.db"); };
  const auto before = changed();
  int inserted = 0;
  for (; inserted < 2000 && changed() == before; ++inserted) {
    REQUIRE(world.insert(id++, 5000));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  REQUIRE(changed() != before);
  for (auto last = before; last != changed(); std::this_thread::sleep_for(std::chrono::milliseconds(200)))
    last = changed();
  return inserted;
}

}  // namespace

TEST_CASE(
    "DUR-03: a file that is copied over the database is noticed by the very next write, whatever state the log is in") {
  enum class Before : std::uint8_t { clean_end, crash, whole_copy };
  for (const Before before : {Before::clean_end, Before::crash, Before::whole_copy})
    for (const bool writes_between : {false, true}) {
      CAPTURE(static_cast<int>(before));
      CAPTURE(writes_between);
      support::TempDirectory dir;
      die_after([&] {
        World world(dir.path());
        for (int i = 0; i < 50; ++i) static_cast<void>(world.insert(i));
        if (before == Before::crash) ::_exit(0);
      });
      World world(dir.path());
      int id = 1000;
      if (before == Before::whole_copy) id += grow_until_copied(world, dir.path(), id);
      if (before == Before::crash)  // what was recovered is copied; it looks once a second
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      if (writes_between) REQUIRE(world.insert(++id));
      overwrite_database(dir.path());
      CHECK(!world.insert(++id));
      CHECK(world.wait_for(News::Gravity::fatal).find("was overwritten") != std::string::npos);
      CHECK(world.disk->broken());
    }
}

TEST_CASE("DUR-03: no start takes what was copied over the database for the store, until the operator says so") {
  support::TempDirectory dir;
  const auto database = dir / "queue.db";
  {
    World world(dir.path());
    for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i, 3000));
  }
  const std::string older = octets_of(database);
  {
    World world(dir.path());
    for (int i = 50; i < 60; ++i) REQUIRE(world.insert(i, 3000));
  }
  {
    World world(dir.path());
    for (int i = 60; i < 70; ++i) REQUIRE(world.insert(i, 3000));
    die_after([&] { std::fstream(database, std::ios::in | std::ios::out | std::ios::binary) << older << std::flush; });
    CHECK(!world.insert(70));
    CHECK(world.wait_for(News::Gravity::fatal).find("was overwritten") != std::string::npos);
  }
  const std::string says =
      "rm -f " + database.string() + "-wal " + database.string() + "-shm " + database.string() + "-synced";
  for (const bool is_there : {true, true, false}) {
    CAPTURE(is_there);
    if (!is_there) std::filesystem::rename(database, dir / "aside");
    support::Loop loop;
    const auto opened = Disk::open(loop.executor(), options_for(dir.path()));
    REQUIRE(!opened);
    CHECK(opened.error().code == errc::bad_message);
    CHECK_MESSAGE(opened.error().detail.find(says) != std::string::npos, opened.error().detail);
  }
  std::filesystem::rename(dir / "aside", database);
  for (const char* rest : {"-wal", "-shm", "-synced"}) std::filesystem::remove(database.string() + rest);
  World next(dir.path());
  CHECK(next.count() == 50);
  CHECK(next.insert(50));
}

TEST_CASE("DUR-05: a database and a log that do not belong together are no store, whichever of them is older") {
  support::TempDirectory dir;
  const auto database = dir / "queue.db", log = dir / "queue.db-wal", kept = dir / "kept";
  const auto replaced = [&](const std::filesystem::path& file, const std::string& octets, const char* says) {
    std::filesystem::rename(file, kept);
    std::ofstream(file, std::ios::binary) << octets;
    for (int i = 0; i < 2; ++i) {
      support::Loop loop;
      const auto opened = Disk::open(loop.executor(), options_for(dir.path()));
      REQUIRE(!opened);
      CHECK(opened.error().code == errc::bad_message);
      for (const char* part : {says, "hoplock restore", "rm -f "})
        CHECK_MESSAGE(opened.error().detail.find(part) != std::string::npos, opened.error().detail);
    }
    std::filesystem::rename(kept, file);  // the right one is back
  };
  {
    World world(dir.path());
    for (int i = 0; i < 20; ++i) REQUIRE(world.insert(i, 3000));
  }
  const std::string older_database = octets_of(database);
  {
    World world(dir.path());
    for (int i = 20; i < 40; ++i) REQUIRE(world.insert(i, 3000));
  }
  die_after([&] {
    World world(dir.path());
    for (int i = 40; i < 60; ++i) static_cast<void>(world.insert(i, 3000));
    ::_exit(0);
  });
  replaced(database, older_database, "not the file that its log queue.db-wal was begun on");
  const std::string older_log = octets_of(log);
  const auto salts = [&] { return octets_of(log).substr(16, 8); };
  int inserted = 60;
  die_after([&] {
    World world(dir.path());
    for (const auto before = older_log.substr(16, 8); inserted < 4000 && salts() == before;)
      static_cast<void>(world.insert(inserted++, 5000));
    for (int i = 0; i < 20; ++i) static_cast<void>(world.insert(inserted++, 3000));
    std::ofstream(dir / "inserted") << inserted;
    ::_exit(0);
  });
  REQUIRE(salts() != older_log.substr(16, 8));
  replaced(log, older_log, "is older than the one that was last in use");
  World next(dir.path());
  CHECK(std::to_string(next.count()) == octets_of(dir / "inserted"));
}

TEST_CASE("DUR-03: a file that is copied over the database is noticed though the log is copied into it after that") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i, 2000));
  }
  World world(dir.path());
  for (int i = 50; i < 60; ++i) REQUIRE(world.insert(i, 2000));
  REQUIRE(shell(dir / "queue.db", "PRAGMA wal_checkpoint(PASSIVE)") == 0);
  for (int i = 60; i < 70; ++i) REQUIRE(world.insert(i, 2000));  // this was no harm
  die_after([&] { overwrite_database(dir.path()); });            // here, closing it would drop SQLite's locks
  REQUIRE(shell(dir / "queue.db", "PRAGMA wal_checkpoint(PASSIVE)") == 0);
  CHECK(!world.insert(70));
  CHECK(world.wait_for(News::Gravity::fatal).find("was overwritten") != std::string::npos);
  CHECK(world.disk->broken());
}

TEST_CASE("another program may make the database shorter; that is no loss, and a cut file is one") {
  for (const char* how : {"VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint",
                          "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)"}) {
    CAPTURE(how);
    support::TempDirectory dir;
    {
      World world(dir.path());
      for (int i = 0; i < 300; ++i) REQUIRE(world.insert(i, 20'000));
    }
    World world(dir.path());
    const auto remove = [](Tx& tx) -> Result<int> {
      tx.prepare("DELETE FROM item WHERE id > 0").run();
      return 0;
    };
    REQUIRE(world.loop.run(world.disk->run(Durability::durable, remove)));
    const auto before = world.sizes().database;
    REQUIRE(shell(dir / "queue.db", how) == 0);
    REQUIRE(world.sizes().database < before);
    for (int i = 1000; i < 1020; ++i) CHECK(world.insert(i, 20'000));
    CHECK(!world.disk->broken());
    REQUIRE(shell(dir / "queue.db", "PRAGMA wal_checkpoint(TRUNCATE)") == 0);
    CHECK(world.insert(1020));
    CHECK(world.count() == 22);
    std::filesystem::resize_file(dir / "queue.db", 8192);
    CHECK(!world.insert(1021));
    CHECK(world.wait_for(News::Gravity::fatal).find("queue.db was cut to") != std::string::npos);
  }
}

TEST_CASE("DUR-05: a log of which a part was copied at the end is missed when it is emptied behind that") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    for (int i = 0; i < 25; ++i) REQUIRE(world.insert(i, 3000));
    auto reader = open_read_only(dir / "queue.db").value();
    reader.execute("BEGIN");
    CHECK(reader.integer("SELECT count(*) FROM item") == 25);
    for (int i = 25; i < 50; ++i) REQUIRE(world.insert(i, 3000));
    world.disk.reset();
  }
  std::filesystem::resize_file(dir / "queue.db-wal", 0);
  support::Loop loop;
  const auto opened = Disk::open(loop.executor(), options_for(dir.path()));
  REQUIRE(!opened);
  CHECK(opened.error().code == errc::bad_message);
  CHECK_MESSAGE(opened.error().detail.find("queue.db-wal is cut, though") != std::string::npos, opened.error().detail);
}

TEST_CASE("DUR-03: what the end finds is told, though the loop runs no more") {
  struct Row {
    const char* why;
    std::function<void(const std::filesystem::path&)> harm;
    const char* says;
  };
  const Row rows[] = {
      {"the database is overwritten", overwrite_database, "was overwritten"},
      {"the log is cut",
       [](const auto& data) { std::filesystem::resize_file(data / "queue.db-wal", 32 + 5 * frame_octets); }, "was cut"},
      {"the database is deleted", [](const auto& data) { std::filesystem::remove(data / "queue.db"); },
       "all that it held is saved in"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    support::TempDirectory dir;
    World world(dir.path());
    for (int i = 0; i < 50; ++i) REQUIRE(world.insert(i));
    row.harm(dir.path());
    const auto untold = world.disk->close();
    CHECK(world.disk->broken());
    REQUIRE(untold.size() == 1);
    CHECK(untold[0].gravity == News::Gravity::fatal);
    CHECK_MESSAGE(untold[0].text.find(row.says) != std::string::npos, untold[0].text);
    CHECK(world.disk->close().empty());
  }
}

TEST_CASE("DUR-05: another program may empty a log that was copied whole; a start behind it finds nothing missing") {
  support::TempDirectory dir;
  die_after([&] {
    World world(dir.path());
    std::ofstream(dir / "inserted") << grow_until_copied(world, dir.path(), 0);
    static_cast<void>(shell(dir / "queue.db", "PRAGMA wal_checkpoint(TRUNCATE)"));
    ::_exit(0);  // before it looks again
  });
  REQUIRE(std::filesystem::file_size(dir / "queue.db-wal") == 0);
  World next(dir.path());
  CHECK(std::to_string(next.count()) == octets_of(dir / "inserted"));
}

TEST_CASE("DUR-05: a store that is gone with its log is no first start while its mark says that it was there") {
  support::TempDirectory dir;
  die_after([&] {
    World world(dir.path());
    for (int i = 0; i < 20; ++i) static_cast<void>(world.insert(i));
    ::_exit(0);
  });
  for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm"}) std::filesystem::remove(dir / name);
  const std::string mark = (dir / "queue.db-synced").string();
  {
    support::Loop loop;
    const auto opened = Disk::open(loop.executor(), options_for(dir.path()));
    REQUIRE(!opened);
    CHECK(opened.error().code == errc::bad_message);
    for (const std::string& says : {std::string("a store was there"), std::string("hoplock restore"), "rm " + mark})
      CHECK_MESSAGE(opened.error().detail.find(says) != std::string::npos, opened.error().detail);
    CHECK(!std::filesystem::exists(dir / "queue.db"));
  }
  std::filesystem::remove(mark);
  {
    World anew(dir.path());
    REQUIRE(anew.insert(1));
  }
  for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm"}) std::filesystem::remove(dir / name);
  World after_a_clean_end(dir.path());  // which left nothing in its log
  CHECK(after_a_clean_end.count() == 0);
}

TEST_CASE("a SIGBUS that somebody sends ends the process, as it would without a store") {
  support::TempDirectory dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    World world(dir.path());
    ::kill(::getpid(), SIGBUS);
    ::usleep(200'000);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGBUS);
}

}  // namespace disk_harm_test
