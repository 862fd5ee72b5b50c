// SPDX-License-Identifier: Apache-2.0
#include "store/actions.h"

#include <algorithm>

#include "tests/queue/world.h"

namespace queue_actions_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

TEST_CASE("hold and release: held mail is not leased, not by retry either, and waits over a restart") {
  support::TempDirectory dir;
  Id id;
  {
    World world(dir.path());
    id = world.put({"a@one.test"});
    const auto held = world.act(Action::hold, ids({id}));
    CHECK(held.messages == 1);
    CHECK(held.ids == std::vector<Id>{id});
    CHECK(world.lease("one.test").empty());
    CHECK(world.act(Action::hold, ids({id})).messages == 0);  // held already
    CHECK(world.act(Action::retry, everything()).messages == 0);
    CHECK(world.list()[0].state() == "held");
  }
  World world(dir.path());
  CHECK(world.ready().empty());
  world.work.clear();
  CHECK(world.act(Action::release, everything(), at(9)).messages == 1);
  CHECK(world.work == std::vector<std::string>{"one.test"});
  const auto jobs = world.lease("one.test", at(9));
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].body == "Subject: x\r\n\r\nhello\r\n");
}

TEST_CASE("retry: deferred mail is due now and the hold of its destination is over") {
  support::TempDirectory dir;
  World world(dir.path());
  world.put({"a@one.test"});
  DestinationChange change;
  change.destination = "one.test";
  change.backoff.emplace();
  change.backoff->until = at(5000);
  change.backoff->failures = 4;
  world.apply({World::all(world.lease("one.test")[0], Verdict::deferred, at(300))}, t0, {change});
  CHECK(world.ready(at(400)).empty());
  world.work.clear();
  CHECK(world.act(Action::retry, domain("one.test"), at(10)).messages == 1);
  CHECK(world.work == std::vector<std::string>{"one.test"});
  CHECK(world.ready(at(10)) == std::vector<std::string>{"one.test"});
  CHECK(world.lease("one.test", at(10)).size() == 1);
}

TEST_CASE("selections: by id, domain, sender, all; an unknown one touches nothing") {
  support::TempDirectory dir;
  World world(dir.path());
  const Id first = world.put({"a@one.test", "a@two.test"}, "x\r\n", at(1), "s@example.net");
  const Id second = world.put({"b@one.test"}, "x\r\n", at(2), "");
  CHECK(world.act(Action::hold, ids({Id{12345}})).messages == 0);
  CHECK(world.act(Action::hold, domain("none.test")).messages == 0);
  CHECK(world.act(Action::hold, sender("nobody@example.net")).messages == 0);
  CHECK(world.act(Action::hold, sender("")).ids == std::vector<Id>{second});
  const auto by_domain = world.act(Action::hold, domain("one.test"));
  CHECK(by_domain.ids == std::vector<Id>{first});
  CHECK(by_domain.recipients == 1);  // the one at two.test goes on
  CHECK(world.lease("two.test", at(3)).size() == 1);
  CHECK(world.lease("one.test", at(3)).empty());
  CHECK(world.act(Action::release, ids({first, second, first})).messages == 2);
  CHECK(world.act(Action::remove, ids({second})).messages == 1);
  CHECK(world.list().size() == 1);
}

TEST_CASE("remove: message and body are gone; a message keeps its other recipients") {
  support::TempDirectory dir;
  World world(dir.path());
  world.put({"a@one.test", "b@two.test"});
  CHECK(world.act(Action::remove, domain("one.test")).messages == 1);
  CHECK(world.lease("one.test").empty());
  CHECK(world.lease("two.test")[0].recipients.size() == 1);
  world.put({"c@three.test"});
  CHECK(world.act(Action::remove, everything()).messages == 2);
  CHECK(world.count("message") == 1);  // the active one
  CHECK(world.list()[0].state() == "active");
}

TEST_CASE("what is under way: hold and remove take effect when the lease ends, unless it ends with the delivery") {
  struct Row {
    Action action;
    Verdict verdict;
    const char* state;  // of the message after it; "" gone
  };
  const Row rows[] = {
      {Action::hold, Verdict::deferred, "held"},      {Action::hold, Verdict::delivered, ""},
      {Action::hold, Verdict::bounced, ""},           {Action::remove, Verdict::deferred, ""},
      {Action::remove, Verdict::delivered, ""},       {Action::remove, Verdict::bounced, ""},
      {Action::retry, Verdict::deferred, "deferred"},
  };
  for (const auto& row : rows) {
    CAPTURE(to_text(row.action));
    CAPTURE(row.state);
    support::TempDirectory dir;
    World world(dir.path());
    world.put({"a@one.test"});
    const auto jobs = world.lease("one.test");
    const auto touched = world.act(row.action, everything());
    CHECK(touched.messages == 1);
    CHECK(touched.active == 1);
    CHECK(world.lease("one.test").empty());
    REQUIRE(world.list().size() == 1);
    CHECK(world.list()[0].state() == "active");
    world.apply({World::all(jobs[0], row.verdict, at(300))});
    const auto after = world.list();
    CHECK(after.size() == (*row.state ? 1 : 0));
    if (!after.empty()) CHECK(after[0].state() == row.state);
    CHECK(world.lease("one.test", at(1)).empty());
  }
}

TEST_CASE("remove of what is under way holds over the death of the daemon") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    world.put({"a@one.test"});
    CHECK(world.lease("one.test").size() == 1);
    CHECK(world.act(Action::remove, everything()).active == 1);
  }
  World world(dir.path());
  CHECK(world.count("message") == 0);
  CHECK(world.count("chunk") == 0);
}

TEST_CASE("actions on thousands of messages count each of them once, by whatever they are chosen") {
  support::TempDirectory dir;
  World world(dir.path());
  auto db = disk::Database::open(dir / "queue.db", disk::Access::read_write).value();
  world.put({"a@one.test"}, "x\r\n", at(1000), "");  // after them: an order means what is there as it begins
  const auto id = Id::at(at(2)).value;
  db.execute(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)"
      " INSERT INTO message SELECT " +
      std::to_string(id) + " + i, 1, 2, 1, 1, 0, '', '', NULL FROM n");
  db.execute(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)"
      " INSERT INTO recipient (id, domain, state, due, attempts, interval, address, notify) SELECT (" +
      std::to_string(id) + " + i) << 15, 1, 0, 1, 0, 0, 'a@one.test', 0 FROM n");
  for (const auto& selection : {domain("one.test"), everything(), sender("")}) {
    const auto held = world.act(Action::hold, selection);
    CHECK(held.messages == 25001);
    CHECK(held.ids.size() == 1000);
    CHECK(world.act(Action::release, selection).messages == 25001);
  }
  const auto stats = world.reader().stats({}).value();
  CHECK(stats.messages == 25001);
  CHECK(world.act(Action::remove, domain("one.test")).messages == 25001);
  CHECK(world.count("recipient") == 0);
}

namespace {

boost::asio::awaitable<Result<>> put_late(Queue& queue) {
  auto late = queue.begin(at(100));
  (co_await late.write("x\r\n")).value();
  auto envelope = World::envelope("late@example.net");
  auto recipients = World::recipients({"late@one.test"});
  (co_await late.commit(std::move(envelope), std::move(recipients))).value();
  co_return Result<>();
}

}  // namespace

TEST_CASE("in_batches: what a selection means comes once, in bounded parts, and what came later is not among it") {
  support::TempDirectory dir;
  World world(dir.path());
  std::vector<Id> put;
  for (int i = 0; i < 25; ++i) put.push_back(world.put({"a@one.test", "b@two.test"}, "x\r\n", at(i)));
  std::vector<Id> seen;
  std::size_t most = 0;
  const auto take = [&](std::vector<Id> batch) {
    most = std::max(most, batch.size());
    seen.insert(seen.end(), batch.begin(), batch.end());
    return put_late(*world.queue);
  };
  for (const auto& selection : {everything(), domain("one.test"), sender("sender@example.net"), ids(put)}) {
    seen.clear();
    world.loop.run(world.queue->in_batches(selection, 4, t0, take)).value();
    std::erase_if(seen, [&](Id id) { return std::find(put.begin(), put.end(), id) == put.end(); });
    CHECK(seen == put);
    CHECK(most == 4);
  }
}

TEST_CASE("pick: leases due and held recipients that are not under way; what is leased otherwise is counted") {
  support::TempDirectory dir;
  World world(dir.path());
  const Id first = world.put({"a@one.test", "a@two.test"});
  const Id second = world.put({"b@one.test"});
  REQUIRE(world.act(Action::hold, ids({second})).messages == 1);
  REQUIRE(world.lease("two.test").size() == 1);
  const auto picked = world.loop.run(world.queue->pick(everything(), {first, second}, t0)).value();
  REQUIRE(picked.jobs.size() == 2);
  CHECK(picked.active == 1);
  CHECK(picked.jobs[0].recipients.size() == 1);
  CHECK(picked.jobs[0].recipients[0].address == "a@one.test");
  CHECK(picked.jobs[1].envelope.sender == "sender@example.net");
  CHECK(world.lease("one.test").empty());
  CHECK(world.queue->active().size() == 3);
  const auto again = world.loop.run(world.queue->pick(everything(), {first, second}, t0)).value();
  CHECK(again.jobs.empty());
  CHECK(again.active == 2);
  world.work.clear();
  world.apply({World::all(picked.jobs[0], Verdict::bounced), World::all(picked.jobs[1], Verdict::bounced)});
  CHECK(world.queue->active().size() == 1);
  CHECK(world.count("message") == 1);
}

}  // namespace queue_actions_test
