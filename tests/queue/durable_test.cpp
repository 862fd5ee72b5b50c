// SPDX-License-Identifier: Apache-2.0
// SUB-29 at the store: whatever is answered good survives, and what is not is absent or whole.
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <random>

#include "store_sqlite/rows.h"
#include "tests/queue/world.h"
#include "tests/support/faulty_vfs.h"

namespace queue_durable_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

// The body tells its own length, so that a torn one shows.
std::string body_of(int number, std::size_t size) {
  std::string body = std::to_string(number) + ":" + std::to_string(size) + ":";
  body.resize(size, static_cast<char>('a' + number % 26));
  return body;
}

struct Report {
  char kind = 0;  // 'c' committed, 'd' delivered
  std::int64_t id = 0;
};

asio::awaitable<void> session(Queue& queue, int pipe, int number) {
  std::mt19937 random(static_cast<unsigned>(number) * 7919u + static_cast<unsigned>(::getpid()));
  for (int i = 0;; ++i) {
    const std::size_t size = i % 7 == 6 ? 200'000 + random() % 100'000 : 100 + random() % 5000;
    auto writer = queue.begin(t0 + Milliseconds(i));
    (co_await writer.write(body_of(i, size))).value();
    auto to = World::recipients({"a@one.test", "b@two.test"});
    auto envelope = World::envelope("s@example.net");
    const Report report{'c', (co_await writer.commit(std::move(envelope), std::move(to))).value().value};
    if (::write(pipe, &report, sizeof report) != sizeof report) ::_exit(1);
  }
}

asio::awaitable<void> deliverer(Queue& queue, int pipe, std::string destination) {
  for (;;) {
    LeaseLimit limit;
    limit.messages = 3;
    auto jobs = (co_await queue.lease(destination, t0 + Seconds(1000), limit)).value();
    if (jobs.empty()) {
      asio::steady_timer pause(co_await asio::this_coro::executor, Milliseconds(1));
      co_await pause.async_wait(asio::use_awaitable);
      continue;
    }
    Results results;
    results.now = t0;
    for (const auto& job : jobs) results.settled.push_back(World::all(job, Verdict::delivered));
    (co_await queue.apply(std::move(results))).value();
    for (const auto& job : jobs) {
      const Report report{destination == "one.test" ? 'd' : 'e', job.id.value};
      if (::write(pipe, &report, sizeof report) != sizeof report) ::_exit(1);
    }
  }
}

// The child: a daemon under load until it is killed.
[[noreturn]] void serve(const std::filesystem::path& directory, int pipe) {
  try {
    World world(directory);
    for (int i = 0; i < 8; ++i) world.loop.start(session(*world.queue, pipe, i));
    world.loop.start(deliverer(*world.queue, pipe, "one.test"));
    world.loop.start(deliverer(*world.queue, pipe, "two.test"));
    const Report started{'s', 0};
    if (::write(pipe, &started, sizeof started) != sizeof started) ::_exit(1);
    world.loop.run_all();
  } catch (const std::exception&) {
    ::_exit(2);
  }
  ::_exit(3);
}

// One round: run, kill at a random moment after so many reports, give what it reported.
std::vector<Report> run_and_kill(const std::filesystem::path& directory, std::size_t least, unsigned microseconds) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  if (child == 0) serve(directory, ends[1]);
  ::close(ends[1]);
  std::vector<Report> reports;
  Report report;
  while (reports.size() < least && ::read(ends[0], &report, sizeof report) == sizeof report) reports.push_back(report);
  ::usleep(microseconds);
  ::kill(child, SIGKILL);
  while (::read(ends[0], &report, sizeof report) == sizeof report) reports.push_back(report);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  return reports;
}

void check_whole(SqliteMailReader& reader, Id id) {
  std::string body;
  const auto read = reader.body(id, [&body](std::string_view octets) {
    body += octets;
    return Go::on;
  });
  REQUIRE(read.has_value());
  const auto first = body.find(':');
  const auto second = body.find(':', first + 1);
  CHECK(std::stoul(body.substr(first + 1, second - first - 1)) == body.size());
}

}  // namespace

TEST_CASE(
    "SUB-29: after kill -9 at any moment every message that was answered good is there, whole, and nothing else is "
    "half there") {
  support::TempDirectory dir;
  std::mt19937 random(20261121);
  std::map<std::int64_t, std::string> fate;  // reported: "c", and which recipients were delivered
  std::size_t committed = 0;
  for (int round = 0; round < 12; ++round) {
    for (const auto& report : run_and_kill(dir.path(), 20, static_cast<unsigned>(random() % 400'000))) {
      if (report.kind == 'c') ++committed;
      if (report.kind != 's') fate[report.id] += report.kind;
    }
    World world(dir.path());
    CHECK(world.count("draft") == 0);
    CHECK(world.count("chunk WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = chunk.id >> 15)") == 0);
    CHECK(world.count("recipient WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = recipient.id >> 15)") == 0);
    auto reader = world.reader();
    for (const auto& [id, kinds] : fate) {
      const auto message = reader.show(Id{id}, {}).value();
      const auto ends = std::count_if(kinds.begin(), kinds.end(), [](char c) { return c == 'd' || c == 'e'; });
      if (ends == 2) CHECK(!message.has_value());  // and never delivered again
      if (ends == 0 && !message) continue;         // its delivery was committed, but killed before it told
      if (message) check_whole(reader, message->id);
    }
  }
  CHECK(committed > 50);
}

TEST_CASE("SUB-29: what nobody delivered is all there after kill -9") {
  support::TempDirectory dir;
  std::vector<std::int64_t> good;
  for (int round = 0; round < 6; ++round) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      World world(dir.path());
      for (int i = 0; i < 8; ++i) world.loop.start(session(*world.queue, ends[1], i));
      world.loop.run_all();
      ::_exit(3);
    }
    ::close(ends[1]);
    for (Report report; ::read(ends[0], &report, sizeof report) == sizeof report;) {
      good.push_back(report.id);
      if (good.size() % 20 == static_cast<std::size_t>(round)) ::kill(child, SIGKILL);  // amid what the others commit
    }
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
  }
  REQUIRE(good.size() >= 6);
  World world(dir.path());
  auto reader = world.reader();
  for (const auto id : good) {
    const auto message = reader.show(Id{id}, {}).value();
    REQUIRE(message.has_value());
    CHECK(message->recipients.size() == 2);
    check_whole(reader, Id{id});
  }
}

TEST_CASE(
    "SUB-29: killed at each write and sync in turn, also while it recovers, a good answer is kept and no other is half "
    "there") {
  std::size_t told = 0;
  bool survived = false;
  for (int step = 0; !survived && step < 400; step += 1 + step / 20) {
    CAPTURE(step);
    support::TempDirectory dir;
    std::vector<Report> reports;
    for (int life = 0; life < 2; ++life) {  // the second is killed on its way through what the first left
      int ends[2];
      REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
      const pid_t child = ::fork();
      if (child == 0) {
        support::FaultyVfs vfs;
        vfs.plan().calls_until_kill = step;
        {
          World world(dir.path());
          for (int i = 0; i < 3; ++i) {
            const Id id = world.put({"a@one.test", "b@two.test"}, body_of(i, i == 1 ? 150'000 : 2000));
            const Report report{'c', id.value};
            if (::write(ends[1], &report, sizeof report) != sizeof report) ::_exit(1);
          }
          world.act(Action::hold, domain("two.test"));
        }
        ::_exit(0);
      }
      ::close(ends[1]);
      for (Report report; ::read(ends[0], &report, sizeof report) == sizeof report;) reports.push_back(report);
      ::close(ends[0]);
      int status = 0;
      ::waitpid(child, &status, 0);
      survived = WIFEXITED(status);
      if (survived) CHECK(WEXITSTATUS(status) == 0);
    }
    World world(dir.path());
    auto reader = world.reader();
    CHECK(world.count("draft") == 0);
    CHECK(world.count("chunk WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = chunk.id >> 15)") == 0);
    CHECK(world.count("message") <= static_cast<std::int64_t>(reports.size()) + 2);  // one a life may be there untold
    for (const auto& report : reports) {
      const auto message = reader.show(Id{report.id}, {}).value();
      REQUIRE(message.has_value());
      CHECK(message->recipients.size() == 2);
      check_whole(reader, message->id);
    }
    told += reports.size();
  }
  CHECK(survived);  // so every call was the last one once
  CHECK(told > 50);
}

TEST_CASE("SUB-29: with a disk that is full or fails, a commit is refused, and taken again when the disk is well") {
  for (const int error : {SQLITE_FULL, SQLITE_IOERR_WRITE}) {
    CAPTURE(error);
    support::TempDirectory dir;
    support::FaultyVfs vfs;
    World world(dir.path());
    const Id kept = world.put({"a@one.test"});
    vfs.plan().error = error;
    vfs.plan().writes_until_failure = 0;
    for (const std::size_t size : {std::size_t{100}, std::size_t{300'000}}) {
      auto writer = world.queue->begin(at(1));
      const auto written = world.loop.run(writer.write(std::string(size, 'x')));
      if (!written) {
        CHECK(disk::is_unavailable(written.error()));
        continue;
      }
      const auto committed = world.loop.run(writer.commit(World::envelope(""), World::recipients({"b@two.test"})));
      REQUIRE(!committed);
      CHECK(disk::is_unavailable(committed.error()));
    }
    const auto jobs = world.lease("one.test");
    REQUIRE(jobs.size() == 1);
    Results results;
    results.now = t0;
    results.settled.push_back(World::all(jobs[0], Verdict::delivered));
    CHECK_FALSE(world.loop.run(world.queue->apply(results)).has_value());
    CHECK(world.lease("one.test").empty());  // the lease stands
    vfs.heal();
    CHECK(world.loop.run(world.queue->apply(results)).has_value());
    CHECK(!world.reader().show(kept, {}).value().has_value());
    world.put({"c@three.test"}, "x\r\n", at(3));
    CHECK(world.lease("three.test", at(3)).size() == 1);
    CHECK(world.lease("two.test", at(3)).empty());
    CHECK(world.count("message") == 1);
  }
}

TEST_CASE("accepting: below min_free_space new mail waits") {
  support::TempDirectory dir;
  World world(dir.path());
  Options options;
  options.min_free_space = std::uint64_t{1} << 60;
  Queue queue(*world.mail, options, [](const dns::Name& d) { return d.text(); });
  CHECK(queue.accepting().error().code == errc::no_space_on_device);
  CHECK(world.queue->accepting().has_value());
}

}  // namespace queue_durable_test
