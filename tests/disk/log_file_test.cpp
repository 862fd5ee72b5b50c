// SPDX-License-Identifier: Apache-2.0
// A log that is bent, cut or gone when a start finds it, and the mark that says how much of it was on stable storage.
#include "disk/log_file.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <utility>

#include "tests/disk/world.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/temp_directory.h"

namespace disk_log_file_test {

using namespace hoplock;
using namespace hoplock::disk;
using namespace hoplock::disk::test;

TEST_CASE("DUR-05: whole frames behind a damaged one are an error that counts them, and the log is kept") {
  support::TempDirectory dir;
  int frames = 0;
  {
    World world(dir.path());
    for (int i = 0; i < 100; ++i) REQUIRE(world.insert(i));
    frames = static_cast<int>((world.sizes().log - 32) / frame_octets);
    copy_store(dir.path(), dir / "crashed");
  }
  REQUIRE(frames >= 100);
  struct Row {
    const char* why;
    std::streamoff at;
    bool mark;
  };
  const Row rows[] = {{"content of a frame", 32 + 40 * frame_octets + 24 + 100, true},
                      {"salts of a frame", 32 + 40 * frame_octets + 9, true},
                      {"the checksum of a frame", 32 + 40 * frame_octets + 20, true},
                      {"the last frame that was synced", 32 + (frames - 1) * frame_octets + 500, true},
                      {"content, of a store that no mark is beside", 32 + 40 * frame_octets + 24 + 100, false}};
  for (const auto& row : rows) {
    CAPTURE(row.why);
    std::filesystem::remove_all(dir / "bent");
    copy_store(dir / "crashed", dir / "bent");
    if (!row.mark) std::filesystem::remove(dir / "bent" / "queue.db-synced");
    flip(dir / "bent" / "queue.db-wal", row.at);
    const auto before = octets_of(dir / "bent" / "queue.db-wal");
    support::Loop loop;
    const auto opened = Disk::open(loop.executor(), options_for(dir / "bent"));
    REQUIRE(!opened);
    CHECK(opened.error().code == errc::bad_message);
    CHECK_MESSAGE(opened.error().detail.find("whole frames lie behind it") != std::string::npos, opened.error().detail);
    CHECK(octets_of(dir / "bent" / "queue.db-wal") == before);
    CHECK(octets_of(dir / "bent" / "queue.db-wal.damaged") == before);
  }
  World sound(dir / "crashed");
  CHECK(sound.count() == 100);
}

TEST_CASE(
    "DUR-05: a log that is gone, emptied or without its header is no empty one, while the mark says what was in it") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    for (int i = 0; i < 100; ++i) REQUIRE(world.insert(i));
    copy_store(dir.path(), dir / "crashed");
  }
  const auto over_header = [](const std::filesystem::path& log, std::size_t octets) {
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(octets, '\0');
  };
  const std::pair<const char*, std::function<void(const std::filesystem::path&)>> ways[] = {
      {"zeros over the header", [&](const auto& log) { over_header(log, 32); }},
      {"zeros over a block", [&](const auto& log) { over_header(log, 4096); }},
      {"cut to nothing", [](const auto& log) { std::filesystem::resize_file(log, 0); }},
      {"cut within its header", [](const auto& log) { std::filesystem::resize_file(log, 31); }},
      {"removed", [](const auto& log) { std::filesystem::remove(log); }}};
  for (const auto& [way, spoil] : ways) {
    CAPTURE(way);
    std::filesystem::remove_all(dir / "bent");
    copy_store(dir / "crashed", dir / "bent");
    spoil(dir / "bent" / "queue.db-wal");
    support::Loop loop;
    for (int start = 0; start < 2; ++start) {  // the first leaves nothing that the second takes for good
      const auto opened = Disk::open(loop.executor(), options_for(dir / "bent"));
      REQUIRE(!opened);
      CHECK(opened.error().code == errc::bad_message);
      CHECK_MESSAGE(opened.error().detail.find("were on stable storage") != std::string::npos, opened.error().detail);
    }
    std::filesystem::remove(dir / "bent" / "queue.db-synced");  // as the text says
    CHECK(Disk::open(loop.executor(), options_for(dir / "bent")));
  }
}

TEST_CASE("DUR-05: a log that somebody else copied into the database and removed is no loss") {
  support::TempDirectory dir;
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    const pid_t child = ::fork();
    if (child == 0) {
      World world(dir.path());
      for (int i = 0; i < 20; ++i) static_cast<void>(world.insert(round * 100 + i));
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    CHECK(shell(dir / "queue.db", "SELECT count(*) FROM item") == 0);  // the last to close it
    CHECK(!std::filesystem::exists(dir / "queue.db-wal"));
    World world(dir.path());
    CHECK(world.count() == (round + 1) * 20);
  }
}

TEST_CASE("DUR-05: a mark that was removed under the daemon is there again before the next answer") {
  support::TempDirectory dir;
  World world(dir.path());
  REQUIRE(world.insert(1));
  std::filesystem::remove(dir / "queue.db-synced");
  REQUIRE(world.insert(2));
  const auto mark = SyncedMark::read(dir / "queue.db");
  REQUIRE(mark);
  CHECK(mark->frames >= 2);
}

TEST_CASE("DUR-05: after a clean end the mark says that nothing of a log is missing") {
  support::TempDirectory dir;
  for (int round = 0; round < 3; ++round) {
    World world(dir.path());
    CHECK(world.count() == round * 20);
    for (int i = 0; i < 20; ++i) REQUIRE(world.insert(round * 100 + i));
    CHECK(SyncedMark::read(dir / "queue.db")->frames > 0);
    world.disk.reset();
    CHECK(SyncedMark::read(dir / "queue.db") == Synced{});
  }
}

TEST_CASE("DUR-05: a mark of another log, which an older version never synced, hides no damage") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    for (int i = 0; i < 100; ++i) REQUIRE(world.insert(i));
    copy_store(dir.path(), dir / "crashed");
    copy_store(dir.path(), dir / "again");
  }
  // as an older version left it, which never synced one: it says nothing of this log, and damage is looked for as without a mark
  std::ofstream(dir / "crashed" / "queue.db-synced") << "synced 11111111 22222222 5" << std::string(37, ' ') << '\n';
  flip(dir / "crashed" / "queue.db-wal", 32 + 20 * frame_octets + 100);
  support::Loop loop;
  REQUIRE(!Disk::open(loop.executor(), options_for(dir / "crashed")));
  // nor does one that was changed since
  std::fstream(dir / "again" / "queue.db-synced", std::ios::in | std::ios::out) << "synced 11111111 22222222 5  ";
  flip(dir / "again" / "queue.db-wal", 32 + 20 * frame_octets + 100);
  REQUIRE(!Disk::open(loop.executor(), options_for(dir / "again")));
  const auto opened = Disk::open(loop.executor(), options_for(dir / "crashed"));
  REQUIRE(!opened);
  CHECK(opened.error().detail.find("whole frames lie behind it") != std::string::npos);
}

TEST_CASE("BND-03: a start behind a long log asks the disk in large pieces, and writes nothing anew that was synced") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    auto large = open_read_only(dir / "queue.db").value();
    large.execute("BEGIN; SELECT count(*) FROM item");  // keeps the log from starting anew
    for (int i = 0; i < 60; ++i) REQUIRE(world.insert(i, 100'000));
    copy_store(dir.path(), dir / "crashed");
  }
  const auto frames = (std::filesystem::file_size(dir / "crashed" / "queue.db-wal") - 32) / frame_octets;
  REQUIRE(frames > 1'400);
  support::FaultyVfs vfs;
  World world(dir / "crashed");
  // SQLite recovers it twice, for who examines it and for who uses it; what is left is the look at the pages
  const int reads = vfs.plan().log_reads;
  CHECK(reads < static_cast<int>(frames) * 3);
  CHECK(world.count() == 60);
}

TEST_CASE("DUR-05: a torn tail that no sync had covered is cut without a complaint, however its frames landed") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    for (int i = 0; i < 20; ++i) REQUIRE(world.insert(i));
    auto relaxed = [](int id) {
      return [id](Tx& tx) -> Result<int> {
        tx.prepare("INSERT INTO item VALUES (?1, ?2)").bind(id, std::string(9000, 'y')).run();
        return id;
      };
    };
    for (int i = 100; i < 110; ++i) REQUIRE(world.loop.run(world.disk->run(Durability::relaxed, relaxed(i))));
    copy_store(dir.path(), dir / "crashed");
  }
  const auto synced = SyncedMark::read(dir / "crashed" / "queue.db");
  REQUIRE(synced);
  flip(dir / "crashed" / "queue.db-wal", 32 + static_cast<std::streamoff>(synced->frames + 1) * frame_octets + 300);
  World next(dir / "crashed");
  CHECK(next.count() >= 20);
  CHECK(next.count() < 30);
}

TEST_CASE("DUR-05: the mark of what is synced says no more after a durable commit that changed nothing") {
  support::TempDirectory dir;
  World world(dir.path());
  const auto nothing = [](Tx&) -> Result<int> { return 0; };
  for (int i = 0; i < 20; ++i) REQUIRE(world.insert(i));
  const auto before = SyncedMark::read(dir / "queue.db");
  REQUIRE(before);
  REQUIRE(before->frames >= 20);
  const auto relaxed = [](Tx& tx) -> Result<int> {
    tx.prepare("INSERT INTO item VALUES (100, ?1)").bind(std::string(9000, 'y')).run();
    return 0;
  };
  REQUIRE(world.loop.run(world.disk->run(Durability::relaxed, relaxed)));
  REQUIRE(world.loop.run(world.disk->run(Durability::durable, nothing)));
  CHECK(SyncedMark::read(dir / "queue.db") == before);
  // the log is another one, and shorter
  CHECK(shell(dir / "queue.db", "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO item VALUES (101, 'z')") == 0);
  REQUIRE(world.loop.run(world.disk->run(Durability::durable, nothing)));
  CHECK(SyncedMark::read(dir / "queue.db") == before);
  REQUIRE(world.insert(200));
  const auto after = SyncedMark::read(dir / "queue.db");
  REQUIRE(after);
  CHECK(after->salt_1 != before->salt_1);
  CHECK(after->frames < before->frames);
}

}  // namespace disk_log_file_test
