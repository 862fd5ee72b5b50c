// SPDX-License-Identifier: Apache-2.0
// Two nodes write while connections are cut, silent, ended and refused, sessions are cancelled and ended, and the primary is killed: what
// they were told is held against what is there. Seeded; HOPLOCK_TORTURE_SEED and HOPLOCK_TORTURE_SECONDS make another or a longer one.
#include <random>
#include <set>
#include <thread>

#include "postgres/errors.h"
#include "tests/postgres/things.h"
#include "tests/support/cutting_proxy.h"

namespace postgres_torture_test {

using namespace hoplock;
using namespace postgres_test;
using support::CuttingProxy;
using support::PostgresServer;

namespace {

constexpr int writers = 8;
constexpr int stride = 1'000'000;

struct Told {
  std::set<std::int64_t> good, not_written, unknown;
  std::vector<std::string> odd;  // errors that none of these faults may cause
  std::uint64_t replayed = 0, doubts = 0, fenced = 0, batches = 0;
};

boost::asio::awaitable<void> write_on(postgres::Database& database, int who, std::int64_t id,
                                      const std::atomic<bool>& ends, Told& told, int& running) {
  for (; !ends; ++id) {
    Job job;
    job.statements.push_back(statement("INSERT INTO event VALUES ($1, $2)", id, who));
    job.statements.push_back(statement("UPDATE tally SET n = n + 1 WHERE who = $1", who));
    const auto deadline = id % 3 == 0 ? steady_clock::now() + 2s : net::SteadyTime::max();
    const auto outcome =
        co_await database.write(id % 2 == 0 ? StreamKind::intake : StreamKind::settle, std::move(job), deadline);
    if (outcome) {
      told.good.insert(id);
      continue;
    }
    if (postgres::is_unavailable(outcome.error()))
      told.not_written.insert(id);
    else if (outcome.error().code == errc::timed_out || outcome.error().code == errc::owner_dead)
      told.unknown.insert(id);
    else
      told.odd.push_back(outcome.error().detail);
    net::Condition nothing;
    co_await nothing.wait_until(steady_clock::now() + 20ms);
  }
  --running;
}

void run_node(const postgres::Options& options, int who, const std::atomic<bool>& ends, Told& told) {
  auto named = node("n" + std::to_string(who));
  named.free_leases.clear();
  auto all = tables();
  all.push_back(
      {"events",
       {"CREATE TABLE event (id bigint NOT NULL, who bigint NOT NULL)",
        "CREATE TABLE tally (who bigint NOT NULL, n bigint NOT NULL)", "INSERT INTO tally VALUES (0, 0), (1, 0)"},
       1});
  Node one(options, named, all);
  if (!one.start()) return;
  int running = writers;
  for (int i = 0; i < writers; ++i)
    one.loop.start(write_on(one.database, who, who * stride * writers + i * stride + 1, ends, told, running));
  one.until([&] { return running == 0; }, 1h);
  const auto counters = one.database.counters();
  told.replayed = counters.replayed;
  told.doubts = counters.unknown;
  told.batches = counters.batches;
  told.fenced = one.heard<postgres::Fenced>().size();
}

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

class Chaos {
 public:
  explicit Chaos(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t limit) { return random_() % limit; }
  void wait(std::size_t longest) { std::this_thread::sleep_for(std::chrono::milliseconds(below(longest))); }

  void once(CuttingProxy& proxy, const PostgresServer& server) {
    switch (below(8)) {
      case 0:
        return proxy.cut_answer(below(60));
      case 1:
        return proxy.cut_request(below(600));
      case 2:
        return proxy.hold_request();
      case 3:
        return proxy.release();
      case 4:
        proxy.silence();
        wait(below(8) == 0 ? 2500 : 600);
        return proxy.speak();
      case 5:
        proxy.refuse();
        wait(300);
        return proxy.accept_again();
      case 6:
        static_cast<void>(server.sql(sessions("pg_terminate_backend")));
        return;
      default:
        static_cast<void>(server.sql(sessions("pg_cancel_backend")));
        return;
    }
  }

 private:
  static std::string sessions(const std::string& how) {
    return "SELECT count(" + how +
           "(pid))::text FROM pg_stat_activity WHERE application_name ~ '^hoplock [0-9]+/' AND random() < 0.5";
  }
  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE(
    "Torture: what was acknowledged is there once, what was refused is not, and no transaction is there by half") {
  NEEDS_POSTGRESQL();
  const std::uint64_t seed = setting("HOPLOCK_TORTURE_SEED", 1), seconds = setting("HOPLOCK_TORTURE_SECONDS", 10);
  PostgresServer first(PostgresServer::Files::synced);
  auto second = PostgresServer::standby_of(first, "b");
  first.set("synchronous_standby_names", "b");
  first.await("SELECT sync_state FROM pg_stat_replication", "sync");
  std::array<std::array<std::unique_ptr<CuttingProxy>, 2>, 2> proxies;
  std::array<Told, 2> told;
  std::atomic<bool> ends = false;
  std::vector<std::thread> nodes;
  for (int who = 0; who < 2; ++who) {
    auto& own = proxies[static_cast<std::size_t>(who)];
    own = {std::make_unique<CuttingProxy>(first.port()), std::make_unique<CuttingProxy>(second->port())};
    auto options = options_of(own[0]->port());
    options.url = "postgresql://hoplock@127.0.0.1:" + std::to_string(own[0]->port()) +
                  ",127.0.0.1:" + std::to_string(own[1]->port()) + "/postgres";
    options.synchronous = postgres::Synchronous::require;
    options.deadline = 1s;
    nodes.emplace_back(run_node, options, who, std::cref(ends), std::ref(told[static_cast<std::size_t>(who)]));
  }
  Chaos chaos(seed);
  const auto all = std::chrono::seconds(seconds);
  const auto began = steady_clock::now();
  for (; steady_clock::now() - began < all / 2; chaos.wait(150)) chaos.once(*proxies[chaos.below(2)][0], first);
  first.kill();
  second->promote();
  second->sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
  auto third = PostgresServer::standby_of(*second, "c");
  second->set("synchronous_standby_names", "c");
  for (; steady_clock::now() - began < all; chaos.wait(150)) chaos.once(*proxies[chaos.below(2)][1], *second);
  for (auto& pair : proxies) {
    pair[1]->speak();
    pair[1]->accept_again();
  }
  ends = true;
  for (std::thread& one : nodes) one.join();

  CAPTURE(seed);
  auto connection = postgres::BlockingConnection::open(options_of(second->port()), postgres::Use::read_only, 5s);
  REQUIRE(connection.has_value());
  const auto rows = connection->run(statement("SELECT id FROM event"));
  REQUIRE(rows.has_value());
  std::set<std::int64_t> there;
  for (const postgres::Row row : *rows) CHECK_MESSAGE(there.insert(row.integer(0)).second, "twice: ", row.integer(0));
  std::size_t good = 0, lost = 0, refused_and_there = 0;
  for (const Told& one : told) {
    good += one.good.size();
    for (const std::int64_t id : one.good) lost += there.contains(id) ? 0 : 1;
    for (const std::int64_t id : one.not_written) refused_and_there += there.contains(id) ? 1 : 0;
    for (const std::string& what : one.odd) FAIL_CHECK(what);
  }
  CHECK(lost == 0);
  CHECK(refused_and_there == 0);
  CHECK(good > 100);
  CHECK(second->sql("SELECT sum(n)::text FROM tally") == std::to_string(rows->size()));
  MESSAGE("seed ", seed, ": ", good, " acknowledged in ", told[0].batches + told[1].batches, " batches, ", rows->size(),
          " there; outcomes unknown ", told[0].doubts + told[1].doubts, ", of these applied before ",
          told[0].replayed + told[1].replayed, ", fenced ", told[0].fenced + told[1].fenced);
}

}  // namespace postgres_torture_test
