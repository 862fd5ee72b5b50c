// SPDX-License-Identifier: Apache-2.0
// A page under a body is damaged on the disk, in a real file: the message can go all the same, by an operator or by its end, and keeps
// nobody else. SQLite gives up every transaction that met such a page, with all that it held.
#include <fstream>

#include "tests/queue/world.h"

namespace queue_damage_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;
using hoplock::support::TempDirectory;

namespace {

constexpr int many = 60;
const std::string kinds[] = {"leaf", "overflow"};

// Writes over a page under the bodies of the later mail.
void spoil(const std::filesystem::path& file, const std::string& kind) {
  std::int64_t page = 0;
  {
    auto db = disk::Database::open(file, disk::Access::read_only).value();
    page = db.integer("SELECT pageno FROM dbstat WHERE name = 'chunk' AND pagetype = '" + kind +
                      "' ORDER BY path DESC LIMIT 1 OFFSET 8");
  }
  REQUIRE(page > 1);
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp((page - 1) * 4096);
  out << std::string(kind == "leaf" ? 4096 : 64, '\x5a');
}

// Bodies of several chunks, so that they are leased unread, on pages that do not follow one another.
std::vector<Id> fill(const std::filesystem::path& directory, const std::string& kind) {
  std::vector<Id> all;
  {
    World world(directory);
    std::vector<Id> gone;
    for (int i = 0; i < 2 * many; ++i) {
      const Id id = world.put({"a@one.test"}, std::string(i % 2 == 0 ? 3'000 : 6'000, 'x'), at(i));
      if (i % 2 == 0) gone.push_back(id);
    }
    for (auto& job : world.lease("one.test", at(many * 2), 2 * many)) {
      Settled settled = World::all(job, Verdict::deferred, at(0));
      if (std::find(gone.begin(), gone.end(), job.id) != gone.end()) settled = World::all(job, Verdict::delivered);
      world.apply({settled});
    }
    for (int i = 0; i < many; ++i) all.push_back(world.put({"a@two.test"}, std::string(140'000, 'x'), at(300 + i)));
  }
  spoil(directory / "queue.db", kind);
  return all;
}

std::string told_by_sweep(World& world) {
  for (int i = 0; i < 200; ++i) {
    const auto swept = world.loop.run(world.queue->sweep(4 << 20)).value();
    if (swept.unread) return swept.unread->detail;
  }
  return "";
}

// Mail goes in and out beside it.
void check_others(World& world) {
  const Id id = world.put({"new@other.test"}, "x\r\n", at(2000));
  const auto jobs = world.lease("other.test", at(2001));
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].id == id);
  world.apply({World::all(jobs[0], Verdict::delivered)}, at(2002));
  CHECK(!world.reader().show(id, {}).value().has_value());
}

Notice returned(Id id) {
  Notice notice;
  notice.about = id;
  notice.seqs = {0};
  notice.recipient.address = "sender@example.net";
  notice.recipient.domain = name("example.net");
  notice.compose = [](std::string_view) {
    NoticeText text;
    text.head = "HEAD\r\n";
    text.tail = "TAIL\r\n";
    text.between = NoticeText::Between::message;
    return text;
  };
  return notice;
}

}  // namespace

TEST_CASE("a damaged page under a body: an operator removes the message and all beside it, and hears what stays") {
  bool stayed = false;
  for (const std::string& kind : kinds) {
    CAPTURE(kind);
    TempDirectory dir;
    const auto all = fill(dir.path(), kind);
    World world(dir.path(), {}, at(1000));
    CHECK(world.act(Action::remove, everything(), at(1001)).messages == 2 * many);
    CHECK(world.count("message") == 0);
    CHECK(world.count("recipient") == 0);
    CHECK(world.count("draft") < 10);  // what a damaged page holds, of all that went
    if (world.count("draft") > 0) {
      stayed = true;
      CHECK(told_by_sweep(world).find("pages are damaged") != std::string::npos);
    }
    check_others(world);
  }
  CHECK(stayed);
}

TEST_CASE("a damaged page under a body: its delivery and those beside it are stored, once") {
  for (const std::string& kind : kinds) {
    CAPTURE(kind);
    TempDirectory dir;
    const auto all = fill(dir.path(), kind);
    World world(dir.path(), {}, at(1000));
    std::vector<Settled> ends;
    for (const auto& job : world.lease("two.test", at(1000), 200)) ends.push_back(World::all(job, Verdict::delivered));
    REQUIRE(ends.size() == all.size());
    world.apply(std::move(ends), at(1001));
    CHECK(world.queue->active().empty());
    CHECK(world.lease("two.test", at(5000)).empty());
    CHECK(world.count("draft") < 10);
    check_others(world);
  }
}

TEST_CASE("a damaged page under a body: its sender is told of the end without it, the others with theirs") {
  for (const std::string& kind : kinds) {
    CAPTURE(kind);
    TempDirectory dir;
    const auto all = fill(dir.path(), kind);
    World world(dir.path(), {}, at(1000));
    Results results;
    results.now = at(1001);
    for (const auto& job : world.lease("two.test", at(1000), 200)) {
      results.settled.push_back(World::all(job, Verdict::expired));
      results.notices.push_back(returned(job.id));
    }
    world.loop.run(world.queue->apply(std::move(results))).value();
    world.loop.io().poll();
    std::size_t with = 0, without = 0;
    for (const auto& job : world.lease("example.net", at(1002), 200)) ++(job.chunks > 1 ? with : without);
    CHECK(with + without == all.size());
    CHECK(without >= 1);
    CHECK(without < 10);
    check_others(world);
  }
}

TEST_CASE("a job that meets a damaged page takes none of those with it that share its transaction") {
  TempDirectory dir;
  const auto all = fill(dir.path(), "leaf");
  World world(dir.path(), {}, at(1000));
  int good = 0, damaged = 0;
  const auto read = [&](Id id) -> asio::awaitable<void> {
    auto job = [id](disk::Tx& tx) -> Result<> {
      tx.prepare("UPDATE recipient SET attempts = 7 WHERE id >> 15 = ?1").bind(id.value).run();
      tx.prepare("SELECT sum(length(data)) FROM chunk WHERE id >> 15 = ?1 AND id BETWEEN ?2 AND ?3")
          .bind(id.value, id.value << 15, (id.value << 15) | 32767)
          .run();
      return {};
    };
    const auto done = co_await world.disk->run(disk::Durability::durable, std::move(job));
    if (!done) CHECK(done.error().code == errc::bad_message);
    ++(done ? good : damaged);
  };
  for (const Id id : all) world.loop.start(read(id));
  world.loop.run_all();
  CHECK(damaged >= 1);
  CHECK(damaged < 10);
  CHECK(good + damaged == many);
  CHECK(world.count("recipient WHERE attempts = 7") == good);
}

}  // namespace queue_damage_test
