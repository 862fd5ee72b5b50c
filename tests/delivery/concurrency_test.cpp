// SPDX-License-Identifier: Apache-2.0
#include "delivery/concurrency.h"

#include <doctest/doctest.h>

namespace delivery_concurrency_test {

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

BusyWorker busy_with(const std::string& to) {
  store::Job job;
  store::Due due;
  due.address = to;
  job.recipients.push_back(due);
  BusyWorker worker;
  worker.since = t0;
  worker.job = std::make_shared<const store::Job>(std::move(job));
  return worker;
}

// Limits whose workers are all taken by destinations "a0", "a1", …, each with one idle worker.
struct Full {
  explicit Full(std::size_t sessions) : workers(sessions) {
    limits.limit(sessions, 20);
    limits.measure_setup(40);  // so idle_keepalive() is 200 ms while few wait
    for (std::size_t i = 0; i < sessions; ++i) {
      limits.add(ready("a" + std::to_string(i)));
      destinations.push_back(limits.next());
      limits.worker_came(*destinations.back());
      workers[i].at = destinations.back().get();
      workers[i].since = t0 + std::chrono::milliseconds(i);
      limits.idle_begins(workers[i]);
    }
  }
  ~Full() {
    for (IdleWorker& worker : workers) limits.idle_ends(worker);
  }
  std::size_t evicted() const {
    std::size_t count = 0;
    for (const IdleWorker& worker : workers) count += worker.evicted ? 1 : 0;
    return count;
  }
  ConcurrencyLimits limits;
  std::vector<ActiveDestinationPtr> destinations;
  std::vector<IdleWorker> workers;
};

}  // namespace

TEST_CASE("a destination waits once, and becomes active when there is a worker") {
  ConcurrencyLimits limits;
  limits.limit(1, 20);
  CHECK(limits.add(ready("a")));
  CHECK(limits.add(ready("a")));
  CHECK(limits.add(ready("b")));
  CHECK(limits.waiting() == 2);
  const ActiveDestinationPtr a = limits.next();
  REQUIRE(a);
  CHECK(a->name == "a");
  CHECK(limits.active("a") == a);
  limits.worker_came(*a);
  CHECK(limits.is_full());
  CHECK_FALSE(limits.next());
  CHECK(limits.worker_left(*a));
  CHECK_FALSE(limits.active("a"));
  CHECK(limits.next()->name == "b");
}

TEST_CASE("no more destinations wait than fit; the queue knows the others") {
  ConcurrencyLimits limits;
  for (std::size_t i = 0; i < ConcurrencyLimits::most_waiting; ++i) REQUIRE(limits.add(ready("d" + std::to_string(i))));
  CHECK_FALSE(limits.add(ready("one more")));
  CHECK(limits.add(ready("d0")));  // which waits already
}

TEST_CASE("an idle worker gives way when it has idled long enough, the longest first, as many as wait") {
  Full full(4);
  full.limits.idle_ends(full.workers[3]);        // a quarter of all works
  CHECK_FALSE(full.limits.evict_idle(t0 + 1h));  // nobody waits
  full.limits.add(ready("b"));
  const auto keepalive = full.limits.idle_keepalive();
  CHECK(keepalive == 200ms);
  CHECK(full.limits.evict_idle(t0) == t0 + keepalive);
  CHECK(full.evicted() == 0);
  CHECK_FALSE(full.limits.evict_idle(t0 + keepalive));
  CHECK(full.workers[0].evicted);
  CHECK(full.evicted() == 1);
  CHECK_FALSE(full.limits.evict_idle(t0 + 1h));  // one leaves already
  full.limits.add(ready("c"));
  full.limits.evict_idle(t0 + 1h);
  CHECK(full.evicted() == 2);
}

TEST_CASE("where hardly a worker works, those that idle longest give way at once") {
  Full full(8);
  full.limits.idle_ends(full.workers[7]);
  for (int i = 0; i < 4; ++i) full.limits.add(ready("b" + std::to_string(i)));
  CHECK(full.limits.evict_idle(t0));  // the next one when it has idled long enough
  CHECK(full.workers[0].evicted);     // now two of eight work, or will
  CHECK(full.evicted() == 1);
}

TEST_CASE("the more destinations wait the shorter idle sessions are kept, at last not at all") {
  Full full(4);
  full.limits.add(ready("b0"));
  auto before = full.limits.idle_keepalive();
  CHECK(before > 0ms);
  for (int i = 1; i < 12; ++i) {
    full.limits.add(ready("b" + std::to_string(i)));
    CHECK(full.limits.idle_keepalive() <= before);
    before = full.limits.idle_keepalive();
  }
  CHECK(before == 0ms);
}

TEST_CASE("a worker that was woken is not evicted, and one that was evicted is not woken: no mail is forgotten") {
  Full full(2);
  CHECK(full.limits.wake_idle(*full.destinations[0]));
  CHECK_FALSE(full.limits.wake_idle(*full.destinations[0]));
  full.limits.add(ready("b"));
  full.limits.evict_idle(t0 + 1h);
  CHECK_FALSE(full.workers[0].evicted);
  CHECK(full.workers[1].evicted);
  CHECK_FALSE(full.limits.wake_idle(*full.destinations[1]));
}

TEST_CASE("destinations with an idle worker are not busy: what comes due there is told to it") {
  Full full(2);
  CHECK(full.limits.busy().empty());
  full.limits.wake_idle(*full.destinations[1]);
  CHECK(full.limits.busy() == std::vector<std::string>{"a1"});
  full.destinations[0]->more = full.destinations[1]->more = false;
  full.limits.recheck_busy();
  CHECK_FALSE(full.destinations[0]->more);
  CHECK(full.destinations[1]->more);
}

TEST_CASE("workers grow only where mail gets through, nobody waits, and the backlog takes longer than more sessions") {
  ConcurrencyLimits limits;
  limits.limit(10, 3);
  limits.add(ready("a"));
  const ActiveDestinationPtr a = limits.next();
  limits.worker_came(*a);
  CHECK_FALSE(limits.may_grow(*a));  // not connected yet
  a->connected = 1;
  CHECK(limits.may_grow(*a));
  a->measure(ActiveDestination::Kind::first, 10);
  a->measure(ActiveDestination::Kind::further, 2);
  CHECK_FALSE(a->is_behind());  // no job
  a->jobs.resize(3);
  CHECK_FALSE(a->is_behind());
  a->jobs.resize(20);
  CHECK(a->is_behind());
  limits.add(ready("b"));
  CHECK_FALSE(limits.may_grow(*a));  // others first
  limits.next();
  a->backoff.emplace();
  CHECK_FALSE(limits.may_grow(*a));  // it was down: one at a time
  CHECK(a->portion() == 1);
  a->backoff.reset();
  a->most = 1;
  CHECK_FALSE(limits.may_grow(*a));
  a->most = 9;
  limits.worker_came(*a);
  limits.worker_came(*a);
  CHECK_FALSE(limits.may_grow(*a));  // the limit of one destination
}

TEST_CASE("while others wait a destination gives up workers above its share, and each worker after its turn") {
  ConcurrencyLimits limits;
  limits.limit(4, 20);
  limits.add(ready("a"));
  const ActiveDestinationPtr a = limits.next();
  for (int i = 0; i < 4; ++i) limits.worker_came(*a);
  CHECK_FALSE(limits.must_yield(*a, ConcurrencyLimits::Turn::over));
  limits.add(ready("b"));
  CHECK(limits.must_yield(*a, ConcurrencyLimits::Turn::young));  // 4 of 4, its share is 2
  a->workers = 2;
  CHECK_FALSE(limits.must_yield(*a, ConcurrencyLimits::Turn::young));
  CHECK(limits.must_yield(*a, ConcurrencyLimits::Turn::over));
}

// Whoever had all sessions to a provider kept them for two seconds, whatever else waited for it.
TEST_CASE("while others wait for a site or host a destination gives up what it has above its share there") {
  for (const bool at_host : {false, true}) {
    CAPTURE(at_host);
    ConcurrencyLimits limits;
    limits.limit(100, 20);
    limits.add(ready("a"));
    const ActiveDestinationPtr a = limits.next();
    for (int i = 0; i < 4; ++i) limits.worker_came(*a);
    a->site = std::make_shared<Site>(20);
    const auto gate = at_host ? std::make_shared<Gate>(4) : GatePtr(a->site);
    gate->allowance.most(4);
    gate->used = 4;
    CHECK_FALSE(limits.must_yield(*a, ConcurrencyLimits::Turn::over, gate.get()));
    gate->waiting.push_back(ready("b"));
    CHECK(limits.must_yield(*a, ConcurrencyLimits::Turn::young, gate.get()));  // 4 of 4, its share is 2
    a->workers = 2;
    CHECK_FALSE(limits.must_yield(*a, ConcurrencyLimits::Turn::young, gate.get()));
    CHECK(limits.must_yield(*a, ConcurrencyLimits::Turn::over, gate.get()));
    gate->used = 3;
    CHECK_FALSE(limits.must_yield(*a, ConcurrencyLimits::Turn::over, gate.get()));  // there is room
  }
}

TEST_CASE("limits that were lowered are obeyed by workers that exist") {
  ConcurrencyLimits limits;
  limits.limit(4, 20);
  limits.add(ready("a"));
  const ActiveDestinationPtr a = limits.next();
  for (int i = 0; i < 4; ++i) limits.worker_came(*a);
  limits.limit(4, 2);
  CHECK(limits.must_yield(*a, ConcurrencyLimits::Turn::young));
}

// Its destination had a worker for each try, and with every worker it began anew: it was tried for ever, without a line.
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

TEST_CASE("MX-21: when every worker is long in its attempt and there is other mail, another worker goes past") {
  ConcurrencyLimits limits;
  limits.limit(10, 3);
  limits.add(ready("a"));
  const ActiveDestinationPtr a = limits.next();
  limits.worker_came(*a);
  a->connected = 1;
  a->more = true;
  CHECK_FALSE(a->overdue(t0));  // its worker leases, or rests
  BusyWorker first = busy_with("poison@a"), second = busy_with("eve@a");
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
  limits.worker_came(*a);
  CHECK_FALSE(a->overdue(t0));  // one that is only beginning will take it
  second.since = t0 + 5s;
  a->begins(second);
  CHECK(a->overdue(t0) == t0 + 5s + 750ms);
  a->backoff.emplace();
  CHECK(limits.may_grow(
      *a, ConcurrencyLimits::Why::hung));  // its knock hangs at somebody, while the server is ready for mail
  limits.worker_came(*a);
  CHECK_FALSE(limits.may_grow(*a, ConcurrencyLimits::Why::hung));
}

TEST_CASE("MX-21: an address that hangs keeps one worker, and others take the mail behind it") {
  ActiveDestination a;
  a.workers = 2;
  a.more = false;
  const BusyWorker hanging = busy_with("poison@a");
  a.begins(hanging);
  for (const char* to : {"poison@a", "bob@a", "poison@a"}) a.jobs.push_back(*busy_with(to).job);
  CHECK(a.takeable(t0 + 100ms) == 3);  // nobody knows yet
  CHECK(a.takeable(t0 + 1s) == 1);
  const auto next = a.take(t0 + 1s);
  REQUIRE(next);
  CHECK(next->recipients.front().address == "bob@a");
  CHECK_FALSE(a.take(t0 + 1s));
  a.workers = 1;
  CHECK_FALSE(a.overdue(t0 + 1s));  // what is left waits for the same
  CHECK_FALSE(a.is_behind());
  a.ends(hanging, ActiveDestination::Took::nothing, t0 + 300s);
  REQUIRE(a.take(t0 + 300s));  // it is tried again,
  BusyWorker again = busy_with("poison@a");
  again.since = t0 + 300s;
  a.begins(again);
  CHECK_FALSE(a.take(t0 + 300s));  // by one
  a.ends(again, ActiveDestination::Took::mail, t0 + 302s);
  CHECK(a.hung.empty());
  CHECK(a.take(t0 + 303s));
}

TEST_CASE("MX-26: workers that are stuck give way to who waits: above half of all, and a tenth of one owner's names") {
  for (const bool one_owner : {true, false}) {
    CAPTURE(one_owner);
    ConcurrencyLimits limits;
    limits.limit(20, 20);
    std::vector<ActiveDestinationPtr> destinations;
    std::vector<BusyWorker> workers(20);
    for (int i = 0; i < 20; ++i) {
      limits.add(ready("n" + std::to_string(i) + (one_owner ? ".hostile.example" : ".example")));
      destinations.push_back(limits.next());
      limits.worker_came(*destinations.back());
      BusyWorker& worker = workers[static_cast<std::size_t>(i)];
      worker = busy_with("a@n");
      worker.at = destinations.back().get();
      worker.began = t0 + std::chrono::milliseconds(i);
      destinations.back()->begins(worker);
    }
    CHECK(limits.stuck_too_many(t0 + 1h).empty());  // nobody waits
    limits.add(ready("good.test"));
    CHECK(limits.stuck_too_many(t0 + 9s).empty());
    const auto one = limits.stuck_too_many(t0 + 11s);
    REQUIRE(one.size() == 1);
    CHECK(one.front() == &workers[0]);
    destinations[0]->message_ms = 4000;  // it always takes its time
    CHECK(limits.stuck_too_many(t0 + 11s).front() == &workers[1]);
    for (int i = 0; i < 40; ++i) limits.add(ready("w" + std::to_string(i) + ".test"));
    CHECK(limits.stuck_too_many(t0 + 30s).size() == (one_owner ? 18 : 10));
    CHECK(limits.stuck_too_many(t0 + 10005ms).size() == (one_owner ? 3 : 0));
  }
}

}  // namespace delivery_concurrency_test
