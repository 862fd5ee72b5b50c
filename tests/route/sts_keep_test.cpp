// SPDX-License-Identifier: Apache-2.0
// Policies over time: restarts, kill -9, refresh, expiry, other clocks: RFC 8461 sections 3.3, 5.1, 10.2.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/task_group.h"
#include "store_sqlite/policy_reader.h"
#include "tests/route/sts_world.h"

namespace hoplock::route::route_sts_keep_test {

using namespace testing;

TEST_CASE("STS-33: a policy survives a restart, with everything known of it") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  world.say("2");
  world.block_https(Reason::sts_webpki_invalid);
  world.find();
  const PolicyRow before = world.row().value();
  world.restart();
  const PolicyRow after = world.row().value();
  CHECK(after.text == policy("enforce"));
  CHECK(after.freshness.held->id == "1");
  CHECK(after.freshness.held->fetched == before.freshness.held->fetched);
  CHECK(after.freshness.failures.count == 1);
  CHECK(after.freshness.failures.id == "2");
  CHECK(after.problem->reason == Reason::sts_webpki_invalid);
  const auto fact = world.find();
  CHECK(mode_of(fact) == "enforce");
  CHECK(fact.text == policy("enforce"));  // RPT-14
  CHECK(fact.problem->reason == Reason::sts_webpki_invalid);
}

TEST_CASE(
    "STS-28: a policy without a record stays in force until its max_age is over, by the clock that the cache was "
    "handed") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  const Seconds lives = world.row()->freshness.held->max_age;
  world.say("");
  world.ahead = lives - Seconds{60};
  CHECK(mode_of(world.find()) == "enforce");
  world.ahead = lives + Seconds{1};
  CHECK(mode_of(world.find()) == "not live");
}

namespace {

// The child: fetches one domain's policy after the other, tells of each that was found in force, until it is killed.
[[noreturn]] void fetch_until_killed(const std::filesystem::path& directory, int pipe) {
  support::Loop loop;
  support::FakeResolver dns;
  support::MemoryLog log;
  FakeFetch fetch;
  disk::Options on_disk;
  on_disk.directory = directory;
  on_disk.migrations = policy_migrations();
  on_disk.migrations.push_back(refused_migration());
  const auto disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
  SqlitePolicyStore kept(*disk);
  PolicyCache cache(PolicyCache::Parts{kept, dns, fetch, log}, {});
  for (int i = 0;; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    fetch.answers[domain] = policy("enforce", "mx." + domain);
    PolicyTxt txt;
    txt.choice.state = mtasts::Choice::State::valid;
    txt.choice.id = std::to_string(i);
    if (loop.run(cache.find(name(domain), txt)).state != StsState::live) ::_exit(1);
    if (::write(pipe, &i, sizeof i) != sizeof i) ::_exit(2);
  }
}

}  // namespace

TEST_CASE("STS-33: after kill -9 at any moment every policy that a delivery went by is there, whole") {
  support::TempDirectory dir;
  for (const int policies : {1, 7, 20}) {
    const std::filesystem::path directory = dir.file("data" + std::to_string(policies));
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    if (child == 0) fetch_until_killed(directory, ends[1]);
    ::close(ends[1]);
    int told = 0;
    int last = -1;
    while (::read(ends[0], &told, sizeof told) == sizeof told) {
      last = told;
      if (told + 1 == policies) ::kill(child, SIGKILL);  // the next ones are on their way
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    REQUIRE(last + 1 >= policies);
    auto db = disk::open_read_only(directory / "queue.db").value();
    disk::Tx tx(db);
    for (int i = 0; i <= last; ++i) {
      const std::string domain = "d" + std::to_string(i) + ".example";
      const auto row = find_policy(tx, name(domain));
      REQUIRE(row.has_value());
      REQUIRE(row->text == policy("enforce", "mx." + domain));
      REQUIRE(row->freshness.held->id == std::to_string(i));
    }
  }
}

TEST_CASE("STS-32: policies are refreshed before they expire, without mail and under the same id") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  world.maintain();
  CHECK(world.fetch.asked.size() == 1);  // not due
  world.options.upkeep = PolicyOptions::Upkeep::off;
  world.age(Seconds(86400 / 2));
  world.maintain();
  CHECK(world.fetch.asked.size() == 1);  // nobody uses it
  world.options.upkeep = PolicyOptions::Upkeep::on;
  world.age(Seconds(-86400 / 2));
  world.age(Seconds(86400 / 2));
  const Time old = world.row()->freshness.held->fetched;
  world.maintain();
  CHECK(world.fetch.asked.size() == 2);
  CHECK(world.row()->freshness.held->fetched > old);
  CHECK(world.actions() == "fetched unchanged");
  world.fetch.answers["example.org"] = policy("enforce", "other.example.org");
  world.age(Seconds(86400 / 2));
  world.maintain();
  CHECK(world.actions() == "refreshed");
  CHECK(mode_of(world.find()) == "enforce");
  CHECK(world.find().policy.mx.front().name == name("other.example.org"));
}

TEST_CASE("STS-32: what comes while the background rests is looked after in its time, as often as the operator says") {
  StsWorld world;
  world.options.refresh = Seconds(1);
  world.restart();
  world.publish("1", policy("enforce"));
  net::TaskGroup tasks(world.loop.executor(), world.log);
  tasks.spawn("sts", world.cache->maintain());
  world.loop.run(StsWorld::pause(std::chrono::milliseconds{1200}));  // it rests: there is nothing
  world.find();
  world.loop.run(StsWorld::pause(std::chrono::milliseconds{2500}));
  tasks.stop();
  world.loop.run(tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds{5}));
  CHECK(world.fetch.asked.size() >= 2);
  CHECK(world.fetch.asked.size() <= 4);
}

TEST_CASE(
    "STS-32: a refresh that fails is told once, with how long the live policy holds; of mode none nobody is alarmed") {
  for (const std::string mode : {"enforce", "testing", "none"}) {
    StsWorld world;
    world.publish("1", policy(mode, "mx.example.org", 604800));
    world.find();
    world.block_https();
    world.age(Seconds(86400));
    world.maintain();
    CHECK(world.fetch.asked.size() == 2);
    CHECK(world.last_event().get("error").find("stays in force until 20") != std::string::npos);
    for (int i = 0; i < 3; ++i) {
      world.age(Seconds(3601));
      world.maintain();
    }
    CHECK(world.fetch.asked.size() == 5);
    CHECK(world.actions(Level::warn) == (mode == "none" ? "" : "failed"));
    CHECK(mode_of(world.find()) == mode);
  }
}

TEST_CASE("STS-32: while DNS does not answer, a policy is refreshed under its own id; without a record it is not") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  world.dns.fail["_mta-sts.example.org TXT"] = "SERVFAIL";
  world.age(Seconds(86400 / 2));
  world.maintain();
  CHECK(world.actions() == "fetched unchanged");
  CHECK(world.row()->freshness.held->id == "1");
  world.dns.fail.clear();
  world.say("");
  world.age(Seconds(86400 / 2));
  world.maintain();
  CHECK(world.actions() == "failed");
  CHECK(world.last_event().get("error").find("no usable _mta-sts record") != std::string::npos);
  CHECK(world.fetch.asked.size() == 2);
  CHECK(mode_of(world.find()) == "enforce");
}

TEST_CASE("STS-31: an expired policy is told once, kept for a week, then forgotten") {
  StsWorld world;
  world.publish("1", policy("enforce", "mx.example.org", 3600));
  world.find();
  world.say("");
  world.age(Seconds(3601));
  world.maintain();
  CHECK(world.actions() == "fetched expired");
  CHECK(world.last_event().level() == Level::warn);
  world.maintain();
  CHECK(world.actions() == "");
  CHECK(world.row().has_value());
  world.age(std::chrono::days(7));
  world.maintain();
  CHECK(world.actions() == "removed");
  CHECK_FALSE(world.row().has_value());
  CHECK(world.find().state == StsState::none);
}

TEST_CASE("STS-12: a domain whose policy never came is forgotten after a day") {
  StsWorld world;
  world.block_https();
  world.find();
  REQUIRE(world.row().has_value());
  world.age(std::chrono::days(1));
  world.maintain();
  CHECK_FALSE(world.row().has_value());
  CHECK(world.actions() == "failed");
}

TEST_CASE("STS-33: a clock that was set back neither ends a policy nor makes it immortal") {
  StsWorld world;
  world.publish("1", policy("enforce", "mx.example.org", 7200));
  world.find();
  world.age(-Seconds(3600));  // fetched an hour from now
  CHECK(mode_of(world.find()) == "enforce");
  CHECK(world.row()->freshness.held->fetched <= now());
  world.block_https();
  world.age(Seconds(7201));
  CHECK(world.find().state == StsState::none);
}

TEST_CASE("STS-32: rows that another clock put far ahead are looked after all the same") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  PolicyRow row = world.row().value();
  row.due += std::chrono::days(2000);
  world.write(row);
  world.maintain();
  CHECK(world.fetch.asked.size() == 2);
}

TEST_CASE("refresh: fetches whatever is at hand, and says what came of it") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  PolicyEvent news = world.refresh();
  CHECK(news.action == PolicyEvent::Action::fetched);
  CHECK(news.mode == mtasts::Mode::enforce);
  CHECK(world.refresh().action == PolicyEvent::Action::unchanged);
  world.publish("2", policy("testing"));
  CHECK(world.refresh().action == PolicyEvent::Action::refreshed);
  world.block_https();
  news = world.refresh();
  CHECK(news.action == PolicyEvent::Action::failed);
  CHECK(news.error.find("blocked") != std::string::npos);
  CHECK(world.refresh("none.example").error == "the domain has no usable _mta-sts record");
  world.publish("2", policy("testing"));
  CHECK(world.refresh().action == PolicyEvent::Action::unchanged);  // no waiting after the failure
}

TEST_CASE("the cache: policies beyond what stays in memory are read through, large ones each time") {
  StsWorld world("");
  std::string large = "version: STSv1\nmode: enforce\nmax_age: 86400\n";
  for (int i = 0; i < 100; ++i) large += "mx: mx" + std::to_string(i) + ".example.org\n";
  world.publish("1", large);
  for (int i = 0; i < 3; ++i) CHECK(world.find().policy.mx.size() == 100);
  CHECK(world.fetch.asked.size() == 1);
  CHECK(world.find().text == large);
}

TEST_CASE("the cache: a long policy is read through, word for word, though it names few hosts") {
  StsWorld world("");
  const std::string wordy =
      "version: STSv1\nmode: enforce\nmax_age: 86400\nmx: a.example.org\nnote: " + std::string(20'000, 'x') + "\n";
  world.publish("1", wordy);
  for (int i = 0; i < 2; ++i) CHECK(world.find().text == wordy);
  CHECK(world.fetch.asked.size() == 1);
}

TEST_CASE("PolicyReader: all rows by domain beside a running daemon, and one of them") {
  StsWorld world("");
  std::vector<std::string> domains;
  for (int i = 0; i < 450; ++i) domains.push_back("d" + std::to_string(1000 + i) + ".example");
  auto job = [domains](disk::Tx& tx) -> Result<> {
    for (const auto& domain : domains) {
      PolicyRow row;
      row.domain = name(domain);
      row.freshness.held = mtasts::Held{"1", now(), Seconds(86400)};
      row.text = policy("enforce", "mx." + domain);
      put_policy(tx, row);
    }
    return {};
  };
  world.loop.run(world.disk->run(disk::Durability::durable, std::move(job))).value();
  world.find("none.example");
  auto reader = SqlitePolicyReader::open(world.disk->path()).value();
  std::vector<std::string> listed;
  reader.list([&](const PolicyRow& row) { listed.push_back(row.domain.text()); }).value();
  CHECK(listed == domains);
  CHECK(reader.find(name("d1007.example")).value()->text == policy("enforce", "mx.d1007.example"));
  CHECK_FALSE(reader.find(name("none.example")).value().has_value());
}

TEST_CASE("RPT-46: what was served in place of a policy is known, after a restart too, and bounded") {
  StsWorld world;
  const std::string served = "version: STSv1\nmode: live\nmx: mx.example.org\nmax_age: 86400\n";
  world.publish("1", served);
  CHECK(world.find().refused == served);
  CHECK(world.find().problem->reason == Reason::sts_policy_invalid);
  world.restart();
  CHECK(world.find().refused == served);
  std::string endless = "mode: live\n";
  while (endless.size() < 60'000) endless += "mx: a.example\n";
  world.publish("2", endless);
  world.age(Seconds(301));
  const auto fact = world.find();
  CHECK(fact.refused.size() <= most_refused);
  CHECK(fact.refused.ends_with("\n"));
  world.publish("3", policy("enforce"));
  world.age(Seconds(1200));
  CHECK(mode_of(world.find()) == "enforce");
  CHECK(world.find().refused.empty());
}

}  // namespace hoplock::route::route_sts_keep_test
