// SPDX-License-Identifier: Apache-2.0
// How long a peer is kept waiting for the final dot while the disk hangs: the disk does hang, only the minute is not waited for.
#include "delivery/result_committer.h"

#include <doctest/doctest.h>

#include <optional>

#include "tests/queue/world.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/later.h"
#include "tests/support/memory_log.h"

namespace delivery_result_committer_test {

using namespace hoplock;
using namespace std::chrono_literals;
using hoplock::queue::test::World;
namespace asio = boost::asio;

namespace {

// A result that was given to a disk which hangs.
struct Hanging {
  Hanging() : world(dir.path()), committer(*world.queue, log, [] {}), hang(faulty), later(world.loop.io()) {
    // The commit before it is not the one that hangs.
    world.loop.start(committer.run());
    delivery::Settlement settlement;
    settlement.settled = World::all(job, store::Verdict::delivered);
    sequence = committer.add(std::move(settlement));
    world.loop.io().restart();
    world.loop.io().poll();
    hang.wait();
  }
  ~Hanging() {
    hang.release();
    committer.end();
    world.loop.run_all();
  }
  void ask(std::optional<bool>& answer) {
    world.loop.start([](delivery::ResultCommitter& committer_, std::optional<bool>& out) -> asio::awaitable<void> {
      out = co_await committer_.leave(1);
    }(committer, answer));
    world.loop.io().restart();
    world.loop.io().poll();
  }

  support::TempDirectory dir;
  support::FaultyVfs faulty;
  World world;
  store::Job job = [this] {
    world.put({"a@one.test"});
    return world.lease("one.test").at(0);
  }();
  support::MemoryLog log;
  delivery::ResultCommitter committer;
  support::FaultyVfs::Hang hang;
  support::Later later;
  delivery::ResultCommitter::Sequence sequence = 0;
};

}  // namespace

TEST_CASE("SUB-29: while the disk hangs a peer waits a minute for the final dot, and then does not get it") {
  Hanging it;
  std::optional<bool> fresh, first, second;
  it.ask(fresh);
  CHECK(fresh == true);  // a result may be unstored for a second
  it.later.pass(1100ms);
  it.ask(first);
  CHECK(!first);
  it.later.pass(30s);
  it.ask(second);
  CHECK(!first);
  it.later.pass(29s);
  CHECK(!first);
  it.later.pass(2s);
  CHECK(first == false);
  CHECK(!second);  // it has half of its minute left
  CHECK(!it.committer.is_committed(it.sequence));
}

TEST_CASE("SUB-29: a disk that answers again within the minute lets those go on who wait for the final dot") {
  Hanging it;
  std::optional<bool> answer;
  it.later.pass(1100ms);
  it.ask(answer);
  it.later.pass(50s);
  CHECK(!answer);
  it.hang.release();
  it.world.loop.io().restart();
  while (!answer) it.world.loop.io().run_one();
  CHECK(answer == true);
  CHECK(it.committer.is_committed(it.sequence));
}

TEST_CASE("SUB-29: who waits for the final dot when the daemon ends does not get it") {
  Hanging it;
  std::optional<bool> answer;
  it.later.pass(1100ms);
  it.ask(answer);
  CHECK(!answer);
  it.committer.end();
  it.world.loop.io().restart();
  it.world.loop.io().poll();
  CHECK(answer == false);
}

}  // namespace delivery_result_committer_test
