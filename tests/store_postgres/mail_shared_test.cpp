// SPDX-License-Identifier: Apache-2.0
// What several nodes do to the mail of one store, and what a lost answer leaves of it.
#include "queue/queue.h"
#include "tests/store/postgres.h"
#include "tests/support/cutting_proxy.h"

namespace hoplock::store::contract::mail_shared_test {

namespace {

std::shared_ptr<Draft> draft_of(Id id, const std::string& address, Time now = t0) {
  auto made = std::make_shared<Draft>();
  made->id = id;
  made->received = now;
  made->chunks = 1;
  made->last_chunk = "Subject: x\r\n\r\nhello\r\n";
  made->size = made->last_chunk->size();
  made->envelope.sender = "sender@example.net";
  NewRecipient recipient;
  recipient.address = address;
  recipient.domain = name(address.substr(address.find('@') + 1));
  made->destinations.push_back(recipient.domain.text());
  made->recipients.push_back(std::move(recipient));
  return made;
}

Id id_at(int n) { return Id{Id::at(t0).value + 16 * n}; }

struct Two {
  Postgres kept;
  std::unique_ptr<PostgresNode> other;
  Two() : other(kept.join("two")) {
    kept.ask(kept.store().recover()).value();
    kept.ask(other->mail().recover()).value();
  }
  MailStore& here() { return kept.store(); }
  MailStore& there() { return other->mail(); }
  std::vector<Job> lease(MailStore& of, const std::string& destination, Time now = t0, std::vector<Id> exclude = {}) {
    LeaseQuery query = Mail::query(destination, now);
    query.exclude = std::move(exclude);
    return kept.ask(of.lease(query)).value().jobs;
  }
  void put(MailStore& of, Id id, const std::string& address) { kept.ask(of.commit(draft_of(id, address))).value(); }
  Applied settle(MailStore& of, const Job& job, Verdict verdict, Time due = at(10)) {
    return kept.ask(of.settle(Mail::results({Mail::all(job, verdict, due)}))).value();
  }
  AdminResult act(MailStore& of, Action action, Id id) {
    auto batch = std::make_shared<AdminBatch>();
    batch->action = action;
    batch->ids = {id};
    batch->now = at(1);
    return kept.ask(of.act(batch)).value();
  }
  std::string count(const std::string& from) {
    const std::string sql = "SELECT count(*) FROM " + from;
    const auto rows = kept.ask(kept.node().database().run(postgres::statement(sql))).value();
    return std::to_string(rows[0].integer(0));
  }
  void change(const std::string& sql) {
    postgres::Job job;
    job.statements.push_back(postgres::statement(sql));
    kept.ask(kept.node().database().write(postgres::StreamKind::rest, std::move(job))).value();
  }
};

}  // namespace

TEST_CASE("what one node took in or leased is nobody else's until it is settled or released" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  two.put(two.here(), id_at(1), "a@one.test");
  CHECK(two.lease(two.there(), "one.test").empty());
  CHECK(two.kept.ask(two.there().due(at(1), 10, {})).value().ready.empty());
  const auto jobs = two.lease(two.here(), "one.test");
  REQUIRE(jobs.size() == 1);
  two.settle(two.here(), jobs[0], Verdict::deferred);
  const auto theirs = two.lease(two.there(), "one.test", at(10));
  REQUIRE(theirs.size() == 1);
  CHECK(theirs[0].body == "Subject: x\r\n\r\nhello\r\n");
  CHECK(theirs[0].recipients.at(0).attempts == 1);
  CHECK(two.lease(two.here(), "one.test", at(10)).empty());
  two.there().release("one.test", {id_at(1)});
  CHECK(two.kept.ask(two.there().due(at(10), 10, {})).value().ready.size() == 1);  // behind the release
  CHECK(two.lease(two.here(), "one.test", at(10)).size() == 1);
}

TEST_CASE("two nodes that lease at once share what there is" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  for (int i = 0; i < 40; ++i) two.put(two.here(), id_at(i), "a@one.test");
  two.change("UPDATE recipient SET owner = 0");
  std::vector<Job> mine, theirs;
  const auto lease_some = [](MailStore& from, std::vector<Job>& to) -> asio::awaitable<void> {
    for (int i = 0; i < 20; ++i) {
      LeaseQuery query = Mail::query("one.test", at(100), 3);
      for (const Job& job : to) query.exclude.push_back(job.id);
      std::sort(query.exclude.begin(), query.exclude.end());
      auto leased = co_await from.lease(std::move(query));
      for (Job& job : leased.value().jobs) to.push_back(std::move(job));
    }
  };
  bool ended = false;
  const auto lease_mine = [&]() -> asio::awaitable<void> {
    co_await lease_some(two.here(), mine);
    ended = true;
  };
  auto one = lease_mine();
  auto other = lease_some(two.there(), theirs);
  two.kept.loop.start(std::move(one));
  two.kept.loop.run(std::move(other));
  while (!ended) two.kept.ask(two.there().due(at(100), 1, {})).value();
  while (mine.size() + theirs.size() < 40) {
    auto more = lease_some(two.here(), mine);
    two.kept.loop.run(std::move(more));
  }
  CHECK(mine.size() + theirs.size() == 40);
  std::vector<Id> all;
  for (const auto* jobs : {&mine, &theirs})
    for (const Job& job : *jobs) all.push_back(job.id);
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) == all.end());
  CHECK_FALSE(theirs.empty());
}

TEST_CASE("what another node took over is told of as lost, and what nobody has is settled all the same" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  two.put(two.here(), id_at(1), "a@one.test");
  two.put(two.here(), id_at(2), "a@one.test");
  const auto jobs = two.lease(two.here(), "one.test");
  REQUIRE(jobs.size() == 2);
  two.change("UPDATE recipient SET owner = 0");
  auto first = Mail::query("one.test", t0, 1);
  REQUIRE(two.kept.ask(two.there().lease(first)).value().jobs.at(0).id == id_at(1));
  const Applied applied = two.kept
                              .ask(two.here().settle(Mail::results(
                                  {Mail::all(jobs[0], Verdict::delivered), Mail::all(jobs[1], Verdict::delivered)})))
                              .value();
  REQUIRE(applied.lost.size() == 1);
  CHECK(applied.lost[0] == Lease{id_at(1), 0});
  CHECK(two.count("message") == "1");
  CHECK(two.count("recipient WHERE owner <> 0") == "1");
}

TEST_CASE("what a node had that is gone is free: a new one of its name finds it, and the half-received goes" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  two.put(two.there(), id_at(1), "a@one.test");
  REQUIRE(two.lease(two.there(), "one.test").size() == 1);
  CHECK(two.kept.ask(two.there().append_chunk(id_at(2), 0, std::string(chunk_bytes, 'x'))).has_value());
  CHECK(two.lease(two.here(), "one.test").empty());
  two.other.reset();
  two.other = two.kept.join("two");
  CHECK(two.lease(two.here(), "one.test").size() == 1);
  CHECK(two.kept.ask(two.here().drafts()).value() == std::vector<Id>{id_at(2)});
  const auto recovered = two.kept.ask(two.there().recover()).value();
  CHECK(recovered.slots == 16);
  CHECK(recovered.slot != two.kept.ask(two.here().recover()).value().slot);
}

TEST_CASE("an operator at one node acts on what another has under way when that ends" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  for (int i = 1; i <= 3; ++i) two.put(two.there(), id_at(i), "a@one.test");
  const auto jobs = two.lease(two.there(), "one.test");
  REQUIRE(jobs.size() == 3);
  CHECK(two.act(two.here(), Action::remove, id_at(1)).affected.active == 1);
  CHECK(two.act(two.here(), Action::hold, id_at(2)).affected.active == 1);
  CHECK(two.kept.ask(two.here().pick({}, {id_at(3)}, {})).value().active == 1);
  CHECK(two.count("message") == "3");
  for (const Job& job : jobs) CHECK(two.settle(two.there(), job, Verdict::deferred).lost.empty());
  CHECK(two.count("message") == "2");
  CHECK(two.count("recipient WHERE state = 2 AND owner = 0") == "1");
}

TEST_CASE("what an operator at one node held or removed before another one tries it is given up there, and not tried" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  for (int i = 1; i <= 3; ++i) two.put(two.there(), id_at(i), "a@one.test");
  REQUIRE(two.lease(two.there(), "one.test").size() == 3);
  const std::vector<Lease> leased{{id_at(1), 0}, {id_at(2), 0}, {id_at(3), 0}};
  CHECK(two.kept.ask(two.there().withdraw(leased)).value().empty());
  two.act(two.here(), Action::remove, id_at(1));
  two.act(two.here(), Action::hold, id_at(2));
  CHECK(two.kept.ask(two.there().withdraw(leased)).value() == std::vector<Lease>{{id_at(1), 0}, {id_at(2), 0}});
  CHECK(two.count("message") == "2");
  CHECK(two.count("chunk") == "2");
  CHECK(two.count("recipient WHERE state = 2 AND owner = 0") == "1");
  CHECK(two.count("recipient WHERE state = 0 AND owner <> 0") == "1");
  // what is no longer its own is another's to send
  two.change("UPDATE recipient SET owner = 0 WHERE state = 0");
  REQUIRE(two.lease(two.here(), "one.test").size() == 1);
  CHECK(two.kept.ask(two.there().withdraw({{id_at(3), 0}})).value().size() == 1);
  CHECK(two.kept.ask(two.here().withdraw({{id_at(3), 0}})).value().empty());
}

TEST_CASE("a queue gives out no more of a leased job than other nodes left of it" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  queue::Queue queue(two.there(), {}, [](const dns::Name& domain) { return domain.text(); });
  REQUIRE(two.kept.ask(queue.start(t0)));
  for (int i = 1; i <= 2; ++i) two.put(two.here(), id_at(i), "a@one.test");
  two.change("UPDATE recipient SET owner = 0");
  auto jobs = two.kept.ask(queue.lease("one.test", at(1), {10})).value();
  REQUIRE(jobs.size() == 2);
  two.act(two.here(), Action::hold, id_at(1));
  CHECK(two.kept.ask(queue.withdrawn(jobs[0], at(1))).value() == std::vector<Lease>{{id_at(1), 0}});
  CHECK(two.kept.ask(queue.withdrawn(jobs[1], at(1))).value().empty());
  CHECK(queue.active() == std::vector<Lease>{{id_at(2), 0}});
  // released, it is anybody's
  two.act(two.here(), Action::release, id_at(1));
  CHECK(two.lease(two.here(), "one.test", at(2)).size() == 1);
}

TEST_CASE("a message whose chunks were lost with the primary is refused, and nothing of it is in the queue" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Two two;
  for (std::uint32_t n = 0; n < 2; ++n)
    CHECK(two.kept.ask(two.here().append_chunk(id_at(1), n, std::string(chunk_bytes, 'x'))).has_value());
  two.change("DELETE FROM chunk WHERE n = 0");
  auto draft = draft_of(id_at(1), "a@one.test");
  draft->streamed = true;
  draft->chunks = 3;
  const auto refused = two.kept.ask(two.here().commit(draft));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::device_or_resource_busy);
  CHECK(two.count("message") == "0");
  CHECK(two.count("recipient") == "0");
  CHECK(two.kept.ask(two.here().drafts()).value() == std::vector<Id>{id_at(1)});
}

TEST_CASE("a commit that nobody can vouch for in time is refused, and removed when it turns out to be stored" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Postgres kept;
  postgres::Options options = kept.options();
  options.synchronous = postgres::Synchronous::prefer;
  support::MemoryLog log;
  postgres::Database database(kept.loop.executor(), log, options, postgres_node("waiting"), postgres_migrations());
  kept.loop.run(database.start()).value();
  store_postgres::MailOptions mail_options;
  mail_options.commit_deadline = Milliseconds(700);
  store_postgres::PostgresMailStore mail(database, mail_options);
  kept.ask(mail.recover()).value();
  Postgres::server().set("synchronous_standby_names", "nobody");
  const auto refused = kept.ask(mail.commit(draft_of(id_at(1), "a@one.test")));
  Postgres::server().set("synchronous_standby_names", "");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::device_or_resource_busy);
  // behind what makes it undone
  CHECK(kept.ask(mail.commit(draft_of(id_at(2), "b@one.test"))).has_value());
  const auto left = kept.ask(database.run(postgres::statement("SELECT id FROM message"))).value();
  REQUIRE(left.size() == 1);
  CHECK(left[0].integer(0) == id_at(2).value);
  kept.loop.run(database.stop(std::chrono::steady_clock::now() + std::chrono::seconds(2)));
}

TEST_CASE("an answer that is lost changes nothing: it is found what was done, and nothing is done twice" *
          doctest::skip(!support::PostgresServer::is_installed())) {
  Postgres kept;
  support::CuttingProxy proxy(Postgres::server().port());
  postgres::Options options = kept.options();
  const std::string direct = ":" + std::to_string(Postgres::server().port()) + "/";
  options.url.replace(options.url.find(direct), direct.size(), ":" + std::to_string(proxy.port()) + "/");
  PostgresNode node(kept.loop, options, postgres_node("cut"));
  kept.ask(node.mail().recover()).value();
  proxy.cut_answer(0);
  const auto enqueued = kept.ask(node.mail().commit(draft_of(id_at(1), "a@one.test"))).value();
  CHECK(proxy.has_cut());
  REQUIRE(enqueued.size() == 1);
  CHECK(enqueued[0].kept);
  node.mail().release("one.test", {id_at(1)});
  CHECK(kept.ask(node.mail().due(at(1), 10, {})).value().ready.size() == 1);
  proxy.cut_answer(0);
  const auto jobs = kept.ask(node.mail().lease(Mail::query("one.test"))).value().jobs;
  CHECK(proxy.has_cut());
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].body == "Subject: x\r\n\r\nhello\r\n");
  proxy.cut_answer(0);
  CHECK(kept.ask(node.mail().settle(Mail::results({Mail::all(jobs[0], Verdict::deferred, at(10))})))
            .value()
            .lost.empty());
  CHECK(proxy.has_cut());
  const auto again = kept.ask(node.mail().lease(Mail::query("one.test", at(10)))).value().jobs;
  REQUIRE(again.size() == 1);
  CHECK(again[0].recipients.at(0).attempts == 1);
  CHECK(node.database().counters().replayed == 3);
}

}  // namespace hoplock::store::contract::mail_shared_test
