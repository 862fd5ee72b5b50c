// SPDX-License-Identifier: Apache-2.0
// Several nodes on one store while their processes, and their server, die: what was acknowledged leaves, once but for what a death repeats.
#include "tests/support/store_nodes.h"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <thread>

#include "tests/support/postgres_server.h"

namespace hoplock::store_postgres::nodes_test {

using namespace support::store_nodes;
using support::PostgresServer;

namespace {

constexpr int most_unstored = 16;  // that a node had sent and not yet settled: one lease

void wait(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

struct Files {
  support::TempDirectory directory;
  Plan plan;
  Files() {
    plan.sink = directory.file("sink");
    plan.acks = directory.file("acks");
  }
};

// They end together, when nothing is left.
void finish(const std::vector<Node*>& nodes) {
  for (Node* one : nodes) one->retire();
  for (Node* one : nodes) CHECK(one->finish(std::chrono::seconds(60)));
}

std::string count(const PostgresServer& server, const std::string& from) {
  return server.sql("SELECT count(*)::text FROM " + from);
}

void check_nothing_left(const PostgresServer& server) {
  CHECK(count(server, "message") == "0");
  CHECK(count(server, "recipient") == "0");
  // what the dead had half received is nobody's, and goes with the next sweep
  CHECK(count(server, "chunk c WHERE NOT EXISTS (SELECT 1 FROM draft d WHERE d.message = c.message)") == "0");
  CHECK(count(server, "draft WHERE incarnation <> 0") == "0");
  CHECK(count(server,
              "recipient r WHERE owner <> 0 AND NOT EXISTS (SELECT 1 FROM node n WHERE n.incarnation = r.owner AND "
              "n.state = 0)") == "0");
}

void check(const Plan& plan, int most_twice) {
  const Judged judged = judge(plan);
  MESSAGE("acknowledged " << judged.acknowledged.size() << ", lost " << judged.lost().size() << ", sent twice "
                          << judged.twice() << ", sent though never acknowledged " << judged.unasked());
  CHECK(judged.acknowledged.size() > 100);
  CHECK(judged.lost().empty());
  CHECK(judged.twice() <= most_twice);
}

}  // namespace

TEST_CASE("several nodes: each message is sent by one of them, once" * doctest::skip(!PostgresServer::is_installed())) {
  PostgresServer server;
  Files files;
  files.plan.options = server.options();
  Node one(files.plan, "one"), two(files.plan, "two"), three(files.plan, "three");
  wait(std::chrono::seconds(4));
  finish({&one, &two, &three});
  check(files.plan, 0);
  check_nothing_left(server);
}

TEST_CASE("a node that is killed loses nothing: another one sends its mail" *
          doctest::skip(!PostgresServer::is_installed())) {
  PostgresServer server;
  Files files;
  files.plan.options = server.options();
  std::mt19937 random(1);
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::string> names{"one", "two", "three"};
  for (const std::string& name : names) nodes.push_back(std::make_unique<Node>(files.plan, name));
  int kills = 0;
  for (; kills < 5; ++kills) {
    wait(std::chrono::milliseconds(1200 + random() % 1000));
    const std::size_t which = random() % nodes.size();
    nodes[which]->kill();
    wait(std::chrono::milliseconds(random() % 2 == 0 ? 100 : 4000));
    nodes[which] = std::make_unique<Node>(files.plan, names[which]);
  }
  wait(std::chrono::seconds(1));
  nodes[0]->kill();  // and nobody starts it again
  finish({nodes[1].get(), nodes[2].get()});
  check(files.plan, (kills + 1) * most_unstored);
  check_nothing_left(server);
}

TEST_CASE("a node that stands still is taken for dead, and sends nothing of what it had leased" *
          doctest::skip(!PostgresServer::is_installed())) {
  PostgresServer server;
  Files files;
  files.plan.options = server.options();
  Node one(files.plan, "one"), two(files.plan, "two");
  wait(std::chrono::seconds(2));
  one.freeze();
  wait(std::chrono::seconds(6));
  CHECK(count(server, "node WHERE name = 'one' AND state = 0") == "0");
  one.thaw();
  wait(std::chrono::seconds(3));
  CHECK(count(server, "node WHERE name = 'one' AND state = 0") == "1");
  finish({&one, &two});
  check(files.plan, most_unstored);
  check_nothing_left(server);
}

TEST_CASE("the primary dies under load and its standby is promoted: every message is there, and none is sent twice" *
          doctest::skip(!PostgresServer::is_installed())) {
  PostgresServer primary;
  auto standby = PostgresServer::standby_of(primary, "b");
  primary.set("synchronous_standby_names", "b");
  Files files;
  files.plan.options = primary.options();
  files.plan.options.url = "postgresql://hoplock@127.0.0.1:" + std::to_string(primary.port()) +
                           ",127.0.0.1:" + std::to_string(standby->port()) + "/postgres";
  Node one(files.plan, "one"), two(files.plan, "two");
  wait(std::chrono::seconds(3));
  primary.kill();
  wait(std::chrono::milliseconds(500));
  standby->promote();
  wait(std::chrono::seconds(6));
  finish({&one, &two});
  check(files.plan, 0);
  check_nothing_left(*standby);
}

}  // namespace hoplock::store_postgres::nodes_test
