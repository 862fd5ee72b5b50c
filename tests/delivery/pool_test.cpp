// SPDX-License-Identifier: Apache-2.0
#include "delivery/pool.h"

#include <doctest/doctest.h>

namespace delivery_pool_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace std::chrono_literals;

namespace {

const net::SteadyTime t0 = net::SteadyTime(1h);

store::Ready ready(const std::string& name) {
  store::Ready one;
  one.destination = name;
  return one;
}

BusyLane busy_with(const std::string& to) {
  store::Job job;
  store::Due due;
  due.address = to;
  job.recipients.push_back(due);
  BusyLane lane;
  lane.since = t0;
  lane.job = std::make_shared<const store::Job>(std::move(job));
  return lane;
}

// A pool whose lanes are all taken by destinations "a0", "a1", …, each with one idle lane.
struct Full {
  explicit Full(std::size_t sessions) : lanes(sessions) {
    pool.limit(sessions, 20);
    pool.measure_setup(40);  // so patience is 200 ms while few wait
    for (std::size_t i = 0; i < sessions; ++i) {
      pool.add(ready("a" + std::to_string(i)));
      destinations.push_back(pool.next());
      pool.lane_came(*destinations.back());
      lanes[i].at = destinations.back().get();
      lanes[i].since = t0 + std::chrono::milliseconds(i);
      pool.idle_begins(lanes[i]);
    }
  }
  ~Full() {
    for (IdleLane& lane : lanes) pool.idle_ends(lane);
  }
  std::size_t evicted() const {
    std::size_t count = 0;
    for (const IdleLane& lane : lanes) count += lane.evicted ? 1 : 0;
    return count;
  }
  Pool pool;
  std::vector<DestinationPtr> destinations;
  std::vector<IdleLane> lanes;
};

}  // namespace

TEST_CASE("a destination waits once, and becomes active when there is a lane") {
  Pool pool;
  pool.limit(1, 20);
  CHECK(pool.add(ready("a")));
  CHECK(pool.add(ready("a")));
  CHECK(pool.add(ready("b")));
  CHECK(pool.waiting() == 2);
  const DestinationPtr a = pool.next();
  REQUIRE(a);
  CHECK(a->name == "a");
  CHECK(pool.active("a") == a);
  pool.lane_came(*a);
  CHECK(pool.is_full());
  CHECK_FALSE(pool.next());
  CHECK(pool.lane_left(*a));
  CHECK_FALSE(pool.active("a"));
  CHECK(pool.next()->name == "b");
}

TEST_CASE("no more destinations wait than fit; the queue knows the others") {
  Pool pool;
  for (std::size_t i = 0; i < Pool::most_waiting; ++i) REQUIRE(pool.add(ready("d" + std::to_string(i))));
  CHECK_FALSE(pool.add(ready("one more")));
  CHECK(pool.add(ready("d0")));  // which waits already
}

TEST_CASE("an idle lane gives way when it has idled long enough, the longest first, as many as wait") {
  Full full(4);
  full.pool.idle_ends(full.lanes[3]);          // a quarter of all works
  CHECK_FALSE(full.pool.evict_idle(t0 + 1h));  // nobody waits
  full.pool.add(ready("b"));
  const auto patience = full.pool.patience();
  CHECK(patience == 200ms);
  CHECK(full.pool.evict_idle(t0) == t0 + patience);
  CHECK(full.evicted() == 0);
  CHECK_FALSE(full.pool.evict_idle(t0 + patience));
  CHECK(full.lanes[0].evicted);
  CHECK(full.evicted() == 1);
  CHECK_FALSE(full.pool.evict_idle(t0 + 1h));  // one leaves already
  full.pool.add(ready("c"));
  full.pool.evict_idle(t0 + 1h);
  CHECK(full.evicted() == 2);
}

TEST_CASE("where hardly a lane works, those that idle longest give way at once") {
  Full full(8);
  full.pool.idle_ends(full.lanes[7]);
  for (int i = 0; i < 4; ++i) full.pool.add(ready("b" + std::to_string(i)));
  CHECK(full.pool.evict_idle(t0));  // the next one when it has idled long enough
  CHECK(full.lanes[0].evicted);     // now two of eight work, or will
  CHECK(full.evicted() == 1);
}

TEST_CASE("the more destinations wait the shorter idle sessions are kept, at last not at all") {
  Full full(4);
  full.pool.add(ready("b0"));
  auto before = full.pool.patience();
  CHECK(before > 0ms);
  for (int i = 1; i < 12; ++i) {
    full.pool.add(ready("b" + std::to_string(i)));
    CHECK(full.pool.patience() <= before);
    before = full.pool.patience();
  }
  CHECK(before == 0ms);
}

TEST_CASE("a lane that was woken is not evicted, and one that was evicted is not woken: no mail is forgotten") {
  Full full(2);
  CHECK(full.pool.wake_idle(*full.destinations[0]));
  CHECK_FALSE(full.pool.wake_idle(*full.destinations[0]));
  full.pool.add(ready("b"));
  full.pool.evict_idle(t0 + 1h);
  CHECK_FALSE(full.lanes[0].evicted);
  CHECK(full.lanes[1].evicted);
  CHECK_FALSE(full.pool.wake_idle(*full.destinations[1]));
}

TEST_CASE("destinations with an idle lane are not busy: what comes due there is told to it") {
  Full full(2);
  CHECK(full.pool.busy().empty());
  full.pool.wake_idle(*full.destinations[1]);
  CHECK(full.pool.busy() == std::vector<std::string>{"a1"});
  full.destinations[0]->more = full.destinations[1]->more = false;
  full.pool.remind_busy();
  CHECK_FALSE(full.destinations[0]->more);
  CHECK(full.destinations[1]->more);
}

TEST_CASE("lanes grow only where mail gets through, nobody waits, and the backlog takes longer than more sessions") {
  Pool pool;
  pool.limit(10, 3);
  pool.add(ready("a"));
  const DestinationPtr a = pool.next();
  pool.lane_came(*a);
  CHECK_FALSE(pool.may_grow(*a));  // not connected yet
  a->connected = 1;
  CHECK(pool.may_grow(*a));
  a->measure(Destination::Kind::first, 10);
  a->measure(Destination::Kind::further, 2);
  CHECK_FALSE(a->is_behind());  // no job
  a->jobs.resize(3);
  CHECK_FALSE(a->is_behind());
  a->jobs.resize(20);
  CHECK(a->is_behind());
  pool.add(ready("b"));
  CHECK_FALSE(pool.may_grow(*a));  // others first
  pool.next();
  a->backoff.emplace();
  CHECK_FALSE(pool.may_grow(*a));  // it was down: one at a time
  CHECK(a->portion() == 1);
  a->backoff.reset();
  a->most = 1;
  CHECK_FALSE(pool.may_grow(*a));
  a->most = 9;
  pool.lane_came(*a);
  pool.lane_came(*a);
  CHECK_FALSE(pool.may_grow(*a));  // the limit of one destination
}

TEST_CASE("while others wait a destination gives up lanes above its share, and each lane after its turn") {
  Pool pool;
  pool.limit(4, 20);
  pool.add(ready("a"));
  const DestinationPtr a = pool.next();
  for (int i = 0; i < 4; ++i) pool.lane_came(*a);
  CHECK_FALSE(pool.must_yield(*a, Pool::Turn::over));
  pool.add(ready("b"));
  CHECK(pool.must_yield(*a, Pool::Turn::young));  // 4 of 4, its share is 2
  a->lanes = 2;
  CHECK_FALSE(pool.must_yield(*a, Pool::Turn::young));
  CHECK(pool.must_yield(*a, Pool::Turn::over));
}

// Whoever had all sessions to a provider kept them for two seconds, whatever else waited for it.
TEST_CASE("while others wait for a site or host a destination gives up what it has above its share there") {
  for (const bool at_host : {false, true}) {
    CAPTURE(at_host);
    Pool pool;
    pool.limit(100, 20);
    pool.add(ready("a"));
    const DestinationPtr a = pool.next();
    for (int i = 0; i < 4; ++i) pool.lane_came(*a);
    a->site = std::make_shared<Site>(20);
    const auto gate = at_host ? std::make_shared<Gate>(4) : GatePtr(a->site);
    gate->allowance.most(4);
    gate->used = 4;
    CHECK_FALSE(pool.must_yield(*a, Pool::Turn::over, gate.get()));
    gate->waiting.push_back(ready("b"));
    CHECK(pool.must_yield(*a, Pool::Turn::young, gate.get()));  // 4 of 4, its share is 2
    a->lanes = 2;
    CHECK_FALSE(pool.must_yield(*a, Pool::Turn::young, gate.get()));
    CHECK(pool.must_yield(*a, Pool::Turn::over, gate.get()));
    gate->used = 3;
    CHECK_FALSE(pool.must_yield(*a, Pool::Turn::over, gate.get()));  // there is room
  }
}

TEST_CASE("limits that were lowered are obeyed by lanes that exist") {
  Pool pool;
  pool.limit(4, 20);
  pool.add(ready("a"));
  const DestinationPtr a = pool.next();
  for (int i = 0; i < 4; ++i) pool.lane_came(*a);
  pool.limit(4, 2);
  CHECK(pool.must_yield(*a, Pool::Turn::young));
}

// Its destination had a lane for each try, and with every lane it began anew: it was tried for ever, without a line.
TEST_CASE(
    "MX-27: a message that comes back again and again, while others get through, has its own schedule in the end") {
  Backs backs;
  const store::Id one{1}, other{2};
  const net::SteadyTime begin{std::chrono::hours(1)};
  for (int i = 0; i < 100; ++i) CHECK_FALSE(backs.are_too_many("a", one, begin + std::chrono::milliseconds(i)));
  CHECK_FALSE(backs.are_too_many("a", one, begin + std::chrono::seconds(30)));
  CHECK_FALSE(backs.are_too_many("a", other, begin + std::chrono::seconds(31)));  // it has a time of its own
  CHECK_FALSE(backs.are_too_many("b", one, begin + std::chrono::seconds(31)));    // and so has another part of it
  for (const int second : {40, 50, 60})
    CHECK_FALSE(backs.are_too_many("a", other, begin + std::chrono::seconds(second)));
  CHECK(backs.are_too_many("a", one, begin + std::chrono::seconds(61)));  // whoever came back in between
  CHECK(backs.are_too_many("a", other, begin + std::chrono::seconds(62)));
  CHECK_FALSE(backs.are_too_many("a", other, begin + std::chrono::seconds(63)));  // when it comes again
  CHECK_FALSE(backs.are_too_many("a", other, begin + std::chrono::hours(1)));
  for (std::int64_t i = 0; i < 5000; ++i) backs.are_too_many("c", store::Id{i}, begin);
  CHECK(backs.size() <= 4096);
}

TEST_CASE("MX-21: when every lane is long in its attempt and there is other mail, another lane goes past") {
  Pool pool;
  pool.limit(10, 3);
  pool.add(ready("a"));
  const DestinationPtr a = pool.next();
  pool.lane_came(*a);
  a->connected = 1;
  a->more = true;
  CHECK_FALSE(a->overdue(t0));  // its lane leases, or rests
  BusyLane first = busy_with("poison@a"), second = busy_with("eve@a");
  a->begins(first);
  CHECK(a->overdue(t0) == t0 + 750ms);
  a->message_ms = 400;
  CHECK(a->overdue(t0) == t0 + 1200ms);  // it always takes its time
  a->message_ms = 100'000;               // an attempt that hung says nothing of how long one takes
  CHECK(a->overdue(t0) == t0 + 3s);
  a->message_ms = 0;
  a->more = false;
  CHECK_FALSE(a->overdue(t0));  // nobody waits
  a->jobs.push_back(*busy_with("bob@a").job);
  CHECK(a->overdue(t0));
  pool.lane_came(*a);
  CHECK_FALSE(a->overdue(t0));  // one that is only beginning will take it
  second.since = t0 + 5s;
  a->begins(second);
  CHECK(a->overdue(t0) == t0 + 5s + 750ms);
  a->backoff.emplace();
  CHECK(pool.may_grow(*a, Pool::Why::hung));  // its knock hangs at somebody, while the server is ready for mail
  pool.lane_came(*a);
  CHECK_FALSE(pool.may_grow(*a, Pool::Why::hung));
}

TEST_CASE("MX-21: an address that hangs keeps one lane, and others take the mail behind it") {
  Destination a;
  a.lanes = 2;
  a.more = false;
  const BusyLane hanging = busy_with("poison@a");
  a.begins(hanging);
  for (const char* to : {"poison@a", "bob@a", "poison@a"}) a.jobs.push_back(*busy_with(to).job);
  CHECK(a.takeable(t0 + 100ms) == 3);  // nobody knows yet
  CHECK(a.takeable(t0 + 1s) == 1);
  const auto next = a.take(t0 + 1s);
  REQUIRE(next);
  CHECK(next->recipients.front().address == "bob@a");
  CHECK_FALSE(a.take(t0 + 1s));
  a.lanes = 1;
  CHECK_FALSE(a.overdue(t0 + 1s));  // what is left waits for the same
  CHECK_FALSE(a.is_behind());
  a.ends(hanging, Destination::Took::nothing, t0 + 300s);
  REQUIRE(a.take(t0 + 300s));  // it is tried again,
  BusyLane again = busy_with("poison@a");
  again.since = t0 + 300s;
  a.begins(again);
  CHECK_FALSE(a.take(t0 + 300s));  // by one
  a.ends(again, Destination::Took::mail, t0 + 302s);
  CHECK(a.hung.empty());
  CHECK(a.take(t0 + 303s));
}

TEST_CASE("MX-26: lanes that are stuck give way to who waits: above half of all, and a tenth of one owner's names") {
  for (const bool one_owner : {true, false}) {
    CAPTURE(one_owner);
    Pool pool;
    pool.limit(20, 20);
    std::vector<DestinationPtr> destinations;
    std::vector<BusyLane> lanes(20);
    for (int i = 0; i < 20; ++i) {
      pool.add(ready("n" + std::to_string(i) + (one_owner ? ".hostile.example" : ".example")));
      destinations.push_back(pool.next());
      pool.lane_came(*destinations.back());
      BusyLane& lane = lanes[static_cast<std::size_t>(i)];
      lane = busy_with("a@n");
      lane.at = destinations.back().get();
      lane.began = t0 + std::chrono::milliseconds(i);
      destinations.back()->begins(lane);
    }
    CHECK(pool.stuck_too_many(t0 + 1h).empty());  // nobody waits
    pool.add(ready("good.test"));
    CHECK(pool.stuck_too_many(t0 + 9s).empty());
    const auto one = pool.stuck_too_many(t0 + 11s);
    REQUIRE(one.size() == 1);
    CHECK(one.front() == &lanes[0]);
    destinations[0]->message_ms = 4000;  // it always takes its time
    CHECK(pool.stuck_too_many(t0 + 11s).front() == &lanes[1]);
    for (int i = 0; i < 40; ++i) pool.add(ready("w" + std::to_string(i) + ".test"));
    CHECK(pool.stuck_too_many(t0 + 30s).size() == (one_owner ? 18 : 10));
    CHECK(pool.stuck_too_many(t0 + 10005ms).size() == (one_owner ? 3 : 0));
  }
}

}  // namespace delivery_pool_test
