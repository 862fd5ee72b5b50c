// SPDX-License-Identifier: Apache-2.0
#include "monitor/survey.h"

#include <doctest/doctest.h>

#include "monitor/endpoints.h"
#include "store_sqlite/ledger.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/readers.h"
#include "tests/queue/world.h"
#include "tests/support/memory_log.h"

namespace monitor_survey_test {

using namespace hoplock;
using monitor::Survey;
using monitor::Surveyor;
using queue::test::t0;

namespace {

struct Surveyed {
  explicit Surveyed(std::chrono::milliseconds fresh = std::chrono::hours(1))
      : world(dir.path()), surveyor(world.loop.executor(), {store_sqlite::readers_of(dir / "queue.db"), fresh}, [this] {
          return world.queue->active();
        }) {}
  std::shared_ptr<const Survey> look() { return world.loop.run(surveyor.look(std::chrono::seconds(10))); }
  // As a disk does that rots.
  void spoil(store::Id id) {
    auto job = [id](disk::Tx& tx) -> Result<> {
      tx.prepare("UPDATE chunk SET data = x'00' WHERE id >> 15 = ?1").bind(id.value).run();
      return {};
    };
    world.loop.run(world.disk->run(disk::Durability::durable, std::move(job))).value();
  }
  support::TempDirectory dir;
  queue::test::World world;
  Surveyor surveyor;
};

}  // namespace

TEST_CASE("survey: reads the queue's counts beside the loop, and keeps them for a while") {
  Surveyed at;
  at.world.put({"a@one.test", "b@two.test"});
  at.world.put({"c@one.test"});
  at.world.lease("two.test");
  const auto survey = at.look();
  REQUIRE(survey);
  CHECK(survey->error.empty());
  CHECK(survey->queue.messages == 2);
  CHECK(survey->domains == 2);
  std::string states;
  for (const auto& one : survey->queue.states) states += one.state + std::to_string(one.count.count) + ";";
  CHECK(states == "active1;queued2;");
  CHECK(survey->queue.domains.at(0).domain == "one.test");
  at.world.put({"d@one.test"});
  CHECK(at.look() == survey);  // fresh: the database was not asked
}

TEST_CASE("survey: a stale one is made anew, and nobody waits longer than he wants to") {
  Surveyed at(std::chrono::milliseconds(0));
  const auto first = at.look();
  REQUIRE(first);
  at.world.put({"a@one.test"});
  auto next = first;
  for (int i = 0; i < 100000 && next == first; ++i)
    next = at.look();  // until twenty times the time that it took is over
  REQUIRE(next != first);
  CHECK(next->queue.messages == 1);
  const auto unsurveyed = at.world.loop.run(at.surveyor.look(std::chrono::milliseconds(0)));
  CHECK(unsurveyed);  // the last one, while the next is made
}

TEST_CASE("survey: names the messages that are held because their body is damaged, until they are removed") {
  Surveyed at(std::chrono::milliseconds(0));
  const auto good = at.world.put({"a@one.test"});
  const auto bad = at.world.put({"b@two.test", "c@one.test"});
  at.spoil(bad);
  std::vector<store::Id> told;
  at.world.queue->on_damage([&told](store::Id id) { told.push_back(id); });
  at.world.loop.run(at.world.queue->sweep(1 << 20)).value();
  CHECK(told == std::vector{bad});
  at.world.loop.io().poll();
  const auto damaged = [&at] {
    return monitor::survey(*store_sqlite::readers_of(at.dir / "queue.db"), {}, t0).damaged;
  };
  CHECK(damaged() == std::vector{bad});
  CHECK(at.world.list()[0].state() == "queued");
  CHECK(at.world.list()[1].state() == "held");
  at.world.act(store::Action::remove, queue::test::ids({bad}));
  CHECK(damaged().empty());
  CHECK(at.world.list()[0].id == good);
}

TEST_CASE("survey: a held message that proves damaged is named too") {
  Surveyed at;
  const auto bad = at.world.put({"b@two.test"});
  at.world.act(store::Action::hold, queue::test::ids({bad}));
  at.spoil(bad);
  at.world.loop.run(at.world.queue->sweep(1 << 20)).value();
  at.world.put({"a@one.test"});  // behind the hold
  CHECK(monitor::survey(*store_sqlite::readers_of(at.dir / "queue.db"), {}, t0).damaged == std::vector{bad});
}

TEST_CASE("survey: what waits is told by next hop, with since when it fails, which outlives a restart") {
  support::TempDirectory dir;
  {
    queue::Options recording;
    recording.history = store::Recording::on;
    queue::test::World world(dir.path(), recording);
    world.smarthost = "route:exch01:25";
    world.put({"a@one.test"});
    for (int minute = 0; minute < 15; minute += 5) {
      auto failed = queue::test::World::all(world.lease("route:exch01:25", t0 + std::chrono::minutes(minute), 1).at(0),
                                            store::Verdict::deferred, t0 + std::chrono::minutes(minute + 5));
      failed.history_entry = R"({"event":"deferred","domain":"one.test","reason":")" +
                             std::string(minute == 0 ? "dns-failure" : "connect-refused") + "\"}";
      store::DestinationChange change;
      change.destination = "route:exch01:25";
      change.backoff.emplace();
      change.backoff->failures = 1;
      change.backoff->reason = "connect-refused";
      world.apply({failed}, t0 + std::chrono::minutes(minute), {change});
    }
    world.put({"b@one.test", "c@two.test"});
  }
  const Survey survey = monitor::survey(*store_sqlite::readers_of(dir / "queue.db"), {}, t0 + std::chrono::minutes(20));
  REQUIRE(survey.error.empty());
  REQUIRE(survey.waits.size() == 1);
  const store::Wait& wait = survey.waits[0];
  CHECK(wait.count.count == 3);
  CHECK(wait.domains == 2);
  CHECK(wait.extent == store::Wait::Extent::whole);
  CHECK(wait.reason == "connect-refused");
  CHECK(wait.shown.at(0).domain == "one.test");
  CHECK(wait.shown.at(0).since == t0 + std::chrono::minutes(5));  // before it failed for another reason
  monitor::DaemonStatus status;
  status.listeners = 1;
  status.now = t0 + std::chrono::minutes(9);
  CHECK(monitor::problems(status, &survey, {}).empty());
  status.now = t0 + std::chrono::minutes(10);
  const auto problems = monitor::problems(status, &survey, {});
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].name == "nexthop");
  CHECK(problems[0].text.starts_with("exch01:25 has taken nothing since 2026-09-21T14:18:20.000Z, 3 wait: "));
}

TEST_CASE("survey: a next hop of our own that fails is shown, however many others have more mail") {
  Surveyed at;
  at.world.smarthost = "route:exch01:25";
  at.world.put({"a@own.test"});
  auto failed = queue::test::World::all(at.world.lease("route:exch01:25", t0, 1).at(0), store::Verdict::deferred,
                                        t0 + std::chrono::minutes(5));
  store::DestinationChange change;
  change.destination = "route:exch01:25";
  change.backoff.emplace();
  change.backoff->failures = 1;
  change.backoff->reason = "connect-refused";
  at.world.apply({failed}, t0, {change});
  at.world.smarthost.clear();
  for (int i = 0; i < 30; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".test";
    at.world.put({"a@" + domain, "b@" + domain});
  }
  const Survey survey = monitor::survey(*store_sqlite::readers_of(at.dir / "queue.db"), {}, t0);
  REQUIRE(survey.waits.size() == Survey::most_domains);
  CHECK(survey.hops == 31);
  CHECK(survey.waits[0].nexthop == "route:exch01:25");
  CHECK(monitor::failing_next_hops(survey).size() == 1);
}

TEST_CASE("survey: a database that cannot be read is an error in words") {
  const support::TempDirectory empty;
  CHECK_FALSE(monitor::survey(*store_sqlite::readers_of(empty / "queue.db"), {}, t0).error.empty());
}

TEST_CASE("survey: adds up yesterday's reports and the policies") {
  const support::TempDirectory dir;
  support::Loop loop;
  disk::Options options;
  options.directory = dir.path();
  for (auto&& list :
       {store_sqlite::mail_migrations(), store_sqlite::policy_migrations(), store_sqlite::ledger_migrations()})
    options.migrations.insert(options.migrations.end(), list.begin(), list.end());
  const auto disk = disk::Disk::open(loop.executor(), options).value();
  auto fill = [](disk::Tx& tx) -> Result<> {
    const auto day = std::chrono::floor<std::chrono::days>(t0).time_since_epoch().count();
    const auto insert =
        "INSERT INTO tlsrpt_account (day, domain, tag, state, sessions, failures) VALUES (?1, ?2, '', ?3, ?4, ?5)";
    tx.prepare(insert).bind(day - 1, "a.test", store::ReportState::sent, 10, 1).run();
    tx.prepare(insert).bind(day - 1, "b.test", store::ReportState::sent, 5, 0).run();
    tx.prepare(insert).bind(day - 1, "c.test", store::ReportState::failed, 1, 1).run();
    tx.prepare(insert).bind(day, "c.test", store::ReportState::collecting, 100, 100).run();
    for (const auto& [domain, fetched, failures] :
         {std::tuple("one.test", t0 - Seconds(10), 0), std::tuple("two.test", t0 - Seconds(10), 3),
          std::tuple("three.test", t0 - Seconds(1000), 0)}) {
      store::PolicyRow row;
      row.domain = queue::test::name(domain);
      row.freshness.held = mtasts::Held{"1", fetched, Seconds(100)};
      row.freshness.failures.count = static_cast<unsigned>(failures);
      row.text = "version: STSv1\n";
      store_sqlite::put_policy(tx, row);
    }
    store::PolicyRow never;
    never.domain = queue::test::name("never.test");
    never.freshness.failures.count = 1;
    store_sqlite::put_policy(tx, never);
    return {};
  };
  loop.run(disk->run(disk::Durability::durable, std::move(fill))).value();
  const Survey survey = monitor::survey(*store_sqlite::readers_of(dir / "queue.db"), {}, t0);
  CHECK(survey.error.empty());
  CHECK(survey.reports.sessions == 16);
  CHECK(survey.reports.failures == 2);
  REQUIRE(survey.reports.states.size() == 2);
  CHECK(survey.reports.states[0].accounts == 2);
  CHECK(survey.policies.in_force == 2);
  CHECK(survey.policies.lapsed == 1);
  CHECK(survey.policies.failing == 2);
}

TEST_CASE("watch: each path has its page, and health decides over the status of /healthz") {
  Surveyed at;
  monitor::Counters counters;
  monitor::DaemonStatus status;
  status.listeners = 1;
  status.now = t0;
  std::string other;  // the path that somebody else is asked for
  const auto others = [&other](http::Request request) -> boost::asio::awaitable<http::Reply> {
    other = request.path;
    http::Reply reply;
    reply.status = 404;
    co_return reply;
  };
  monitor::Endpoints watch(
      at.surveyor, counters, [&status] { return status; }, others);
  const auto get = [&](std::string path, http::Request::Accepts accepts = http::Request::Accepts::any) {
    http::Request request;
    request.path = std::move(path);
    request.accepts = accepts;
    return at.world.loop.run(watch.answer(std::move(request)));
  };
  CHECK(get("/healthz").status == 200);
  CHECK(get("/healthz").body == "ok\n");
  status.validation_failure = "broken";
  CHECK(get("/healthz").status == 503);
  CHECK(get("/healthz").body == "dnssec: broken; mail routed by MX waits\n");
  CHECK(get("/healthz", http::Request::Accepts::json).type == "application/json");
  CHECK(get("/metrics").type == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(get("/metrics").body.find("\nhoplock_problem{problem=\"dnssec\"} 1\n") != std::string::npos);
  CHECK(other.empty());
  CHECK(get("/metrics/").status == 404);
  CHECK(other == "/metrics/");
  CHECK(get("").status == 404);
}

TEST_CASE("survey: what of it could not be read is told by its part, and no half of a part is taken for the whole") {
  support::TempDirectory dir;
  auto tables = queue::test::World::own_migrations();
  for (auto&& list : {store_sqlite::policy_migrations(), store_sqlite::ledger_migrations()})
    tables.insert(tables.end(), list.begin(), list.end());
  queue::test::World world(dir.path(), {}, t0, tables);
  world.put({"a@one.test"});
  const auto break_it = [&world](const std::string& statement) {
    auto job = [statement](disk::Tx& tx) -> Result<> {
      tx.prepare(statement).run();
      return {};
    };
    world.loop.run(world.disk->run(disk::Durability::durable, std::move(job))).value();
  };
  const auto text_of = [](const Survey& survey) {
    for (const auto& one : monitor::problems({}, &survey, {}))
      if (one.name == "survey") return one.text;
    return std::string();
  };
  break_it("ALTER TABLE tlsrpt_account RENAME COLUMN sessions TO elsewhere");
  const Survey first = monitor::survey(*store_sqlite::readers_of(dir / "queue.db"), {}, t0);
  CHECK(first.unread.queue.empty());
  CHECK(first.unread.policies.empty());
  CHECK_FALSE(first.unread.reports.empty());
  CHECK(first.error == first.unread.reports);
  CHECK(first.queue.messages == 1);
  CHECK(text_of(first).starts_with("the ledger of TLS reports cannot be read: "));
  break_it("ALTER TABLE destination RENAME COLUMN host TO elsewhere");  // read behind the counts
  const Survey second = monitor::survey(*store_sqlite::readers_of(dir / "queue.db"), {}, t0);
  CHECK_FALSE(second.unread.queue.empty());
  CHECK(second.queue.messages == 0);
  CHECK(second.queue.states.empty());
  CHECK(second.waits.empty());
  CHECK(text_of(second).starts_with("the queue cannot be read: "));
}

}  // namespace monitor_survey_test
