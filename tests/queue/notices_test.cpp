// SPDX-License-Identifier: Apache-2.0
// Notices: written in the transaction that settles what they tell of, with the returned message copied in.
#include <doctest/doctest.h>

#include "store_sqlite/rows.h"
#include "tests/queue/world.h"

namespace queue_notices_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;
using hoplock::support::TempDirectory;

namespace {

Notice about(Id id, std::vector<std::uint32_t> seqs) {
  Notice notice;
  notice.about = id;
  notice.seqs = std::move(seqs);
  notice.recipient.address = "sender@example.net";
  notice.recipient.domain = name("example.net");
  notice.compose = [](std::string_view beginning) {
    NoticeText text;
    text.head = "Subject: notice\r\n\r\nof " + std::string(beginning.substr(0, 10)) + "\r\n";
    text.tail = "end\r\n";
    return text;
  };
  return notice;
}

Notice returning(Id id) {
  Notice notice = about(id, {0});
  notice.compose = [](std::string_view) {
    NoticeText text;
    text.head = "HEAD\r\n";
    text.tail = "TAIL\r\n";
    text.between = NoticeText::Between::message;
    text.body = Body::eight_bit;
    return text;
  };
  return notice;
}

void apply(World& world, Settled settled, std::vector<Notice> notices, Time now = at(1)) {
  Results results;
  results.now = now;
  results.settled.push_back(std::move(settled));
  results.notices = std::move(notices);
  world.loop.run(world.queue->apply(std::move(results))).value();
  world.loop.io().poll();
}

std::string body_of(World& world, const Job& job) {
  if (job.chunks == 1) return job.body;
  std::string all;
  for (std::uint32_t n = 0; n < job.chunks; ++n) all += world.loop.run(world.queue->read_chunk(job.id, n)).value();
  return all;
}

}  // namespace

TEST_CASE(
    "DSN-01: a bounce goes out with the empty sender, as its message leaves, ready at once at the sender's domain") {
  TempDirectory directory;
  World world(directory.path());
  const Id id = world.put({"bob@example.org"});
  const auto jobs = world.lease("example.org");
  apply(world, World::all(jobs.at(0), Verdict::bounced), {about(id, {0})});
  CHECK(world.count("message") == 1);
  CHECK(std::find(world.work.begin(), world.work.end(), "example.net") != world.work.end());
  const auto notices = world.lease("example.net", at(1));
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].envelope.sender.empty());
  CHECK(notices[0].envelope.body == Body::seven_bit);
  CHECK(notices[0].recipients.at(0).address == "sender@example.net");
  CHECK(notices[0].body == "Subject: notice\r\n\r\nof Subject: x\r\nend\r\n");
  CHECK(notices[0].size == notices[0].body.size());
  CHECK(notices[0].received == at(1));
}

TEST_CASE("DSN-12: a small message is returned within one chunk, a large one chunk by chunk, octet by octet") {
  TempDirectory directory;
  World world(directory.path());
  for (const std::size_t size : {std::size_t{100}, 3 * chunk_bytes + 7}) {
    std::string body;
    while (body.size() < size) body += "line " + std::to_string(body.size()) + " \xe9\r\n";
    const Id id = world.put({"bob@example.org"}, body);
    const auto jobs = world.lease("example.org");
    apply(world, World::all(jobs.at(0), Verdict::expired), {returning(id)});
    const auto notices = world.lease("example.net", at(1));
    REQUIRE(notices.size() == 1);
    CHECK(notices[0].envelope.body == Body::eight_bit);
    const std::string text = body_of(world, notices[0]);
    CHECK(text == "HEAD\r\n" + body + "TAIL\r\n");
    CHECK(notices[0].size == text.size());
    world.apply({World::all(notices[0], Verdict::delivered)}, at(2));
    CHECK(world.count("message") == 0);
    CHECK(world.count("chunk") == 0);
    CHECK(world.count("recipient") == 0);
  }
}

TEST_CASE("a message whose recipients all ended is gone; ended ones are listed while another one lives") {
  TempDirectory directory;
  World world(directory.path());
  const Id id = world.put({"bob@example.org", "carl@example.com"});
  apply(world, World::all(world.lease("example.org").at(0), Verdict::bounced), {about(id, {0})});
  REQUIRE(world.list().size() == 2);
  CHECK(world.list()[0].recipients.at(0).state == State::bounced);
  apply(world, World::all(world.lease("example.com").at(0), Verdict::delivered), {});
  REQUIRE(world.list().size() == 1);
  CHECK(world.list()[0].envelope.sender.empty());
}

TEST_CASE("DSN-09: a delay is told once for a recipient, also after a restart and for what was not tried itself") {
  TempDirectory directory;
  {
    World world(directory.path());
    const Id id = world.put({"bob@example.org"});
    Notice delay = about(id, {0});
    delay.kind = Notice::Kind::delay;
    Settled untouched;
    untouched.id = id;
    untouched.destination = "example.org";
    HeldQuery waiting;
    waiting.after = at(-100);
    waiting.until = at(0);
    waiting.messages = 10;
    const auto found = world.loop.run(world.queue->lease_waiting("example.org", waiting)).value().jobs;
    REQUIRE(found.size() == 1);
    CHECK_FALSE(found[0].recipients.at(0).told_delay);
    apply(world, untouched, {delay});
    CHECK(world.count("message") == 2);
    CHECK(world.loop.run(world.queue->lease_waiting("example.org", waiting)).value().jobs.empty());
    const auto again = world.lease("example.org", at(2));
    REQUIRE(again.size() == 1);
    CHECK(again[0].recipients.at(0).told_delay);
    CHECK(again[0].recipients.at(0).notify == 0);
    apply(world, World::all(again[0], Verdict::deferred, at(300)), {delay});
    CHECK(world.count("message") == 2);
  }
  World world(directory.path(), {}, at(400));
  const auto job = world.lease("example.org", at(400));
  REQUIRE(job.size() == 1);
  CHECK(job[0].recipients.at(0).told_delay);
}

TEST_CASE("who waits and may be told of a delay: not NOTIFY without DELAY, not mail with the empty sender") {
  TempDirectory directory;
  World world(directory.path());
  const auto put = [&](const std::string& from, std::uint8_t notify) {
    auto writer = world.queue->begin(t0);
    world.loop.run(writer.write("x\r\n")).value();
    auto to = World::recipients({"bob@example.org"});
    to[0].notify = notify;
    return world.loop.run(writer.commit(World::envelope(from), to)).value();
  };
  const Id plain = put("sender@example.net", 0);
  const Id delay = put("sender@example.net", 2 | 8);
  put("sender@example.net", 1);
  put("sender@example.net", 4);
  const Id notice = put("", 0);
  HeldQuery waiting;
  waiting.after = at(-1);
  waiting.until = at(1);
  waiting.messages = 10;
  const auto ids = [&](HeldQuery::Kind kind) {
    waiting.kind = kind;
    std::vector<Id> found;
    const HeldPage waited = world.loop.run(world.queue->lease_waiting("example.org", waiting)).value();
    for (const Job& job : waited.jobs) found.push_back(job.id);
    return found;
  };
  CHECK(ids(HeldQuery::Kind::untold) == std::vector<Id>{plain, delay});
  CHECK(ids(HeldQuery::Kind::notices) == std::vector<Id>{notice});
}

TEST_CASE(
    "RTLS-13: what waits though its sender waives the policy is found among all that waits, as long as it was not "
    "tried") {
  TempDirectory directory;
  World world(directory.path());
  const auto put = [&](bool relaxed) {
    auto writer = world.queue->begin(t0);
    world.loop.run(writer.write("x\r\n")).value();
    Envelope envelope = World::envelope("sender@example.net");
    envelope.tls_required_no = relaxed;
    return world.loop.run(writer.commit(envelope, World::recipients({"bob@example.org"}))).value();
  };
  put(false);
  const Id relaxed = put(true);
  put(false);
  HeldQuery waiting;
  waiting.kind = HeldQuery::Kind::relaxed;
  waiting.after = at(-1);
  waiting.until = at(1);
  waiting.messages = 10;
  const auto jobs = world.loop.run(world.queue->lease_waiting("example.org", waiting)).value().jobs;
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].id == relaxed);
  CHECK(jobs[0].envelope.tls_required_no);
  waiting.after = at(1);
  CHECK(world.loop.run(world.queue->lease_waiting("example.org", waiting)).value().jobs.empty());
}

TEST_CASE("what waits is walked through once, however many calls that takes") {
  TempDirectory directory;
  World world(directory.path());
  std::vector<Id> put;
  for (int i = 0; i < 5; ++i) put.push_back(world.put({"bob@example.org", "carl@example.org"}));
  HeldQuery waiting;
  waiting.after = at(-100);
  waiting.until = at(100);
  waiting.messages = 2;
  std::vector<Id> found;
  int calls = 0;
  for (std::optional<HeldQuery> next = waiting; next && calls < 10; ++calls) {
    auto waited = world.loop.run(world.queue->lease_waiting("example.org", *next)).value();
    for (const Job& job : waited.jobs) {
      CHECK(job.recipients.size() == 2);
      found.push_back(job.id);
    }
    next = waited.next;
  }
  CHECK(found == put);
  CHECK(calls <= 4);
}

TEST_CASE("an operator who removes a message while it is under way hears of no bounce either") {
  TempDirectory directory;
  World world(directory.path());
  const Id id = world.put({"bob@example.org"});
  const auto jobs = world.lease("example.org");
  Selection selection;
  selection.ids = {id};
  CHECK(world.act(Action::remove, selection).active == 1);
  apply(world, World::all(jobs.at(0), Verdict::bounced), {about(id, {0})});
  CHECK(world.count("message") == 0);
}

TEST_CASE("a failed transaction leaves neither an end nor a notice, and the same results may be given again") {
  TempDirectory directory;
  World world(directory.path());
  const Id id = world.put({"bob@example.org"});
  const auto jobs = world.lease("example.org");
  Notice broken = about(id, {0});
  broken.compose = [](std::string_view) -> NoticeText { throw disk::Failure(fail(errc::io_error, "disk")); };
  Results results;
  results.now = at(1);
  results.settled.push_back(World::all(jobs.at(0), Verdict::bounced));
  results.notices = {about(id, {0}), broken};
  CHECK_FALSE(world.loop.run(world.queue->apply(results)).has_value());
  CHECK(world.count("message") == 1);
  CHECK(world.list().at(0).recipients.at(0).state == State::queued);
  apply(world, World::all(jobs.at(0), Verdict::bounced), {about(id, {0})});
  REQUIRE(world.list().size() == 1);
  CHECK(world.list()[0].envelope.sender.empty());
}

}  // namespace queue_notices_test
