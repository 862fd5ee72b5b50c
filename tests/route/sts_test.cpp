// SPDX-License-Identifier: Apache-2.0
// MTA-STS policies as deliveries meet them: RFC 8461 sections 3.1, 3.3, 5.1.
#include "tests/route/sts_world.h"

#include "net/task_group.h"

namespace hoplock::route::route_sts_test {

using namespace testing;

TEST_CASE("STS-14: the first contact waits for the fetch, and what it brought is in force") {
  StsWorld world;
  world.publish("20261121", policy("enforce"));
  const auto fact = world.find();
  CHECK(fact.state == StsState::live);
  CHECK(fact.id == "20261121");
  CHECK(fact.policy == mtasts::parse_policy(policy("enforce")).value());
  CHECK_FALSE(fact.problem.has_value());
  CHECK(world.row()->text == policy("enforce"));  // verbatim
  CHECK(fact.text == policy("enforce"));
  const auto events = world.log.events("sts-policy");
  REQUIRE(events.size() == 1);
  const std::string line = to_logfmt(events[0], Time{});
  CHECK(line.find(
            "event=sts-policy domain=example.org action=fetched id=20261121 mode=enforce max_age=86400 expires=20") !=
        std::string::npos);
  CHECK(line.find("error") == std::string::npos);
}

TEST_CASE(
    "STS-28: the same id asks nothing of the policy host; another id does, and the old policy holds until that "
    "succeeds") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  world.find();
  CHECK(world.fetch.asked.size() == 1);
  CHECK(world.dns.count("_mta-sts.example.org TXT") == 2);  // every attempt looks at the id
  world.say("2");
  world.block_https();
  auto fact = world.find();
  CHECK(mode_of(fact) == "enforce");
  CHECK(fact.id == "1");
  CHECK(fact.problem->reason == Reason::sts_policy_fetch_error);  // STS-37
  CHECK(world.fetch.asked.size() == 2);
  world.publish("3", policy("testing"));
  fact = world.find();  // STS-12: 5 minutes, whatever the id
  CHECK(mode_of(fact) == "enforce");
  CHECK(world.fetch.asked.size() == 2);
  world.age(Seconds(301));
  fact = world.find();
  CHECK(mode_of(fact) == "testing");
  CHECK(fact.id == "3");
  CHECK_FALSE(fact.problem.has_value());
  CHECK(world.actions() == "fetched failed fetched");
}

TEST_CASE("STS-28: within the TXT record's time nobody is asked again") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.dns.ttl = std::chrono::seconds{60};
  for (int i = 0; i < 3; ++i) CHECK(mode_of(world.find()) == "enforce");
  CHECK(world.dns.count("_mta-sts.example.org TXT") == 1);
  CHECK(world.fetch.asked.size() == 1);
}

TEST_CASE(
    "STS-12, STS-13: without a policy that can be fetched mail goes on as without MTA-STS, and fetches wait their "
    "time") {
  for (const auto reason : {Reason::sts_policy_fetch_error, Reason::sts_webpki_invalid}) {
    StsWorld world;
    world.block_https(reason);
    for (int i = 0; i < 3; ++i) {
      const auto fact = world.find();
      CHECK(fact.state == StsState::none);
      CHECK(fact.problem->reason == reason);  // also of the attempts that do not fetch
    }
    CHECK(world.fetch.asked.size() == 1);
    world.restart();  // a restart is no way around it
    world.find();
    CHECK(world.fetch.asked.size() == 1);
    for (int i = 0; i < 20; ++i) {
      world.say("id" + std::to_string(i));  // nor are changing ids
      world.find();
    }
    CHECK(world.fetch.asked.size() == 1);
    world.age(Seconds(301));
    world.find();
    CHECK(world.fetch.asked.size() == 2);
    CHECK(world.actions(Level::warn) == "failed");  // told once
  }
}

TEST_CASE("STS-16: an invalid policy is none, and its event says what is wrong with it") {
  StsWorld world;
  world.publish("1", "version: STSv1\nmode: strict\nmx: mx.example.org\nmax_age: 86400\n");
  const auto fact = world.find();
  CHECK(fact.state == StsState::none);
  CHECK(fact.problem->reason == Reason::sts_policy_invalid);
  CHECK(world.last_event().get("error").find("sts-policy-invalid: ") == 0);
  CHECK(world.last_event().get("error").find("mode") != std::string::npos);
}

TEST_CASE("STS-31: a refresh that fails or brings nonsense leaves the live policy in force") {
  const std::vector<FetchedText> bad = {"<html>under construction</html>", "", std::string(70000, 'x'),
                                        hop::Refusal{Reason::sts_webpki_invalid, "expired"},
                                        hop::Refusal{Reason::sts_policy_fetch_error, "404"}};
  for (const auto& answer : bad) {
    StsWorld world;
    world.publish("1", policy("enforce"));
    world.find();
    world.say("2");
    world.fetch.answers["example.org"] = answer;
    CHECK(mode_of(world.find()) == "enforce");
    const Event event = world.last_event();
    CHECK(event.level() == Level::warn);
    CHECK(event.get("action") == "failed");
    CHECK(event.get("mode") == "enforce");
    CHECK(event.get("error").find("stays in force until 20") != std::string::npos);
    world.restart();
    CHECK(mode_of(world.find()) == "enforce");
  }
}

TEST_CASE("STS-31: an expired policy is not used") {
  StsWorld world;
  world.publish("1", policy("enforce", "mx.example.org", 3600));
  world.find();
  world.block_https();
  world.age(Seconds(3599));
  CHECK(mode_of(world.find()) == "enforce");
  world.age(Seconds(2));
  CHECK(world.find().state == StsState::none);
  CHECK(world.fetch.asked.size() == 2);  // it was tried
}

TEST_CASE("STS-29: an unchanged id does not make a policy live longer; only a fetch does") {
  StsWorld world;
  world.publish("1", policy("enforce", "mx.example.org", 3600));
  world.find();
  world.age(Seconds(1800));
  const Time expires = mtasts::expires(*world.row()->freshness.held);
  world.find();
  CHECK(mtasts::expires(*world.row()->freshness.held) == expires);
  world.age(Seconds(1801));
  CHECK(mode_of(world.find()) == "enforce");  // fetched anew under the same id
  CHECK(world.fetch.asked.size() == 2);
  CHECK(world.actions() == "fetched fetched");
}

TEST_CASE("STS-30: a TXT record that is gone, doubled or broken does not cancel a live policy") {
  for (const char* records : {"", "v=STSv1; id=2;|v=STSv1; id=3;", "v=STSv1; id=;", "v=STSv2; id=9;"}) {
    CAPTURE(std::string(records));
    StsWorld world;
    world.publish("1", policy("enforce"));
    world.find();
    world.say("");
    for (const auto& one : split(records, '|')) {
      if (!one.empty()) world.dns.add("_mta-sts.example.org TXT " + std::string(one));
    }
    CHECK(mode_of(world.find()) == "enforce");
    CHECK(world.fetch.asked.size() == 1);
    world.restart();
    CHECK(mode_of(world.find()) == "enforce");
  }
}

TEST_CASE("STS-06: a TXT look-up that fails is not 'no record': the live policy holds, and without one nobody knows") {
  struct Row {
    bool bogus;
    Reason reason;
  };
  for (const Row& row : {Row{true, Reason::dnssec_invalid}, Row{false, Reason::dns_failure}}) {
    StsWorld world;
    world.publish("1", policy("enforce"));
    auto& failures = row.bogus ? world.dns.bogus : world.dns.fail;
    failures["_mta-sts.example.org TXT"] = "no luck";
    auto fact = world.find();
    CHECK(fact.state == StsState::unknown);
    CHECK(fact.problem->reason == row.reason);
    CHECK(fact.problem->text.find("no luck") != std::string::npos);
    CHECK(hop::after_waiting(fact, Seconds(899)).state == StsState::unknown);
    CHECK(hop::after_waiting(fact, Seconds(900)).state == (row.bogus ? StsState::unknown : StsState::none));
    failures.clear();
    world.restart();  // what DNS said is kept for some seconds
    CHECK(mode_of(world.find()) == "enforce");
    failures["_mta-sts.example.org TXT"] = "no luck";
    world.restart();
    CHECK(mode_of(world.find()) == "enforce");
  }
}

TEST_CASE("STS-27: mode none replaces enforce at once, and is kept") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  world.publish("2", "version: STSv1\nmode: none\nmax_age: 86400\n");
  CHECK(mode_of(world.find()) == "none");
  world.restart();
  CHECK(mode_of(world.find()) == "none");
  CHECK(world.fetch.asked.size() == 2);
}

TEST_CASE("STS-17: a max_age of 0 governs the attempt that fetched it, and leaves nothing behind") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.find();
  world.publish("2", policy("enforce", "mx.example.org", 0));
  const auto fact = world.find();
  CHECK(mode_of(fact) == "enforce");
  CHECK(fact.id == "2");
  CHECK_FALSE(world.row().has_value());
  CHECK(mode_of(world.find()) == "enforce");  // fetched anew
  CHECK(world.fetch.asked.size() == 3);
  world.block_https();
  CHECK(world.find().state == StsState::none);
}

TEST_CASE(
    "STS-01, STS-03: the record is that of the domain, at _mta-sts below it; strings are joined, aliases followed") {
  StsWorld world(
      "_mta-sts.a.example CNAME sts.hosted.example\nsts.hosted.example TXT v=STSv1; id=7;\n"
      "www.example CNAME a.example\n_mta-sts.example TXT v=STSv1; id=1;");
  world.fetch.answers["a.example"] = policy("enforce");
  world.fetch.answers["example"] = policy("enforce");
  CHECK(world.find("a.example").id == "7");
  CHECK(world.find("www.example").state == StsState::none);  // neither its alias's end nor its parent
  CHECK(world.fetch.asked == std::vector<std::string>{"a.example"});
}

TEST_CASE("STS-14: everybody who asks while a fetch is under way shares it") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.fetch.delay = std::chrono::milliseconds{50};
  std::size_t live = 0;
  const auto one = [](StsWorld& at, std::size_t& count) -> boost::asio::awaitable<void> {
    const auto fact = co_await at.ask(name("example.org"));
    if (fact.state == StsState::live) ++count;
  };
  for (int i = 0; i < 25; ++i) world.loop.start(one(world, live));
  world.loop.run_all();
  CHECK(live == 25);
  CHECK(world.fetch.asked.size() == 1);
}

TEST_CASE("STS-17: what expires at once governs all who waited for it, and is fetched once for them") {
  StsWorld world;
  world.publish("1", policy("enforce", "mx.example.org", 0));
  world.fetch.delay = std::chrono::milliseconds{50};
  std::size_t live = 0;
  const auto one = [](StsWorld& at, std::size_t& count) -> boost::asio::awaitable<void> {
    const auto fact = co_await at.ask(name("example.org"));
    if (fact.state == StsState::live) ++count;
  };
  for (int i = 0; i < 25; ++i) world.loop.start(one(world, live));
  world.loop.run_all();
  CHECK(live == 25);
  CHECK(world.fetch.asked.size() == 1);
}

TEST_CASE("STS-11: fetches of many domains at once are bounded, and all come to their turn") {
  StsWorld world("");
  world.fetch.delay = std::chrono::milliseconds{5};
  std::size_t live = 0;
  const auto one = [](StsWorld& at, std::string domain, std::size_t& count) -> boost::asio::awaitable<void> {
    dns::Name asked = name(domain);
    const auto fact = co_await at.ask(std::move(asked));
    if (fact.state == StsState::live) ++count;
  };
  for (int i = 0; i < 200; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    world.dns.add("_mta-sts." + domain + " TXT v=STSv1; id=1;");
    world.fetch.answers[domain] = policy("enforce");
    world.loop.start(one(world, domain, live));
  }
  world.loop.run_all();
  CHECK(live == 200);
  CHECK(world.fetch.most_at_once == 50);
}

TEST_CASE("STS-14: an attempt that is cut off while it fetches leaves the fetch to those who wait with it") {
  StsWorld world;
  world.publish("1", policy("enforce"));
  world.fetch.delay = std::chrono::milliseconds{200};
  net::TaskGroup cut(world.loop.executor(), world.log);
  const auto one = [](StsWorld& at) -> boost::asio::awaitable<void> { co_await at.ask(name("example.org")); };
  cut.spawn("first", one(world));
  hop::StsFact fact;
  const auto second = [](StsWorld& at, net::TaskGroup& first, hop::StsFact& into) -> boost::asio::awaitable<void> {
    while (at.fetch.asked.empty()) co_await StsWorld::pause(std::chrono::milliseconds{1});
    first.stop();
    into = co_await at.ask(name("example.org"));
  };
  world.loop.run(second(world, cut, fact));
  CHECK(fact.state == StsState::live);
  CHECK(world.fetch.asked.size() == 2);
}

TEST_CASE("STS-06: a domain whose record never answers delays the messages of its first 15 minutes, not every one") {
  StsWorld world;
  world.dns.fail["_mta-sts.example.org TXT"] = "timed out";
  CHECK(world.find().unknown_for < Seconds{15});
  hop::StsFact fact = world.find();
  CHECK(hop::after_waiting(fact, Seconds{0}).state == hop::StsFact::State::unknown);
  fact.unknown_for = hop::sts_patience;
  CHECK(hop::after_waiting(fact, Seconds{0}).state == StsState::none);
  fact.problem = hop::Refusal{Reason::dnssec_invalid, "bogus"};  // never
  CHECK(hop::after_waiting(fact, Seconds{0}).state == hop::StsFact::State::unknown);
}

TEST_CASE(
    "how long a record could not be had counts from the first failure, until one answer comes; bogus ones count for "
    "nothing") {
  StsWorld world;
  world.dns.fail["_mta-sts.example.org TXT"] = "timed out";
  world.find();
  world.loop.run(StsWorld::pause(std::chrono::milliseconds{1100}));
  world.cache->reload({});  // a reload asks anew, and waits anew
  CHECK(world.find().unknown_for == Seconds{0});
  world.loop.run(StsWorld::pause(std::chrono::milliseconds{6100}));  // failures are kept for seconds
  CHECK(world.find().unknown_for >= Seconds{6});
  world.dns.fail.clear();
  world.loop.run(StsWorld::pause(std::chrono::milliseconds{5100}));
  CHECK(world.find().state != hop::StsFact::State::unknown);
  world.dns.bogus["_mta-sts.example.org TXT"] = "bogus";
  CHECK(world.find().unknown_for == Seconds{0});
}

TEST_CASE("fifty policy hosts that are slow do not keep the policy of another domain from being fetched") {
  StsWorld world("");
  world.fetch.delay = std::chrono::seconds{20};
  net::TaskGroup tasks(world.loop.executor(), world.log);
  const auto ask = [](StsWorld& in, std::string domain) -> boost::asio::awaitable<void> {
    co_await in.ask(name(domain));
  };
  for (int i = 0; i < 60; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    world.dns.add("_mta-sts." + domain + " TXT v=STSv1; id=1;");
    tasks.spawn("find", ask(world, domain));
  }
  world.loop.run(StsWorld::pause(std::chrono::milliseconds{200}));
  world.fetch.delay = std::chrono::milliseconds{0};
  world.publish("1", policy("enforce"));
  const auto began = std::chrono::steady_clock::now();
  CHECK(mode_of(world.find()) == "enforce");
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds{6});
  tasks.stop();
  world.loop.run(tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds{2}));
}

}  // namespace hoplock::route::route_sts_test
