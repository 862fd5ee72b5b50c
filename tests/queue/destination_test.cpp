// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/queue/world.h"

namespace queue_destination_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

DestinationChange down(const std::string& destination, Time until, std::uint32_t failures = 1) {
  DestinationChange change;
  change.destination = destination;
  change.backoff.emplace();
  change.backoff->until = until;
  change.backoff->failures = failures;
  change.backoff->interval = Seconds(300);
  change.backoff->last = t0;
  change.backoff->status = "4.4.1";
  change.backoff->reason = "connect-timeout";
  change.backoff->host = "mx.dead.test[192.0.2.9]";
  return change;
}

}  // namespace

TEST_CASE("a destination that is down is one hold: its mail is neither announced nor ready, other mail is") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 20; ++i) world.put({"a@dead.test"}, "x\r\n", at(i));
  const auto probe = world.lease("dead.test", at(20), 1);
  world.apply({World::all(probe[0], Verdict::deferred, at(320))}, at(20), {down("dead.test", at(320))});
  world.work.clear();
  world.put({"a@dead.test"}, "x\r\n", at(21));
  world.put({"a@live.test"}, "x\r\n", at(22));
  CHECK(world.work == std::vector<std::string>{"live.test"});
  CHECK(world.ready(at(23)) == std::vector<std::string>{"live.test"});
  CHECK(world.last_ready.next_due == at(320));
  CHECK(world.ready(at(321)) == std::vector<std::string>{"dead.test", "live.test"});
  REQUIRE(world.last_ready.ready[0].backoff.has_value());
  CHECK(world.last_ready.ready[0].backoff->failures == 1);
  CHECK(world.lease("dead.test", at(321)).size() == 21);  // what was at hand
  CHECK(world.lease("dead.test", at(321)).empty());
}

TEST_CASE("a hold and its failures are kept over a restart; success ends them") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    world.put({"a@dead.test"});
    const auto jobs = world.lease("dead.test");
    world.apply({World::all(jobs[0], Verdict::deferred, at(1))}, t0, {down("dead.test", at(600), 3)});
  }
  World world(dir.path(), Options{}, at(2));
  CHECK(world.ready(at(599)).empty());
  CHECK(world.last_ready.next_due == at(600));
  world.work.clear();
  world.put({"b@dead.test"}, "x\r\n", at(3));
  CHECK(world.work.empty());  // the hold is known from the database
  const auto known = world.loop.run(world.queue->backoff("dead.test")).value();
  REQUIRE(known.has_value());
  CHECK(known->failures == 3);
  CHECK(known->interval == Seconds(300));
  CHECK(known->reason == "connect-timeout");
  CHECK(world.ready(at(600)) == std::vector<std::string>{"dead.test"});
  const auto jobs = world.lease("dead.test", at(600));
  REQUIRE(jobs.size() == 2);
  world.apply({World::all(jobs[0], Verdict::delivered), World::all(jobs[1], Verdict::delivered)}, at(600),
              {{"dead.test", {}}});
  CHECK(!world.loop.run(world.queue->backoff("dead.test")).value().has_value());
  world.put({"c@dead.test"}, "x\r\n", at(601));
  CHECK(world.work == std::vector<std::string>{"dead.test"});
}

TEST_CASE("ready: oldest first, within the limit, busy ones left out; drained domains leave no rows") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 9; i >= 0; --i) world.put({"a@d" + std::to_string(i) + ".test"}, "x\r\n", at(10 - i));
  CHECK(world.ready(at(20), 3) == std::vector<std::string>{"d9.test", "d8.test", "d7.test"});
  const auto work = world.loop.run(world.queue->ready(at(20), 3, {"d9.test", "d7.test"})).value();
  CHECK(work.ready[0].destination == "d8.test");
  CHECK(work.ready[1].destination == "d6.test");
  CHECK(world.count("domain") == 10);
  for (int i = 0; i < 10; ++i)
    world.apply({World::all(world.lease("d" + std::to_string(i) + ".test", at(20))[0], Verdict::delivered)}, at(20));
  CHECK(world.ready(at(21)).empty());
  CHECK(!world.last_ready.next_due.has_value());
  CHECK(world.count("domain") == 0);
  CHECK(world.count("destination") == 0);
}

TEST_CASE("lease_older: those that wait behind a hold can be expired without an attempt of their own") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 10; ++i) world.put({"a@dead.test"}, "x\r\n", at(i * 100));
  world.put({"a@other.test"}, "x\r\n", at(1));
  LeaseLimit limit;
  limit.messages = 100;
  auto old = world.loop.run(world.queue->lease_older("dead.test", at(450), limit)).value();
  REQUIRE(old.size() == 5);
  CHECK(world.lease("dead.test", at(2000)).size() == 5);  // the others, none twice
  std::vector<Settled> settled;
  for (const auto& job : old) settled.push_back(World::all(job, Verdict::expired));
  world.apply(settled, at(2000));
  CHECK(world.list().size() == 6);  // the other five, and that of another destination
}

TEST_CASE("one smarthost takes many domains: one destination, one transaction for all recipients of a message") {
  support::TempDirectory dir;
  World world(dir.path());
  world.smarthost = "exch01.contoso.local";
  world.put({"a@one.test", "b@two.test", "c@three.test"});
  for (int i = 0; i < 300; ++i) world.put({"a@s" + std::to_string(i) + ".test"}, "x\r\n", at(i + 1));
  for (const bool restarted : {false, true}) {
    CAPTURE(restarted);
    if (restarted) {
      world.queue.reset();
      world.queue =
          std::make_unique<Queue>(*world.mail, Options{}, [&world](const dns::Name& d) { return world.route(d); });
      world.loop.run(world.queue->start(at(400))).value();
      CHECK(world.ready(at(400)) == std::vector<std::string>{"exch01.contoso.local"});
    }
    const auto jobs = world.lease("exch01.contoso.local", at(400), 1000);
    REQUIRE(jobs.size() >= 256);
    CHECK(jobs[0].recipients.size() == 3);
  }
}

TEST_CASE("reroute: waiting mail follows the new routes, what is under way is not leased twice") {
  support::TempDirectory dir;
  World world(dir.path());
  world.put({"a@one.test", "b@two.test"}, "x\r\n", at(1));
  world.put({"c@two.test"}, "x\r\n", at(2));
  const auto under_way = world.lease("one.test", at(3));
  world.smarthost = "smart.test";
  world.loop.run(world.queue->reroute(t0)).value();
  CHECK(world.lease("two.test", at(3)).empty());
  CHECK(world.ready(at(3)) == std::vector<std::string>{"smart.test"});
  auto jobs = world.lease("smart.test", at(3));
  CHECK(jobs.size() == 1);  // the other message has a recipient under way and waits for it
  CHECK(jobs[0].recipients[0].address == "c@two.test");
  world.apply({World::all(under_way[0], Verdict::delivered), World::all(jobs[0], Verdict::delivered)}, at(4));
  jobs = world.lease("smart.test", at(4));
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].recipients.size() == 1);
  CHECK(jobs[0].recipients[0].address == "b@two.test");
}

TEST_CASE("MX-20: mail that moves to another next hop waits no longer for the old one, whoever moves it first") {
  for (const char* mover : {"reroute", "new mail", "start"}) {
    CAPTURE(mover);
    support::TempDirectory dir;
    World world(dir.path());
    world.smarthost = "smart.test";
    world.put({"a@one.test", "b@two.test"});
    world.apply({World::all(world.lease("smart.test")[0], Verdict::deferred, at(3600))}, t0,
                {down("smart.test", at(3600))});
    CHECK(world.ready(at(1)).empty());
    world.smarthost.clear();
    if (mover == std::string("new mail")) world.put({"c@one.test"}, "x\r\n", at(1));
    if (mover == std::string("start")) {
      world.queue.reset();
      world.queue =
          std::make_unique<Queue>(*world.mail, Options{}, [&world](const dns::Name& d) { return world.route(d); });
      world.loop.run(world.queue->start(at(1))).value();
    } else {
      world.loop.run(world.queue->reroute(at(1))).value();
    }
    auto ready = world.ready(at(1));
    std::sort(ready.begin(), ready.end());
    CHECK(ready == std::vector<std::string>{"one.test", "two.test"});
    std::string found;
    for (const auto& job : world.lease("one.test", at(1))) found += job.recipients[0].address + " ";
    CHECK(found.find("a@one.test") != std::string::npos);
    CHECK(world.lease("smart.test", at(4000)).empty());
  }
}

TEST_CASE("routes that changed while the daemon was stopped count from its start") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    world.put({"a@one.test"});
  }
  World world(dir.path());
  world.smarthost = "smart.test";
  world.loop.run(world.queue->start(t0)).value();
  CHECK(world.ready() == std::vector<std::string>{"smart.test"});
}

TEST_CASE("a clock that was set back while the daemon was stopped delays nothing by more than its own interval") {
  support::TempDirectory dir;
  {
    World world(dir.path(), Options{}, at(1'000'000));
    world.put({"a@one.test", "b@two.test"}, "x\r\n", at(1'000'000));
    world.apply({World::all(world.lease("one.test", at(1'000'000))[0], Verdict::deferred, at(1'000'300))},
                at(1'000'000), {down("one.test", at(1'000'300))});
  }
  World world(dir.path(), Options{}, at(0));
  auto found = world.ready(at(0));
  std::sort(found.begin(), found.end());
  CHECK(found == std::vector<std::string>{"one.test", "two.test"});
  CHECK(world.lease("one.test", at(0)).size() == 1);
}

TEST_CASE("a clock that is set back under way, likewise") {
  support::TempDirectory dir;
  World world(dir.path(), Options{}, at(1'000'000));
  world.put({"a@one.test"}, "x\r\n", at(1'000'000));
  world.apply({World::all(world.lease("one.test", at(1'000'000))[0], Verdict::deferred, at(1'000'300))}, at(1'000'000));
  CHECK(world.lease("one.test", at(0)).empty());
  world.loop.run(world.queue->rebase(at(0))).value();
  CHECK(world.ready(at(0)) == std::vector<std::string>{"one.test"});
  CHECK(world.lease("one.test", at(0)).size() == 1);
}

}  // namespace queue_destination_test
