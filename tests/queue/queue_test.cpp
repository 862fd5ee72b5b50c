// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/queue/world.h"

namespace queue_queue_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

std::string long_body(std::size_t size) {
  std::string body;
  for (std::size_t i = 0; body.size() < size; ++i) body += "line " + std::to_string(i) + "\r\n";
  return body;
}

std::string read_whole(World& world, const Job& job) {
  std::string body = job.body;
  for (std::uint32_t n = 0; job.chunks > 1 && n < job.chunks; ++n)
    body += world.loop.run(world.queue->read_chunk(job.id, n)).value();
  return body;
}

}  // namespace

TEST_CASE("a committed message is leased whole, with everything its envelope said") {
  support::TempDirectory dir;
  World world(dir.path());
  Envelope envelope = World::envelope("a@example.net");
  envelope.body = Body::eight_bit;
  envelope.smtputf8 = true;
  envelope.requiretls = true;
  envelope.ret = Ret::headers;
  envelope.envid = "QQ314159";
  auto to = World::recipients({"x@one.test", "y@one.test"});
  to[1].orcpt = "rfc822;y@one.test";
  to[1].notify = 6;
  for (const bool restarted : {false, true}) {
    CAPTURE(restarted);
    support::TempDirectory own;
    auto w = std::make_unique<World>(own.path());
    auto writer = w->queue->begin(at(5));
    const Id id = writer.id();
    w->loop.run(writer.write("Subject: x\r\n")).value();
    w->loop.run(writer.write("\r\nhello\r\n")).value();
    CHECK(w->loop.run(writer.commit(envelope, to)).value() == id);
    if (restarted) {
      w.reset();
      w = std::make_unique<World>(own.path(), Options{}, at(6));
      CHECK(w->ready(at(6)) == std::vector<std::string>{"one.test"});
    }
    const auto jobs = w->lease("one.test", at(6));
    REQUIRE(jobs.size() == 1);
    const Job& job = jobs[0];
    CHECK(job.id == id);
    CHECK(job.body == "Subject: x\r\n\r\nhello\r\n");
    CHECK(job.size == job.body.size());
    CHECK(job.received == at(5));
    CHECK(job.envelope.sender == "a@example.net");
    CHECK(job.envelope.client == "192.0.2.1");
    CHECK(job.envelope.body == Body::eight_bit);
    CHECK(job.envelope.smtputf8);
    CHECK(job.envelope.requiretls);
    CHECK(!job.envelope.tls_required_no);
    CHECK(job.envelope.ret == Ret::headers);
    CHECK(job.envelope.envid == "QQ314159");
    REQUIRE(job.recipients.size() == 2);
    CHECK(job.recipients[1].address == "y@one.test");
    CHECK(job.recipients[1].domain == name("one.test"));
    CHECK(job.recipients[1].orcpt == "rfc822;y@one.test");
    CHECK(job.recipients[1].notify == 6);
    CHECK(job.recipients[1].attempts == 0);
  }
}

TEST_CASE("recipients of one destination share a job; each destination has its own") {
  support::TempDirectory dir;
  World world(dir.path());
  world.put({"a@one.test", "b@two.test", "c@one.test"});
  std::sort(world.work.begin(), world.work.end());
  CHECK(world.work == std::vector<std::string>{"one.test", "two.test"});
  const auto one = world.lease("one.test");
  REQUIRE(one.size() == 1);
  REQUIRE(one[0].recipients.size() == 2);
  CHECK(one[0].recipients[0].address == "a@one.test");
  CHECK(one[0].recipients[1].address == "c@one.test");
  const auto two = world.lease("two.test");
  REQUIRE(two.size() == 1);
  CHECK(two[0].recipients[0].seq == 1);
  CHECK(world.lease("one.test").empty());  // leased already
  world.apply({World::all(one[0], Verdict::delivered)});
  CHECK(world.count("message") == 1);
  const auto listed = world.list();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].recipients.size() == 3);  // ended recipients stay listed while another one lives
  CHECK(listed[0].recipients[0].state == State::delivered);
  CHECK(listed[0].state() == "active");
  world.apply({World::all(two[0], Verdict::delivered)});
  CHECK(world.count("message") == 0);
  CHECK(world.count("recipient") == 0);
  CHECK(world.count("chunk") == 0);
}

TEST_CASE("a large message streams ahead and comes back octet by octet") {
  support::TempDirectory dir;
  World world(dir.path());
  for (const std::size_t size : {chunk_bytes - 1, chunk_bytes, chunk_bytes + 1, 5 * chunk_bytes, 5 * chunk_bytes + 7}) {
    CAPTURE(size);
    auto body = long_body(size);
    body.resize(size);
    auto writer = world.queue->begin(t0);
    for (std::size_t at = 0; at < size; at += 10'000) world.loop.run(writer.write(body.substr(at, 10'000))).value();
    world.loop.run(writer.commit(World::envelope(""), World::recipients({"x@one.test"}))).value();
    const auto jobs = world.lease("one.test");
    REQUIRE(jobs.size() == 1);
    CHECK(jobs[0].chunks == (size + chunk_bytes - 1) / chunk_bytes);
    CHECK(read_whole(world, jobs[0]) == body);
    world.apply({World::all(jobs[0], Verdict::delivered)});
    CHECK(world.count("chunk") == 0);
  }
}

TEST_CASE("a writer that dies without a commit leaves nothing, now or after a restart") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    {
      auto writer = world.queue->begin(t0);
      world.loop.run(writer.write(long_body(300'000))).value();
      CHECK(world.count("chunk") > 0);
    }
    world.put({"x@one.test"});  // whatever was posted before is done
    CHECK(world.count("chunk") == 1);
    CHECK(world.count("draft") == 0);
  }
  {
    // A daemon that died in the middle: its rows are there, no message is.
    auto db = disk::Database::open(dir / "queue.db", disk::Access::read_write).value();
    db.execute(
        "INSERT INTO draft VALUES (77); INSERT INTO chunk VALUES (77 << 15, 0, x'00'), (77 << 15 | 1, 0, x'00')");
  }
  World world(dir.path());
  CHECK(world.count("chunk") == 1);
  CHECK(world.count("draft") == 0);
}

TEST_CASE(
    "a session that is cut off at the end may die after the queue and the disk; its rows are swept at the next start") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    auto writer = world.queue->begin(t0);
    world.loop.run(writer.write(long_body(300'000))).value();
    auto waiting = [](Writer own) -> asio::awaitable<void> { (void)co_await own.write(std::string(200'000, 'x')); };
    world.loop.start(waiting(std::move(writer)));
    world.loop.io().restart();
    world.loop.io().poll_one();  // it waits for the disk now, and goes down with the loop
    world.queue.reset();
    world.disk.reset();
  }
  World world(dir.path());
  CHECK(world.count("chunk") == 0);
}

TEST_CASE("MX-11: a deferred recipient comes back when it is due, with what it has been through") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    world.put({"a@one.test"});
    const auto jobs = world.lease("one.test");
    world.apply({World::all(jobs[0], Verdict::deferred, at(300))}, at(1));
    CHECK(world.lease("one.test", at(299)).empty());
    CHECK(world.ready(at(299)).empty());
    CHECK(world.last_ready.next_due == at(300));
  }
  World world(dir.path(), Options{}, at(2));
  CHECK(world.ready(at(299)).empty());
  CHECK(world.last_ready.next_due == at(300));
  CHECK(world.ready(at(300)) == std::vector<std::string>{"one.test"});
  const auto again = world.lease("one.test", at(300));
  REQUIRE(again.size() == 1);
  CHECK(again[0].recipients[0].attempts == 1);
  CHECK(again[0].recipients[0].interval == Seconds(300));
  CHECK(again[0].recipients[0].last == at(1));
  const auto listed = world.list();
  CHECK(listed[0].recipients[0].status == "4.4.1");
  CHECK(listed[0].recipients[0].reply == "the reply");
  CHECK(listed[0].recipients[0].reason == "connect-timeout");
  CHECK(listed[0].recipients[0].host == "mx.one.test");
}

TEST_CASE(
    "bounced and expired recipients are listed while another one lives, are not tried again, and go with the last") {
  support::TempDirectory dir;
  World world(dir.path());
  world.put({"a@one.test", "b@two.test", "c@three.test", "d@four.test"});
  world.apply({World::all(world.lease("one.test")[0], Verdict::bounced)});
  world.apply({World::all(world.lease("two.test")[0], Verdict::expired)});
  world.apply({World::all(world.lease("three.test")[0], Verdict::delivered)});
  CHECK(world.ready(at(1'000'000)) == std::vector<std::string>{"four.test"});
  const auto listed = world.list();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].state() == "queued");
  CHECK(world.count("chunk") == 1);
  Filter filter;
  filter.state = "expired";
  CHECK(world.list(filter).size() == 1);
  world.apply({World::all(world.lease("four.test")[0], Verdict::bounced)});
  CHECK(world.list().empty());
  CHECK(world.count("chunk") == 0);
}

TEST_CASE("recipients that a result does not name go back as they were, due at once") {
  support::TempDirectory dir;
  World world(dir.path());
  world.put({"a@one.test", "b@one.test"});
  const auto jobs = world.lease("one.test");
  auto partly = World::all(jobs[0], Verdict::delivered);
  partly.recipients.pop_back();
  world.apply({partly});
  const auto rest = world.lease("one.test");
  REQUIRE(rest.size() == 1);
  REQUIRE(rest[0].recipients.size() == 1);
  CHECK(rest[0].recipients[0].address == "b@one.test");
  CHECK(rest[0].recipients[0].attempts == 0);
  world.apply({Settled{rest[0].id, "one.test", {}, {}}});  // never tried: the session was gone
  CHECK(world.lease("one.test").size() == 1);
}

TEST_CASE("leases of a dead process are void") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    world.put({"a@one.test"});
    CHECK(world.lease("one.test").size() == 1);
  }
  World world(dir.path());
  CHECK(world.ready() == std::vector<std::string>{"one.test"});
  CHECK(world.lease("one.test").size() == 1);
}

TEST_CASE("the window is bounded: what does not fit comes from the database, each message once, oldest first") {
  support::TempDirectory dir;
  Options options;
  options.window_messages = 10;
  World world(dir.path(), options);
  std::vector<Id> put;
  for (int i = 0; i < 700; ++i)
    put.push_back(world.put({"a@one.test"}, "Subject: " + std::to_string(i) + "\r\n\r\n", at(i)));
  std::vector<Id> got;
  for (;;) {
    const auto jobs = world.lease("one.test", at(1000), 7);
    if (jobs.empty()) break;
    std::vector<Settled> settled;
    for (const auto& job : jobs) {
      got.push_back(job.id);
      if (got.size() % 3 != 0) settled.push_back(World::all(job, Verdict::delivered));  // every third stays leased
    }
    world.apply(settled, at(1000));
  }
  CHECK(got == put);
}

TEST_CASE("ids grow and are never given twice, also when the clock is set back") {
  support::TempDirectory dir;
  Id last;
  {
    World world(dir.path());
    for (int i = 0; i < 1000; ++i) {
      const Id id = world.queue->begin(at(100 - i)).id();
      CHECK(last < id);
      last = id;
    }
    last = world.put({"a@one.test"}, "x\r\n", at(50));
    world.apply({World::all(world.lease("one.test", at(100))[0], Verdict::delivered)});
    CHECK(world.count("message") == 0);
  }
  World world(dir.path(), Options{}, at(-100'000));
  CHECK(last < world.queue->begin(at(-100'000)).id());
}

TEST_CASE("new work is told once for all commits that came back together") {
  support::TempDirectory dir;
  World world(dir.path());
  std::vector<Writer> writers;
  for (int i = 0; i < 50; ++i) writers.push_back(world.queue->begin(t0));
  auto one = [](Writer& writer, int i) -> asio::awaitable<void> {
    (co_await writer.write("Subject: x\r\n\r\n")).value();
    auto to = World::recipients({"a@d" + std::to_string(i % 3) + ".test"});
    auto envelope = World::envelope("");
    (co_await writer.commit(std::move(envelope), std::move(to))).value();
  };
  for (int i = 0; i < 50; ++i) world.loop.start(one(writers[static_cast<std::size_t>(i)], i));
  world.loop.run_all();
  CHECK(world.wakes <= 10);
  CHECK(std::count(world.work.begin(), world.work.end(), "d0.test") >= 1);
  CHECK(std::count(world.work.begin(), world.work.end(), "d2.test") >= 1);
}

}  // namespace queue_queue_test
