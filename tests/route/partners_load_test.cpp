// SPDX-License-Identifier: Apache-2.0
// Partners by the hundred thousand while mail flows, and on a disk that is full in the middle of a change.
#include <doctest/doctest.h>

#include "tests/route/partners_world.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/longest_step.h"

namespace route_partners_load_test {

using namespace hoplock;
using namespace hoplock::route;
using namespace hoplock::route::partners_test;

namespace {

constexpr int many = 100'000;
constexpr auto most_step = slower * std::chrono::milliseconds(50);
constexpr int disk_full = 13;  // SQLITE_FULL

class Counting : public Log {
 public:
  bool enabled(Level) const override { return true; }
  void write(const Event&) override { ++events; }
  void count(const counted::Value&) override {}
  int events = 0;
};

std::vector<Order> orders_for(int count, hop::Mandate level) {
  std::vector<Order> orders;
  for (int i = 0; i < count; ++i)
    orders.push_back(put(made("partner" + std::to_string(i) + ".example", Rule::mandate, level)));
  return orders;
}

struct Loaded {
  explicit Loaded(PartnersWorld& of) : world(of), service(*of.kept, log, [&of] { return of.at; }) {
    service.on_change([this](partners::BookPtr book, const std::vector<dns::Pattern>&) { in_force = std::move(book); });
    world.loop.run(service.load()).value();
  }
  // As mail does it all the time: a small job that is to be on stable storage. The slowest.
  static boost::asio::awaitable<void> commit(Loaded& self) {
    while (!self.over) {
      const auto began = std::chrono::steady_clock::now();
      auto job = [](disk::Tx& tx) -> Result<> {
        tx.prepare("UPDATE partner_batch SET followed = followed").run();
        return {};
      };
      (co_await self.world.disk->run(disk::Durability::durable, std::move(job))).value();
      self.slowest = std::max(self.slowest, std::chrono::steady_clock::now() - began);
      ++self.commits;
    }
  }
  static boost::asio::awaitable<Result<partners::Done>> carry_out(Loaded& self, std::vector<Order> orders) {
    auto done = co_await self.service.carry_out(std::move(orders), "ann");
    self.over = true;
    co_return done;
  }
  // The longest step of the loop.
  support::LongestStep::Time import(std::vector<Order> orders) {
    support::LongestStep steps;
    over = false;
    world.loop.start(commit(*this));
    const auto done = world.loop.run(steps.beside(carry_out(*this, std::move(orders)))).value();
    world.loop.run_all();
    CHECK(done.refused.empty());
    return steps.longest();
  }
  PartnersWorld& world;
  Counting log;
  Partners service;
  partners::BookPtr in_force;
  bool over = false;
  int commits = 0;
  std::chrono::steady_clock::duration slowest{};
};

}  // namespace

TEST_CASE("Partners: 100,000 domains in one order keep neither the loop nor mail, nor does the one that is changed") {
  PartnersWorld world;
  Loaded loaded(world);
  for (const hop::Mandate level : {hop::Mandate::dane, hop::Mandate::encrypt}) {  // made new, then each of them changed
    const auto longest = loaded.import(orders_for(many, level));
    MESSAGE("the longest step of an import: " << longest.count() << " ms");
    CHECK(longest < most_step);
    CHECK(loaded.in_force->size() == many);
    CHECK(loaded.in_force->find(named("partner77.example"), world.at).mandate->level == level);
  }
  MESSAGE(loaded.commits << " commits of others meanwhile, the slowest "
                         << std::chrono::duration<double, std::milli>(loaded.slowest).count() << " ms");
  CHECK(loaded.commits > 100);
  CHECK(loaded.slowest < slower * std::chrono::seconds(1));
  CHECK(loaded.log.events == 2 * many);
  CHECK(loaded.import({put(made("one.more.example"))}) < most_step);
  std::vector<Order> removals;
  for (int i = 0; i < many; ++i) removals.push_back(removal("partner" + std::to_string(i) + ".example"));
  CHECK(loaded.import(std::move(removals)) < most_step);
  CHECK(loaded.in_force->size() == 1);
  world.restart();
  CHECK(world.listed() == std::vector<std::string>{"one.more.example dane"});
}

TEST_CASE("Partners: a disk that is full in the middle of a change: all of it counts, or it is refused in words") {
  bool stored = false;
  int refused = 0;
  for (int writes = 0; !stored; writes = writes * 3 / 2 + 1) {
    CAPTURE(writes);
    support::FaultyVfs faulty;
    PartnersWorld world;
    world.order({put(made("kept.example")), put(made("old.example"))});
    std::vector<Order> orders = orders_for(1'300, hop::Mandate::verify);
    orders.push_back(put(made("kept.example", Rule::mandate, hop::Mandate::encrypt)));
    orders.push_back(removal("old.example"));
    const auto again = orders;
    const int followed = world.followed;
    faulty.plan().error = disk_full;
    faulty.plan().writes_until_failure = writes;
    const auto done = world.loop.run(world.service->carry_out(std::move(orders), "ann"));
    faulty.heal();
    stored = done.has_value();
    if (!stored) {
      ++refused;
      CHECK(disk::is_full(done.error()));
      CHECK(done.error().detail.find("full") != std::string::npos);
      CHECK(world.followed == followed);
      CHECK(world.log.events("partner").size() == 2);
    }
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) world.restart();
      CHECK(world.in_force->size() == (stored ? 1'301 : 2));
      CHECK(world.listed().size() == (stored ? 1'301 : 2));
      CHECK(world.terms("kept.example").mandate->level == (stored ? hop::Mandate::encrypt : hop::Mandate::dane));
      CHECK(world.terms("old.example").any() == !stored);
      CHECK(world.terms("partner9.example").any() == stored);
    }
    CHECK(world.order(again).changed == (stored ? 0 : 1'302));
    CHECK(world.in_force->size() == 1'301);
  }
  CHECK(refused > 3);
}

TEST_CASE("Partners: many at once take nothing of the space that is kept free; a few are tried all the same") {
  PartnersWorld world;
  const std::uint64_t free = world.disk->free_bytes();
  world.service->set_min_free_space(free + (std::uint64_t{1} << 30U));
  const auto many_at_once = [&] {
    return world.loop.run(world.service->carry_out(orders_for(1'000, hop::Mandate::verify), "ann"));
  };
  const auto refused = many_at_once();
  REQUIRE_FALSE(refused.has_value());
  CHECK(disk::is_full(refused.error()));
  CHECK(refused.error().detail == "1 MiB are needed for it, and 0 MiB are free beyond limits.min_free_space");
  CHECK(world.listed().empty());
  CHECK(world.order({put(made("one.example"))}).changed == 1);
  world.service->set_min_free_space(0);
  CHECK(many_at_once().value().changed == 1'000);
}

TEST_CASE("Partners: what a full disk took of a refused change is given back once there is room") {
  support::FaultyVfs faulty;
  PartnersWorld world;
  const auto rows = [&world] {
    auto db = disk::open_read_only(world.disk->path()).value();
    return db.integer("SELECT count(*) FROM partner");
  };
  world.order({put(made("kept.example"))});
  faulty.plan().error = disk_full;
  faulty.plan().writes_until_failure = 150;
  CHECK_FALSE(world.loop.run(world.service->carry_out(orders_for(5'000, hop::Mandate::verify), "ann")).has_value());
  faulty.heal();
  CHECK(rows() > 1);
  world.watch_until([&] { return rows() == 1; });
  CHECK(rows() == 1);
  CHECK(world.listed() == std::vector<std::string>{"kept.example dane"});
}

}  // namespace route_partners_load_test
