// SPDX-License-Identifier: Apache-2.0
// Which look-ups wait for which: what can be asked side by side is, and what comes of it does not depend on who answers first.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <list>
#include <random>
#include <string>
#include <vector>

#include "net/condition.h"
#include "net/task_group.h"
#include "route/answers.h"
#include "route/router.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/policy_store.h"
#include "tests/route/sts_world.h"

namespace hoplock::route::route_beside_test {

using support::name;

namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

// Answers from a fake's maps, each when the test says so.
class Held final : public resolver::Resolver {
 public:
  explicit Held(support::FakeResolver& from) : from_(from) {}

  boost::asio::awaitable<dns::Answer> find(dns::Name question, dns::Type type) override {
    const struct Waiting {
      std::list<Question>& all;
      std::list<Question>::iterator mine;
      ~Waiting() { all.erase(mine); }
    } waiting{open_, open_.emplace(open_.end())};
    waiting.mine->text = question.text() + " " + std::string(to_text(type));
    ++asked_;
    while (holds && !waiting.mine->released) co_await waiting.mine->turn.wait();
    co_return co_await from_.find(std::move(question), type);
  }
  std::optional<std::string> validation_failure() const override { return from_.validation_failure(); }

  bool holds = true;
  std::size_t asked() const { return asked_; }
  // That wait for their answers, sorted.
  Texts open() const {
    Texts texts;
    for (const Question& one : open_) {
      if (!one.released) texts.push_back(one.text);
    }
    std::sort(texts.begin(), texts.end());
    return texts;
  }
  std::size_t inside() const { return open_.size(); }
  void release(const std::string& text) {
    for (Question& one : open_) {
      if (one.text != text || one.released) continue;
      one.released = true;
      one.turn.notify_all();
    }
  }
  void release_all() {
    for (const std::string& text : open()) release(text);
  }

 private:
  struct Question {
    std::string text;
    bool released = false;
    net::Condition turn;
  };
  support::FakeResolver& from_;
  std::list<Question> open_;
  std::size_t asked_ = 0;
};

// The first look of a delivery: the domain's hosts, and the facts of those whose turn comes.
struct Looked {
  bool done = false;
  std::string text;
};

std::string text_of(const hop::HostFacts& facts) {
  Texts addresses;
  for (const Ip& ip : facts.addresses) addresses.push_back(ip.text());
  std::sort(addresses.begin(), addresses.end());
  std::string text = facts.name.text() + ">" + facts.expanded.text();
  for (const std::string& one : addresses) text += " " + one;
  text += " tlsa=" + std::to_string(static_cast<int>(facts.tlsa.state)) + " " + facts.tlsa.base.text();
  for (const dns::Tlsa& record : facts.tlsa.records) text += " " + record.text();
  if (facts.address_failure) text += " failure=" + std::string(hop::to_text(*facts.address_failure));
  return text + " " + facts.why_no_address + facts.tlsa.why + "\n";
}

std::string text_of(const Hosts& found) {
  const hop::StsFact& sts = found.domain.sts;
  std::string text = std::string(to_text(found.domain.mx_security)) +
                     " sts=" + std::to_string(static_cast<int>(sts.state)) + sts.id + " site=" + found.site;
  if (sts.problem) text += " problem=" + sts.problem->text;
  for (const Host& host : found.hosts) text += " " + std::to_string(host.preference) + " " + host.name.text();
  return text + "\n";
}

boost::asio::awaitable<void> look(Router& router, dns::Name domain, std::shared_ptr<Looked> into) {
  Found found = co_await router.find(domain);
  if (const auto* none = std::get_if<NoHosts>(&found)) {
    into->text = "none " + none->enhanced + " " + none->text;
    into->done = true;
    co_return;
  }
  const Hosts hosts = std::get<Hosts>(std::move(found));
  into->text = text_of(hosts);
  for (const Host& host : hosts.hosts) {
    const hop::HostFacts facts = co_await router.look(host, domain);
    into->text += text_of(facts);
  }
  into->done = true;
}

boost::asio::awaitable<void> find_only(Router& router, dns::Name domain, std::shared_ptr<bool> found) {
  co_await router.find(std::move(domain));
  *found = true;
}

struct BesideWorld {
  explicit BesideWorld(const std::string& zone) : dns(zone) {
    disk::Options on_disk;
    on_disk.directory = dir.file("data");
    on_disk.migrations = store_sqlite::mail_migrations();
    for (const auto& more : store_sqlite::policy_migrations()) on_disk.migrations.push_back(more);
    on_disk.migrations.push_back(store_sqlite::refused_migration());
    disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
    kept = std::make_unique<store_sqlite::SqlitePolicyStore>(*disk);
    fresh();
  }
  ~BesideWorld() {
    tasks.stop();
    until([this] { return tasks.size() == 0; });
  }
  // As after a restart: nothing is kept in memory.
  void fresh() {
    router.reset();
    policies = std::make_unique<PolicyCache>(PolicyCache::Parts{*kept, held, fetch, log}, PolicyOptions{});
    router = std::make_unique<Router>(Router::Parts{held, policies.get()}, options, std::mt19937_64{7});
  }
  std::shared_ptr<Looked> start(const char* domain = "example.org") {
    auto looked = std::make_shared<Looked>();
    tasks.spawn("look", look(*router, name(domain), looked));
    return looked;
  }
  // Runs the loop until it is so; the disk answers from a thread of its own.
  bool until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      loop.io().run_one_for(5ms);
      if (loop.io().stopped()) loop.io().restart();
    }
    return true;
  }
  // Whatever can go on goes on.
  void poll() {
    loop.io().restart();
    loop.io().poll();
  }
  bool waits_for(Texts questions) {
    std::sort(questions.begin(), questions.end());
    const bool so = until([&] { return held.open() == questions; });
    if (!so) {
      for (const std::string& one : held.open()) MESSAGE("open: ", one);
    }
    return so;
  }

  support::TempDirectory dir;
  support::Loop loop;
  support::MemoryLog log;
  support::FakeResolver dns;
  Held held{dns};
  support::FakeFetch fetch;
  Options options;
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<store_sqlite::SqlitePolicyStore> kept;
  std::unique_ptr<PolicyCache> policies;
  std::unique_ptr<Router> router;
  net::TaskGroup tasks{loop.executor(), log};
};

const std::string signed_zone =
    "example.org MX 10 one.example.org\nexample.org MX 20 two.example.org\none.example.org A 192.0.2.1\n"
    "two.example.org A 192.0.2.2\ntwo.example.org AAAA 2001:db8::2\n_25._tcp.one.example.org TLSA 3 1 1 aa\n"
    "_25._tcp.two.example.org TLSA 3 1 1 bb\n";
const Texts addresses = {"one.example.org A", "one.example.org AAAA", "two.example.org A", "two.example.org AAAA"};

Texts with(Texts texts, const std::string& more) {
  texts.push_back(more);
  return texts;
}

}  // namespace

TEST_CASE(
    "DANE-03, MX-04: after the MX all addresses and the policy's record are asked side by side, then TLSA at once") {
  BesideWorld world(signed_zone + "_mta-sts.example.org TXT v=STSv1; id=1;");
  world.dns.secure = {"example.org"};
  world.fetch.answers["example.org"] = support::policy("testing", "*.example.org");
  const auto looked = world.start();
  REQUIRE(world.waits_for({"example.org MX"}));
  world.held.release_all();
  REQUIRE(world.waits_for(with(addresses, "_mta-sts.example.org TXT")));
  CHECK(world.dns.asked == Texts{"example.org MX"});  // none of them is answered yet
  world.held.release_all();
  REQUIRE(world.waits_for({"_25._tcp.one.example.org TLSA"}));
  CHECK(world.held.asked() == 7);  // no address was asked for twice
  world.held.release_all();
  REQUIRE(world.waits_for({"_25._tcp.two.example.org TLSA"}));  // when its turn has come
  world.held.release_all();
  REQUIRE(world.until([&] { return looked->done; }));
  CHECK(world.held.asked() == 8);
}

TEST_CASE("MX-04: beside a null MX, a domain that does not exist and a failed MX look-up nothing is asked") {
  BesideWorld world("null.example MX 0 .\nbroken.example MX 10 mx.example");
  world.dns.fail["broken.example MX"] = "SERVFAIL";
  world.held.holds = false;
  for (const char* domain : {"null.example", "gone.example", "broken.example"}) {
    const auto looked = world.start(domain);
    REQUIRE(world.until([&] { return looked->done; }));
    CHECK(looked->text.starts_with("none"));
  }
  CHECK(world.dns.asked == Texts{"null.example MX", "gone.example MX", "broken.example MX"});
}

TEST_CASE("STS-02: where no rule could use a policy, its record is not asked for") {
  BesideWorld world(signed_zone);
  world.options.security.mta_sts = hop::Mode::off;
  world.fresh();
  world.start();
  REQUIRE(world.waits_for({"example.org MX"}));
  world.held.release_all();
  CHECK(world.waits_for(addresses));
}

TEST_CASE("MX-29, BND-02: of a set too large nothing is asked before the policy is known, and then of few hosts") {
  std::string zone = "_mta-sts.example.org TXT v=STSv1; id=1;\n";
  for (int i = 100; i < 160; ++i) {
    const std::string host = "mx" + std::to_string(i) + ".example.org";
    zone += "example.org MX " + std::to_string(i) + " " + host + "\n" + host + " A 192.0.2.1\n";
  }
  BesideWorld world(zone);
  world.fetch.answers["example.org"] = support::policy("enforce", "mx159.example.org");
  world.start();
  REQUIRE(world.waits_for({"example.org MX"}));
  world.held.release_all();
  REQUIRE(world.waits_for({"_mta-sts.example.org TXT"}));
  world.held.release_all();
  REQUIRE(world.until([&] { return !world.held.open().empty(); }));
  world.held.holds = false;
  world.held.release_all();
  REQUIRE(world.until([&] { return world.dns.asked_of("mx159.example.org A"); }));
  CHECK_FALSE(world.dns.asked_of("mx150.example.org A"));
  CHECK_FALSE(world.dns.asked_of("mx100.example.org A"));  // ruled out, and kept only to tell why
}

TEST_CASE("MX-29: of hosts that a policy at hand rules out nothing is asked, also in a small set") {
  BesideWorld world(
      "example.org MX 10 bad.example.org\nexample.org MX 20 good.example.org\nbad.example.org A 192.0.2.1\n"
      "good.example.org A 192.0.2.2\n_mta-sts.example.org TXT v=STSv1; id=1;");
  world.held.holds = false;
  world.fetch.answers["example.org"] = support::policy("enforce", "good.example.org");
  const auto find = [&] {
    auto found = std::make_shared<bool>(false);
    world.tasks.spawn("find", find_only(*world.router, name("example.org"), found));
    return world.until([&] { return *found; });
  };
  REQUIRE(find());
  CHECK(world.dns.asked_of("bad.example.org A"));  // nothing was known yet
  world.router->reload(world.options);             // as after the TTLs
  world.dns.asked.clear();
  REQUIRE(find());
  CHECK(world.dns.asked_of("good.example.org A"));
  CHECK(world.dns.asked_of("good.example.org AAAA"));
  CHECK_FALSE(world.dns.asked_of("bad.example.org A"));
  CHECK_FALSE(world.dns.asked_of("bad.example.org AAAA"));
  world.router->reload(world.options);
  world.dns.asked.clear();
  world.dns.secure = {"example.org"};  // there TLSA records may count in the policy's place
  REQUIRE(find());
  CHECK(world.dns.asked_of("bad.example.org A"));
}

TEST_CASE("the policy is fetched while the first host's TLSA is looked up") {
  BesideWorld world(signed_zone + "_mta-sts.example.org TXT v=STSv1; id=1;");
  world.dns.secure = {"example.org"};
  world.fetch.answers["example.org"] = support::policy("enforce", "one.example.org");
  const auto looked = world.start();
  REQUIRE(world.waits_for({"example.org MX"}));
  world.held.release_all();
  REQUIRE(world.waits_for(with(addresses, "_mta-sts.example.org TXT")));
  world.held.release_all();
  const Texts tlsa{"_25._tcp.one.example.org TLSA"};
  REQUIRE(world.until([&] { return world.fetch.asked == Texts{"example.org"} && world.held.open() == tlsa; }));
  world.held.holds = false;
  world.held.release_all();
  REQUIRE(world.until([&] { return looked->done; }));
  CHECK(looked->text.starts_with("secure sts=1"));
}

namespace {

struct Trouble {
  const char* why;
  std::string zone;
  std::set<std::string> secure = {"example.org"};
  std::map<std::string, std::string> bogus = {};
  std::map<std::string, std::string> fail = {};
};

const std::vector<Trouble>& troubles() {
  static const std::vector<Trouble> all = {
      {"all is well", signed_zone},
      {"nothing is signed", signed_zone, {}},
      {"an address look-up times out", signed_zone, {"example.org"}, {}, {{"one.example.org A", "timed out"}}},
      {"a TLSA look-up fails", signed_zone, {"example.org"}, {}, {{"_25._tcp.one.example.org TLSA", "SERVFAIL"}}},
      {"addresses are bogus", signed_zone, {"example.org"}, {{"one.example.org A", "expired"}}},
      {"the policy's record is bogus", signed_zone, {"example.org"}, {{"_mta-sts.example.org TXT", "expired"}}},
      {"the policy's record times out", signed_zone, {"example.org"}, {}, {{"_mta-sts.example.org TXT", "timed out"}}},
      {"a policy in force", signed_zone + "_mta-sts.example.org TXT v=STSv1; id=1;\n"},
      {"no MX", "example.org A 192.0.2.9\n_25._tcp.example.org TLSA 3 1 1 cc\n"},
      {"aliases",
       "example.org MX 10 a.example.org\na.example.org CNAME b.other.example\nb.other.example A 192.0.2.3\n"
       "_25._tcp.a.example.org TLSA 3 1 1 aa\n"},
  };
  return all;
}

// What a delivery learns when answers come in an order that `random` makes; null: in the order of the questions, at once.
std::string learnt(BesideWorld& world, std::mt19937_64* random) {
  world.fresh();
  world.held.holds = random != nullptr;
  const auto looked = world.start();
  while (!looked->done) {
    const bool asks = world.until([&] { return looked->done || !world.held.open().empty(); });
    if (!asks) return "it hangs";
    const Texts open = world.held.open();
    if (!open.empty()) world.held.release(open[(*random)() % open.size()]);
  }
  return looked->text;
}

}  // namespace

TEST_CASE("DANE-06, STS-06: whatever is answered first, the same is learnt") {
  std::mt19937_64 random{20260729};
  for (const Trouble& trouble : troubles()) {
    CAPTURE(std::string(trouble.why));
    BesideWorld world(trouble.zone);
    world.dns.secure = trouble.secure;
    world.dns.bogus = trouble.bogus;
    world.dns.fail = trouble.fail;
    world.fetch.answers["example.org"] = support::policy("enforce", "one.example.org");
    const std::string expected = learnt(world, nullptr);
    for (int time = 0; time < 25; ++time) CHECK(learnt(world, &random) == expected);
  }
}

TEST_CASE("a delivery that is cut off while look-ups are in flight leaves none, and the next one learns all") {
  BesideWorld world(signed_zone + "_mta-sts.example.org TXT v=STSv1; id=1;");
  world.dns.secure = {"example.org"};
  world.fetch.answers["example.org"] = support::policy("enforce", "one.example.org");
  const std::string expected = learnt(world, nullptr);
  for (std::size_t released = 0; released < 8; ++released) {
    CAPTURE(released);
    world.fresh();
    world.held.holds = true;
    net::TaskGroup cut(world.loop.executor(), world.log);
    const auto looked = std::make_shared<Looked>();
    cut.spawn("look", look(*world.router, name("example.org"), looked));
    for (std::size_t i = 0; i < released; ++i) {
      REQUIRE(world.until([&] { return !world.held.open().empty(); }));
      world.held.release(world.held.open().front());
    }
    REQUIRE(world.until([&] { return !world.held.open().empty(); }));
    const auto waiter = world.start();  // shares its questions, and asks them itself when it is gone
    world.poll();
    cut.stop();
    REQUIRE(world.until([&] { return cut.size() == 0; }));
    CHECK_FALSE(looked->done);
    world.held.holds = false;
    world.held.release_all();
    REQUIRE(world.until([&] { return waiter->done; }));
    CHECK(waiter->text == expected);
    CHECK(world.held.inside() == 0);
  }
  CHECK(world.log.events("internal-error").empty());  // being stopped is none
}

TEST_CASE("domains with the same hosts ask for their addresses once") {
  BesideWorld world(
      "mx.provider.example A 192.0.2.1\nmx.provider.example AAAA 2001:db8::1\na.example MX 10 mx.provider.example\n"
      "b.example MX 10 mx.provider.example\nc.example MX 10 mx.provider.example");
  world.held.holds = false;
  for (const char* domain : {"a.example", "b.example", "c.example"}) {
    const auto looked = world.start(domain);
    REQUIRE(world.until([&] { return looked->done; }));
  }
  CHECK(world.dns.count("mx.provider.example A") == 1);
  CHECK(world.dns.count("mx.provider.example AAAA") == 1);
  world.router->reload(world.options);  // whatever DNS said is asked again
  const auto looked = world.start("a.example");
  REQUIRE(world.until([&] { return looked->done; }));
  CHECK(world.dns.count("mx.provider.example A") == 2);
}

TEST_CASE("DANE-38: addresses are kept within their TTL, with what is left of it; failures and long answers are not") {
  support::Loop loop;
  support::FakeResolver dns("mx.example A 192.0.2.1\n_25._tcp.mx.example TLSA 3 1 1 aa");
  for (int i = 0; i < 40; ++i) dns.add("many.example A 192.0.2." + std::to_string(i));
  dns.fail["broken.example A"] = "SERVFAIL";
  Answers answers(dns);
  const auto ask = [&](const char* host, dns::Type type) { return loop.run(answers.find(name(host), type)); };
  CHECK(ask("mx.example", dns::Type::a).ttl == 60s);
  const dns::Answer again = ask("mx.example", dns::Type::a);
  CHECK(again.ttl < 60s);
  CHECK(again.ttl >= 50s);
  CHECK(again.records.size() == 1);
  CHECK(dns.count("mx.example A") == 1);
  for (int i = 0; i < 2; ++i) {
    ask("mx.example", dns::Type::aaaa);  // that there is none
    ask("many.example", dns::Type::a);
    ask("broken.example", dns::Type::a);
    ask("_25._tcp.mx.example", dns::Type::tlsa);
  }
  CHECK(dns.count("mx.example AAAA") == 1);
  CHECK(dns.count("many.example A") == 2);
  CHECK(dns.count("broken.example A") == 2);
  CHECK(dns.count("_25._tcp.mx.example TLSA") == 2);
  CHECK(answers.size() == 2);
  answers.clear();
  dns.ttl = 0s;
  for (int i = 0; i < 2; ++i) ask("mx.example", dns::Type::a);
  CHECK(dns.count("mx.example A") == 3);
  dns.ttl = 60s;
  dns.broken_validation = "it does not work";
  for (int i = 0; i < 2; ++i) ask("mx.example", dns::Type::a);
  CHECK(answers.size() == 0);
}

TEST_CASE("DANE-38: what was asked before everything was forgotten is not kept after it") {
  support::Loop loop;
  support::MemoryLog log;
  support::FakeResolver dns("mx.example A 192.0.2.1");
  Held held(dns);
  Answers answers(held);
  net::TaskGroup tasks(loop.executor(), log);
  tasks.spawn("ask", [](Answers& of) -> boost::asio::awaitable<void> {
    co_await of.find(name("mx.example"), dns::Type::a);
  }(answers));
  while (held.open().empty()) loop.io().run_one_for(5ms);
  answers.clear();
  held.release_all();
  while (tasks.size() > 0) loop.io().run_one_for(5ms);
  CHECK(answers.size() == 0);
}

}  // namespace hoplock::route::route_beside_test
