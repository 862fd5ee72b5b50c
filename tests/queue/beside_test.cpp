// SPDX-License-Identifier: Apache-2.0
// What is counted and marked in the transactions that store mail, and the kind of a message.

#include "store_sqlite/ledger.h"
#include "store_sqlite/report_mails.h"
#include "store_sqlite/statistics.h"
#include "tests/queue/world.h"

namespace hoplock::queue::test::queue_beside_test {

namespace {

std::vector<disk::Migration> with_statistics() {
  auto all = World::own_migrations();
  all.push_back(statistics_migration());
  all.push_back(statistics_batch_migration());
  return all;
}

Results one(const Job& job) {
  Results results;
  results.now = t0;
  results.settled.push_back(World::all(job, Verdict::delivered));
  statistics::Row row;
  row.day = statistics::day_of(t0);
  row.domain = "example.org";
  row.what = statistics::join_words({"dane", "TLSv1.3"});
  statistics::Counts deliveries;
  deliveries.note(row, t0, 100);
  results.deliveries = std::make_shared<const statistics::Counts>(std::move(deliveries));
  return results;
}

}  // namespace

TEST_CASE("what is counted with the end of a lease is there exactly when that end is") {
  support::TempDirectory directory;
  World world(directory.path(), {}, t0, with_statistics());
  world.put({"a@example.org"});
  const auto jobs = world.lease("example.org");
  REQUIRE(jobs.size() == 1);

  Results refused = one(jobs[0]);
  refused.given_up.push_back({jobs[0].id, "550 no"});  // there are no tables of the ledger
  CHECK_FALSE(world.loop.run(world.queue->apply(refused)).has_value());
  CHECK(world.count("statistics_batch") == 0);
  CHECK(world.queue->active().size() == 1);  // the lease stands

  CHECK(world.loop.run(world.queue->apply(one(jobs[0]))).has_value());
  CHECK(world.count("statistics_batch") == 1);
  CHECK(world.queue->active().empty());
}

namespace {

std::vector<disk::Migration> with_ledger() {
  auto all = World::own_migrations();
  for (const auto& more : ledger_migrations()) all.push_back(more);
  all.push_back(report_mail_migration());
  return all;
}

ReportMark mark_of(const std::string& rua) {
  ReportMark mark;
  mark.key.day = tlsrpt::day_of(t0);
  mark.key.domain = name("example.org");
  mark.destination.rua = rua;
  mark.destination.state = ReportDestination::State::accepted;
  return mark;
}

}  // namespace

TEST_CASE(
    "RPT-39: a message is a report because its writer says so, also after a restart, and its mark is stored with it") {
  support::TempDirectory directory;
  const ReportMark mark = mark_of("mailto:r@example.org");
  {
    World world(directory.path(), {}, t0, with_ledger());
    tlsrpt::Sessions session;
    session.policy.type = tlsrpt::PolicyType::no_policy_found;
    session.policy.domain = name("example.org");
    session.successes = 1;
    LedgerCounts counts;
    counts.add(mark.key, {session});
    const auto count = [counts](disk::Tx& tx) -> Result<> {
      add_counts(tx, counts);
      return {};
    };
    world.loop.run(world.disk->run(disk::Durability::durable, count)).value();
    auto writer = world.queue->begin(t0);
    world.loop.run(writer.write("TLS-Report-Domain: example.org\r\n\r\n")).value();
    Envelope envelope = World::envelope("tlsrpt@example.net");
    envelope.kind = Kind::report;
    REQUIRE(world.loop.run(writer.commit(envelope, World::recipients({"r@example.org"}), mark)).has_value());
    world.put({"r@example.org"}, "TLS-Report-Domain: example.org\r\n\r\n");  // says so only itself
  }
  World world(directory.path(), {}, t0, with_ledger());
  const auto read = [key = mark.key](disk::Tx& tx) -> Result<std::vector<ReportDestination>> {
    return report_destinations(tx, key);
  };
  const auto marked = world.loop.run(world.disk->run(disk::Durability::read, read)).value();
  REQUIRE(marked.size() == 1);
  CHECK(marked[0].state == ReportDestination::State::accepted);
  CHECK(world.count("tlsrpt_mail") == 1);
  const auto jobs = world.lease("example.org");
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[0].envelope.kind == Kind::report);
  CHECK(jobs[1].envelope.kind == Kind::ordinary);
}

TEST_CASE("a message whose mark cannot be stored is not stored either") {
  support::TempDirectory directory;
  World world(directory.path());  // without the tables of the ledger
  auto writer = world.queue->begin(t0);
  world.loop.run(writer.write("\r\n")).value();
  CHECK_FALSE(
      world.loop
          .run(writer.commit(World::envelope(""), World::recipients({"r@example.org"}), mark_of("mailto:r@x.test")))
          .has_value());
  CHECK(world.lease("example.org").empty());
}

}  // namespace hoplock::queue::test::queue_beside_test
