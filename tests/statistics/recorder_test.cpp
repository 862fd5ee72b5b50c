// SPDX-License-Identifier: Apache-2.0
#include "monitor/recorder.h"

#include <doctest/doctest.h>

#include "net/clock.h"
#include "store_sqlite/readers.h"
#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_reader.h"
#include "store_sqlite/statistics_series.h"
#include "store_sqlite/statistics_store.h"
#include "tests/queue/world.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/memory_log.h"

namespace statistics_recorder_test {

using namespace hoplock;
using statistics::Figures;
using statistics::Span;

namespace {

std::vector<disk::Migration> with_statistics() {
  auto all = queue::test::World::own_migrations();
  all.push_back(store_sqlite::statistics_migration());
  all.push_back(store_sqlite::statistics_batch_migration());
  return all;
}

counted::Attempt delivered() {
  counted::Attempt made;
  made.outcome = "delivered";
  made.policy = "dane";
  made.tls = "TLSv1.3";
  made.auth = "dane-ee";
  return made;
}

struct Recorded {
  explicit Recorded(net::Clock clock = net::now)
      : world(dir.path(), {}, net::now(), with_statistics()),
        log(lines, world.loop.executor(), clock),
        surveyor(world.loop.executor(), {store_sqlite::readers_of(dir / "queue.db"), std::chrono::milliseconds(0)},
                 [this] { return world.queue->active(); }),
        kept(*world.disk),
        recorder(world.loop.executor(), kept, log, surveyor, clock) {}
  void round() { world.loop.run(recorder.round()); }
  Figures sum() {
    Figures all;
    const auto series =
        store_sqlite::SqliteStatisticsReader::open(dir / "queue.db").value().series(Span::day, net::now()).value();
    for (const auto& point : series.points)
      if (point) all.add(*point);
    return all;
  }
  support::TempDirectory dir;
  support::FaultyVfs faulty;
  queue::test::World world;
  support::MemoryLog lines;
  monitor::CountingLog log;
  monitor::Surveyor surveyor;
  store_sqlite::SqliteStatisticsStore kept;
  monitor::Recorder recorder;
};

}  // namespace

TEST_CASE("a round writes what was counted and what waits, once") {
  Recorded at;
  at.world.put({"a@one.test", "b@one.test"}, "Subject: x\r\n\r\nhello\r\n", net::now() - std::chrono::seconds(100));
  at.log.count(delivered());
  counted::Accepted accepted;
  accepted.recipients = 2;
  at.log.count(accepted);
  at.round();
  at.round();
  const Figures figures = at.sum();
  CHECK(figures.delivered == 1);
  CHECK(figures.accepted == 2);
  CHECK(figures.proofs[0] == 1);
  REQUIRE(figures.waiting);
  CHECK(figures.waiting->messages == 1);
  CHECK(figures.waiting->oldest >= std::chrono::seconds(99));
}

TEST_CASE("what a disk that fails does not take is written once it works, and told once") {
  Recorded at;
  at.log.count(delivered());
  at.faulty.plan().error = 10;  // SQLITE_IOERR
  at.faulty.plan().writes_until_failure = 0;
  at.round();
  at.round();
  at.faulty.heal();
  CHECK(at.lines.events("store-failed").size() == 1);
  at.log.count(delivered());
  at.round();
  CHECK(at.sum().delivered == 2);
}

TEST_CASE("each minute is written as the next one begins, so that a crash costs what came since") {
  const Time soon = std::chrono::floor<std::chrono::minutes>(net::now()) + std::chrono::milliseconds(59'900);
  const auto started = std::chrono::steady_clock::now();
  const auto clock = [soon, started]() -> Time {
    return soon + std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - started);
  };
  Recorded at(clock);
  at.log.count(delivered());
  at.world.loop.start(at.recorder.run());
  const auto written = [&] {
    const auto series =
        store_sqlite::SqliteStatisticsReader::open(at.dir / "queue.db").value().series(Span::day, clock()).value();
    std::uint64_t all = 0;
    for (const auto& point : series.points) all += point ? point->delivered : 0;
    return all;
  };
  at.world.loop.io().restart();
  const auto patience = started + std::chrono::seconds(20);
  while (written() == 0 && std::chrono::steady_clock::now() < patience)
    at.world.loop.io().run_one_for(std::chrono::milliseconds(20));
  at.log.count(delivered());
  at.world.disk->close();  // nothing was told of an end
  CHECK(written() == 1);
}

TEST_CASE("the end writes what was counted since the last minute") {
  Recorded at;
  at.log.count(delivered());
  at.round();
  at.log.count(delivered());
  at.recorder.end();
  at.world.disk->close();
  CHECK(at.sum().delivered == 2);
}

}  // namespace statistics_recorder_test
