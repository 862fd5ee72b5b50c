// DUR-04 and bounds at the queue: a stream stops at the reserve, and a message with very many recipients costs what it should. Proved
// by counting instructions that SQLite runs.
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched.h>

#include "tests/queue/world.h"

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

std::atomic<std::int64_t> instructions{0};  // of SQLite's machine, in all connections, in hundreds
int count_them(void*) {
  ++instructions;
  return 0;
}
int on_connection(sqlite3* db, const char**, const sqlite3_api_routines*) {
  sqlite3_progress_handler(db, 100, count_them, nullptr);
  return SQLITE_OK;
}
struct Counting {
  Counting() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(on_connection)); }
  ~Counting() { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(on_connection)); }
};

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

TEST_CASE("old mail that is held is not walked at each failure of another destination") {
  Counting counting;
  std::int64_t cost[2] = {0, 0};
  for (const int large : {0, 1}) {
    support::TempDirectory dir;
    fill(dir.path(), large ? 60'000 : 6'000, 10);
    World world(dir.path());
    disk::Database::open(dir / "queue.db", disk::Access::read_write).value().execute("UPDATE recipient SET state = 2");
    const Id old = world.put({"a@down.test"}, "x\r\n", at(500));
    const Id young = world.put({"b@down.test"}, "x\r\n", at(900'000));
    LeaseLimit limit;
    instructions = 0;
    const auto found = world.loop.run(world.queue->lease_older("down.test", at(800'000), limit)).value();
    cost[large] = instructions;
    REQUIRE(found.size() == 1);
    CHECK(found[0].id == old);
    CHECK(old < young);
  }
  CAPTURE(cost[0]);
  CHECK(cost[1] < cost[0] * 3 / 2 + 10);
}

TEST_CASE("very many recipients with a domain each cost in proportion") {
  Counting counting;
  std::int64_t cost[2] = {0, 0};
  for (const int large : {0, 1}) {
    support::TempDirectory dir;
    Options options;
    options.window_messages = 64;  // so that most are read back
    World world(dir.path(), options);
    std::vector<std::string> many;
    const int count = large ? 2000 : 500;
    for (int i = 0; i < count; ++i) many.push_back("u@d" + std::to_string(i) + ".test");
    instructions = 0;
    const Id id = world.put(many);
    for (int i = 0; i < count; ++i) {
      const auto jobs = world.lease("d" + std::to_string(i) + ".test");
      REQUIRE(jobs.size() == 1);
      CHECK(jobs[0].recipients.size() == 1);
      world.apply({World::all(jobs[0], Verdict::delivered)}, at(1));
    }
    cost[large] = instructions;
    CHECK(!world.reader().show(id, {}).value().has_value());
  }
  CAPTURE(cost[0]);
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
