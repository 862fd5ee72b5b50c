// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/mail_reader.h"

#include "tests/queue/world.h"

namespace queue_reader_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

TEST_CASE("list: oldest first, filtered by domain, sender and state, with or without a daemon") {
  support::TempDirectory dir;
  {
    World world(dir.path());
    world.put({"a@one.test"}, "x\r\n", at(1), "s@example.net");
    world.put({"b@two.test"}, "x\r\n", at(2), "");
    world.put({"c@one.test", "d@two.test"}, "x\r\n", at(3), "s@example.net");
    world.apply({World::all(world.lease("two.test", at(4), 1)[0], Verdict::deferred, at(304))}, at(4));
    CHECK(world.lease("one.test", at(4), 1).size() == 1);
    Filter active;
    active.state = "active";
    REQUIRE(world.list(active).size() == 1);
    CHECK(world.list(active)[0].state() == "active");
    CHECK(world.list(active)[0].recipients[0].active);
  }
  auto reader = SqliteMailReader::open(dir / "queue.db").value();
  const auto list = [&reader](Filter filter) {
    std::string text;
    CHECK(reader
              .list(filter,
                    [&](const MessageView& m) {
                      for (const auto& r : m.recipients) text += r.address + ":" + std::string(to_text(r.state)) + " ";
                      text += "| ";
                      return Go::on;
                    })
              .has_value());
    return text;
  };
  Filter filter;
  CHECK(list(filter) == "a@one.test:queued | b@two.test:deferred | c@one.test:queued d@two.test:queued | ");
  filter.domain = name("two.test");
  CHECK(list(filter) == "b@two.test:deferred | c@one.test:queued d@two.test:queued | ");
  filter.state = "deferred";
  CHECK(list(filter) == "b@two.test:deferred | ");
  filter.state = "held";
  CHECK(list(filter) == "");
  filter = Filter{};
  filter.sender = "";
  CHECK(list(filter) == "b@two.test:deferred | ");
  filter.sender = "s@example.net";
  filter.domain = name("none.test");
  CHECK(list(filter) == "");
}

TEST_CASE("show and body: one message, all of it") {
  support::TempDirectory dir;
  World world(dir.path());
  const std::string body(200'000, 'x');
  const Id id = world.put({"a@one.test"}, body, at(1));
  auto reader = world.reader();
  const auto message = reader.show(id, {}).value();
  REQUIRE(message.has_value());
  CHECK(message->size == body.size());
  CHECK(message->received == at(1));
  CHECK(message->envelope.sender == "sender@example.net");
  CHECK(message->recipients[0].destination == "one.test");
  CHECK(message->recipients[0].next == at(1));
  std::string read;
  CHECK(reader
            .body(id,
                  [&](std::string_view octets) {
                    read += octets;
                    return Go::on;
                  })
            .has_value());
  CHECK(read == body);
  CHECK(!reader.show(Id{1}, {}).value().has_value());
  CHECK(reader.body(Id{1}, [](std::string_view) { return Go::on; }).error().code == errc::no_message);
}

TEST_CASE("stats: by state and by domain, with the oldest and the reason") {
  support::TempDirectory dir;
  World world(dir.path());
  for (int i = 0; i < 5; ++i) world.put({"a@one.test"}, "x\r\n", at(10 + i));
  world.put({"a@two.test", "b@one.test"}, "x\r\n", at(20));
  world.apply({World::all(world.lease("two.test", at(21))[0], Verdict::deferred, at(300))}, at(21));
  world.act(Action::hold, ids({world.put({"h@three.test"}, "x\r\n", at(30))}));
  const auto under_way = world.lease("one.test", at(31), 2);
  const auto stats = world.reader().stats(world.queue->active()).value();
  CHECK(stats.messages == 7);
  CHECK(stats.oldest == at(10));
  std::string states;
  for (const auto& s : stats.states) states += s.state + "=" + std::to_string(s.count.count) + " ";
  CHECK(states == "active=2 deferred=1 held=1 queued=4 ");
  REQUIRE(stats.domains.size() == 3);
  CHECK(stats.domains[0].domain == "one.test");
  CHECK(stats.domains[0].count.count == 6);
  CHECK(stats.domains[0].count.oldest == at(10));
  CHECK(stats.domains[0].reason == "");
  for (const auto& d : stats.domains)
    if (d.domain == "two.test") CHECK(d.reason == "connect-timeout");
}

TEST_CASE("a damaged body is noticed when it is read and by the sweep: held, reported, never leased") {
  for (const bool by_sweep : {false, true}) {
    CAPTURE(by_sweep);
    for (const bool large : {false, true}) {
      CAPTURE(large);
      support::TempDirectory dir;
      Id id;
      {
        World world(dir.path());
        id = world.put({"a@one.test"}, std::string(large ? 200'000 : 500, 'x'));
        world.put({"b@one.test"}, "good\r\n", at(1));
      }
      disk::Database::open(dir / "queue.db", disk::Access::read_write)
          .value()
          .execute("UPDATE chunk SET data = zeroblob(length(data)) WHERE id = (" + std::to_string(id.value) +
                   " << 15) + " + (large ? "2" : "0"));
      World world(dir.path());
      std::vector<Id> damaged;
      world.queue->on_damage([&](Id which) { damaged.push_back(which); });
      if (by_sweep) {
        Queue::Swept swept;
        int calls = 0;
        do {
          swept = world.loop.run(world.queue->sweep(100'000)).value();
        } while (!swept.end && ++calls < 100);
        CHECK(swept.end);
      } else {
        const auto jobs = world.lease("one.test", at(2));
        CHECK(jobs.size() == (large ? 2 : 1));
        if (large) {
          CHECK(world.loop.run(world.queue->read_chunk(id, 1)).has_value());
          const auto chunk = world.loop.run(world.queue->read_chunk(id, 2));
          CHECK(chunk.error().code == errc::bad_message);
          world.apply({World::all(jobs[0], Verdict::deferred, at(300))}, at(2));
        }
      }
      world.put({"c@two.test"}, "x\r\n", at(3));
      CHECK(damaged == std::vector<Id>{id});
      CHECK(world.list()[0].state() == "held");
      CHECK(world.lease("one.test", at(1000)).size() == (by_sweep ? 1 : 0));
    }
  }
}

TEST_CASE("sweep: what a session left behind while the store could not be written goes") {
  support::TempDirectory dir;
  World world(dir.path());
  disk::Database::open(dir / "queue.db", disk::Access::read_write)
      .value()
      .execute("INSERT INTO draft VALUES (77); INSERT INTO chunk VALUES (77 << 15, 0, x'')");
  auto alive = world.queue->begin(t0);
  world.loop.run(alive.write(std::string(100'000, 'x'))).value();
  CHECK(world.loop.run(world.queue->sweep(1 << 20)).value().end);
  CHECK(world.count("draft") == 1);
  world.loop.run(alive.commit(World::envelope(""), World::recipients({"a@one.test"}))).value();
  CHECK(world.count("chunk") == 2);
}

}  // namespace queue_reader_test
