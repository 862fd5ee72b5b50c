// SPDX-License-Identifier: Apache-2.0
// A store that several nodes share: leases hold for a term, what the queue does not keep in memory goes back, ids are a node's own.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/queue/world.h"
#include "tests/support/distant_store.h"

namespace queue_terms_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;
using support::DistantMailStore;

namespace {

// Before start().
struct Shared {
  explicit Shared(Options options = {}) {
    disk::Options on_disk;
    on_disk.directory = directory.path();
    on_disk.migrations = World::own_migrations();
    disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
    options.min_free_space = 0;
    mail = std::make_unique<DistantMailStore>(*disk);
    queue = std::make_unique<Queue>(*mail, options, [](const dns::Name& domain) { return domain.text(); });
  }
  ~Shared() { queue.reset(); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  void start() { loop.run(queue->start(t0)).value(); }
  Id put(const std::string& to) {
    auto writer = queue->begin(t0);
    loop.run(writer.write("Subject: x\r\n\r\nx\r\n")).value();
    const Id id = loop.run(writer.commit(World::envelope("a@example.net"), World::recipients({to}))).value();
    loop.io().poll();
    return id;
  }
  Result<std::vector<Job>> lease(const std::string& destination) {
    LeaseLimit limit;
    limit.messages = 100;
    limit.bytes = 1 << 20;
    return loop.run(queue->lease(destination, t0, limit));
  }

  support::TempDirectory directory;
  support::Loop loop;
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<DistantMailStore> mail;
  std::unique_ptr<Queue> queue;
};
struct Started : Shared {
  explicit Started(Options options = {}) : Shared(options) { start(); }
};

}  // namespace

TEST_CASE("the queue is not available before it was started, nor while its store is away") {
  Shared shared;
  CHECK_FALSE(shared.queue->available());
  shared.start();
  CHECK(shared.queue->available());
  shared.mail->away = true;
  REQUIRE_FALSE(shared.queue->available());
  CHECK(shared.queue->available().error().detail == "the database does not answer");
  shared.mail->away = false;
  CHECK(shared.queue->available());
}

TEST_CASE("a job carries the term that it was leased in; nothing is leased while nobody knows whose the mail is") {
  Started shared;
  shared.mail->now = 7;
  shared.put("u@one.example");
  const auto jobs = shared.lease("one.example");
  REQUIRE(jobs.has_value());
  REQUIRE(jobs->size() == 1);
  CHECK(jobs->front().term == 7);
  CHECK(shared.queue->lease_term() == 7);
  shared.put("u@two.example");
  shared.mail->now = 0;
  const auto none = shared.lease("two.example");
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().code == errc::device_or_resource_busy);
  shared.mail->now = 7;  // it holds after all
  const auto again = shared.lease("two.example");
  REQUIRE(again.has_value());
  CHECK(again->size() == 1);
  CHECK(shared.mail->released.empty());
}

TEST_CASE("another term: what was at hand is read anew, and not given back, for it is no longer this node's") {
  Started shared;
  shared.mail->now = 7;
  shared.lease("nowhere.example").value();
  shared.put("u@one.example");
  shared.mail->now = 9;
  const auto jobs = shared.lease("one.example");
  REQUIRE(jobs.has_value());
  REQUIRE(jobs->size() == 1);  // the store had it free
  CHECK(jobs->front().term == 9);
  CHECK(shared.mail->released.empty());
}

TEST_CASE("what is committed in another term than what is at hand is found in the store, with the rest") {
  Started shared;
  shared.mail->now = 9;  // the queue has not looked since it was 1
  shared.put("u@one.example");
  const auto jobs = shared.lease("one.example");
  REQUIRE(jobs.has_value());
  REQUIRE(jobs->size() == 1);
  CHECK(jobs->front().term == 9);
}

TEST_CASE("in a new term ids are those of the new slot, and clients are sent elsewhere until it was followed") {
  Started shared;
  shared.mail->now = 9;
  shared.mail->slots = 16;
  shared.mail->slot = 3;
  CHECK_FALSE(shared.queue->available());
  shared.loop.run(shared.queue->renew()).value();
  CHECK(shared.queue->available());
  CHECK(shared.queue->begin(t0).id().value % 16 == 3);
}

TEST_CASE("ids of a node are those of its slot, and grow") {
  Shared shared;
  shared.mail->slots = 16;
  shared.mail->slot = 5;
  shared.start();
  Id last{0};
  for (int i = 0; i < 40; ++i) {
    const Id id = shared.queue->begin(t0).id();
    CHECK(id.value % 16 == 5);
    CHECK(id > last);
    last = id;
  }
}

TEST_CASE("fresh mail beyond what is kept in memory goes back to the store") {
  Options options;
  options.window_messages = 2;
  Started shared(options);
  std::vector<Id> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(shared.put("u@one.example"));
  CHECK(shared.mail->released == std::vector<Id>{ids[2], ids[3]});
}

TEST_CASE("mail for a destination that is held off is not kept") {
  Started shared;
  Results results;
  results.now = t0;
  Backoff hold;
  hold.until = at(600);
  hold.failures = 1;
  results.destinations.push_back({"one.example", hold});
  shared.loop.run(shared.queue->apply(std::move(results))).value();
  const Id id = shared.put("u@one.example");
  CHECK(shared.mail->released == std::vector<Id>{id});
}

}  // namespace queue_terms_test
