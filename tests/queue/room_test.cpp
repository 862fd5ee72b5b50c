// SPDX-License-Identifier: Apache-2.0
// The room for new mail and who has a claim on it (DUR-04), on a small real file system.
#include <doctest/doctest.h>

#include <memory>

#include "tests/queue/world.h"
#include "tests/support/small_disk.h"

namespace queue_room_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

constexpr std::uint64_t mebibyte = 1U << 20U;

std::unique_ptr<Writer> begin(World& world, std::uint64_t announced) {
  return std::make_unique<Writer>(world.queue->begin(t0, announced));
}

bool write(World& world, Writer& writer, std::size_t octets) {
  const auto written = world.loop.run(writer.write(std::string(octets, 'x')));
  if (!written && written.error().code != errc::no_space_on_device) throw std::runtime_error(written.error().detail);
  return written.has_value();
}

bool is_near(std::uint64_t one, std::uint64_t other) {
  return one + mebibyte / 4 > other && other + mebibyte / 4 > one;
}

int announce(const std::filesystem::path& directory) {
  World world(directory);
  world.queue->set_min_free_space(16 * mebibyte);
  const auto before = world.queue->room();
  auto small = begin(world, 4 * mebibyte);
  if (!is_near(world.queue->room(), before - 4 * mebibyte)) return 1;
  auto large = begin(world, 1024 * mebibyte);  // all that there is
  if (world.queue->room() != 0) return 2;
  if (!world.queue->accepting()) return 3;  // nobody has stored anything yet
  auto silent = begin(world, 0);
  if (write(world, *silent, 300'000)) return 4;  // it has no claim, and all is claimed
  if (!write(world, *small, 3 * mebibyte)) return 5;
  large.reset();
  if (world.queue->room() < 8 * mebibyte) return 6;
  silent = begin(world, 0);
  if (!write(world, *silent, 300'000)) return 7;
  if (!world.loop.run(small->commit(World::envelope("a@example.net"), world.recipients({"u@one.test"})))) return 8;
  small.reset();
  silent.reset();
  for (int i = 0; world.count("chunk") > 49; ++i) {  // what was abandoned is dropped
    if (i == 300) return 9;
    world.loop.io().run_for(std::chrono::milliseconds(10));
    world.loop.io().restart();
  }
  return world.count("draft") == 0 ? 0 : 10;
}

}  // namespace

TEST_CASE("DUR-04: what is announced is room that others do not get, until it has come or its writer is gone") {
  CHECK(support::on_small_disk("48m", announce) == 0);
}

}  // namespace queue_room_test
