// SPDX-License-Identifier: Apache-2.0
// What waits comes due before its time: by destination, and by what it was last told.
#include "tests/queue/instructions.h"
#include "tests/queue/world.h"

namespace queue_waking_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;
using hoplock::support::TempDirectory;

namespace {

// Destinations that are held until then, with a domain each.
void fill(const std::filesystem::path& directory, int count, Time until) {
  { World world(directory); }
  auto db = disk::Database::open(directory / "queue.db", disk::Access::read_write).value();
  const std::string late = std::to_string(to_millis(until)), n = std::to_string(count);
  const std::string rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + n + ") ";
  db.execute("BEGIN; INSERT INTO destination (id, name, due, hold, failures, interval) " + rows +
             "SELECT i, 'd' || i || '.test', " + late + ", " + late +
             ", 1, 300000 FROM n; INSERT INTO domain (id, name, destination, due) " + rows +
             "SELECT i, 'd' || i || '.test', i, " + late + " FROM n; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}

Settled told(const Job& job, const std::string& reply, Time due) {
  Settled settled = World::all(job, Verdict::deferred, due);
  for (auto& one : settled.recipients) one.reply = reply;
  return settled;
}

}  // namespace

// Turning reputation_hold off woke each destination with a walk over all domains: the square of them.
TEST_CASE("the end of a hold costs the same beside 5,000 held destinations as beside 500") {
  Instructions instructions;
  std::int64_t cost[2] = {0, 0};
  for (const int large : {0, 1}) {
    TempDirectory dir;
    const int count = large ? 5'000 : 500;
    fill(dir.path(), count, at(900'000));
    World world(dir.path(), {}, at(1));
    instructions.reset();
    for (int i = 1; i <= 100; ++i) {
      Wake wake;
      wake.now = at(10);
      world.loop.run(world.queue->wake("d" + std::to_string(i * (count / 100)) + ".test", wake)).value();
    }
    cost[large] = instructions.count();
    CHECK(world.count("destination WHERE hold > " + std::to_string(to_millis(at(10)))) == count - 100);
  }
  CAPTURE(cost[0]);
  CHECK(cost[0] > 0);
  CHECK(cost[1] < cost[0] * 2);
}

TEST_CASE("what was last told so comes due, wherever it goes, and nothing else does") {
  TempDirectory dir;
  World world(dir.path());
  const auto says_so = [](std::string_view reply) { return reply.find("reputation") != std::string_view::npos; };
  Selection held;
  for (const char* domain : {"a.test", "b.test"}) {
    const std::string at_domain = std::string("@") + domain;
    world.put({"kept" + at_domain});
    world.put({"other" + at_domain});
    held.ids.push_back(world.put({"held" + at_domain}));
    for (const Job& job : world.lease(domain)) {
      const bool other = job.recipients.front().address.starts_with("other");
      world.apply({told(job, other ? "451 4.7.1 later" : "550 5.7.1 bad reputation", at(3600))});
    }
  }
  world.act(Action::hold, held);
  CHECK(world.ready(at(10)).empty());
  world.loop.run(world.queue->wake_told(says_so, at(10))).value();
  CHECK(world.ready(at(10)) == std::vector<std::string>{"a.test", "b.test"});
  for (const char* domain : {"a.test", "b.test"}) {
    const auto jobs = world.lease(domain, at(10));
    REQUIRE(jobs.size() == 1);
    CHECK(jobs.front().recipients.front().address.starts_with("kept"));
  }
}

}  // namespace queue_waking_test
