// SPDX-License-Identifier: Apache-2.0
#include "delivery/scheduler.h"

#include <doctest/doctest.h>

#include "tests/delivery/relay.h"
#include "tests/support/faulty_vfs.h"

namespace delivery_scheduler_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

TEST_CASE("what is accepted is delivered, once, and leaves the queue") {
  Relay relay;
  Sink& sink = relay.sink();
  relay.domain("a.example");
  relay.start();
  relay.put({"bob@a.example", "eve@a.example"});
  REQUIRE(relay.until([&] { return relay.scheduler->counts().delivered == 2 && relay.queue->active().empty(); }));
  CHECK(sink.messages == 1);  // MX-13: one transaction
  CHECK(sink.recipients == std::map<std::string, int>{{"bob@a.example", 1}, {"eve@a.example", 1}});
  CHECK(sink.last_body.find("hello\r\n") != std::string::npos);
  CHECK(relay.list().empty());
  CHECK(relay.log.events("delivered").size() == 2);
}

TEST_CASE("what waited before the start is found, and nothing is done at rest") {
  Relay relay;
  Sink& sink = relay.sink();
  relay.domain("a.example");
  relay.put_many(50, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 50; }));
  REQUIRE(relay.until([&] { return relay.scheduler->counts().workers == 0; }));
  const auto before = relay.scheduler->counts().idle_count;
  relay.pass(500ms);
  CHECK(relay.scheduler->counts().idle_count - before <= 1);
  CHECK(before < 30);
}

TEST_CASE("sessions are reused for waiting mail to the same hop, and closed after messages_per_session") {
  Relay relay;
  Sink& sink = relay.sink();
  relay.domain("a.example");
  relay.options.sessions_per_domain = 1;
  relay.options.messages_per_session = 10;
  relay.put_many(25, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 25; }));
  CHECK(sink.connections == 3);
}

TEST_CASE("workers grow with the backlog up to the limit of the destination, and go when it is through") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 3ms;
  relay.domain("a.example");
  relay.options.sessions_per_domain = 5;
  relay.put_many(300, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 300; }));
  CHECK(sink.most_open == 5);
  CHECK(relay.until([&] { return relay.scheduler->counts().workers == 0 && sink.open == 0; }));
  CHECK(sink.twice() == 0);
}

TEST_CASE("no more sessions in all than the limit, and every destination has its turn") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 1ms;
  relay.options.sessions = 4;
  relay.options.idle_session = 5s;  // idle sessions must give way long before
  for (int i = 0; i < 40; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    relay.domain(domain);
    relay.put_many(3, domain);
  }
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 120; }));
  CHECK(sink.most_open <= 4);
  CHECK(sink.twice() == 0);
}

TEST_CASE("a large destination does not keep the sessions from a small one") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 2ms;
  relay.domain("large.example");
  relay.domain("small.example");
  relay.options.sessions = 3;
  relay.put_many(2000, "large.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.most_open == 3; }));
  relay.put({"bob@small.example"});
  REQUIRE(relay.until([&] { return sink.recipients.contains("bob@small.example"); }, 3s));
  CHECK(sink.messages < 1500);
}

TEST_CASE("a destination that is down backs off as a destination: one knock, and nobody else waits") {
  Relay relay;
  Sink& good = relay.sink("127.0.0.2");
  Sink& dead = relay.sink("127.0.0.3");
  dead.answer = [](const std::string&) { return std::string("421 4.3.2 not now"); };
  relay.domain("dead.example", "127.0.0.3");
  relay.domain("good.example", "127.0.0.2");
  relay.put_many(20'000, "dead.example");
  relay.options.retry.first = 60s;
  relay.start();
  REQUIRE(relay.until([&] { return dead.connections > 0; }));
  relay.put_many(100, "good.example");
  REQUIRE(relay.until([&] { return good.messages == 100; }, 3s));
  relay.pass(500ms);
  CHECK(dead.connections <= 2);
  CHECK(relay.log.events("deferred").size() <= 2);
  CHECK(relay.scheduler->counts().idle_count < 100);
}

TEST_CASE("when the hold ends one message knocks; when it gets through the others follow") {
  Relay relay;
  Sink& sink = relay.sink();
  bool down = true;
  sink.answer = [&down](const std::string&) { return std::string(down ? "421 4.3.2 not now" : ""); };
  relay.domain("a.example");
  relay.options.retry.first = 300ms;
  relay.options.retry.factor = 1;
  relay.put_many(500, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.connections >= 3; }));
  CHECK(relay.log.events("deferred").size() <= 3);
  down = false;
  REQUIRE(relay.until([&] { return sink.messages == 500; }));
  CHECK(sink.twice() == 0);
  REQUIRE(relay.until([&] { return relay.list().empty(); }));
  const auto hold = relay.loop.run(relay.queue->backoff("a.example"));
  CHECK_FALSE(hold.value());
}

TEST_CASE("holds grow from failure to failure, and are kept over a restart") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.answer = [](const std::string&) { return std::string("421 4.3.2 not now"); };
  relay.domain("a.example");
  relay.options.retry.first = 100ms;
  relay.options.retry.factor = 30;
  relay.put_many(10, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.connections == 2; }));
  relay.pass(100ms);
  relay.restart();
  relay.pass(600ms);
  CHECK(sink.connections == 2);
  const auto hold = relay.loop.run(relay.queue->backoff("a.example")).value();
  REQUIRE(hold);
  CHECK(hold->failures == 2);
  CHECK(hold->status == "4.3.2");
  CHECK(hold->reason == "smtp-reply");
}

TEST_CASE("one session too many is no sign that the destination is down") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 2ms;
  sink.answer = [&sink](const std::string& command) {
    return std::string(command.empty() && sink.open > 3 ? "421 4.7.0 too many connections" : "");
  };
  relay.domain("a.example");
  relay.put_many(400, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 400; }));
  CHECK(relay.log.events("deferred").empty());
  CHECK(sink.connections < 20);
  CHECK(sink.twice() == 0);
}

TEST_CASE("MX-11: a deferred recipient comes again when its time has come, others of its message do not") {
  Relay relay;
  Sink& sink = relay.sink();
  int asked = 0;
  sink.answer = [&asked](const std::string& command) {
    return std::string(command.starts_with("RCPT TO:<grey@") && ++asked <= 2 ? "450 4.7.1 later\r\n" : "");
  };
  relay.domain("a.example");
  relay.options.retry.first = 200ms;
  relay.put({"bob@a.example", "grey@a.example"});
  const auto began = std::chrono::steady_clock::now();
  relay.start();
  REQUIRE(relay.until([&] { return sink.recipients.contains("grey@a.example"); }));
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(took >= 600ms);  // 200 and then 400
  CHECK(took < 1500ms);
  CHECK(sink.recipients == std::map<std::string, int>{{"bob@a.example", 1}, {"grey@a.example", 1}});
  CHECK(relay.log.events("deferred").size() == 2);
}

TEST_CASE("a retry comes in time also where mail keeps its destination busy") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 1ms;
  int asked = 0;
  sink.answer = [&asked](const std::string& command) {
    return std::string(command.starts_with("RCPT TO:<grey@") && ++asked <= 1 ? "450 4.7.1 later\r\n" : "");
  };
  relay.domain("a.example");
  relay.options.sessions_per_domain = 2;
  relay.options.retry.first = 200ms;
  relay.put({"grey@a.example"});
  relay.start();
  std::size_t n = 0;
  const auto began = std::chrono::steady_clock::now();
  while (!sink.recipients.contains("grey@a.example") && std::chrono::steady_clock::now() - began < 3s) {
    relay.put({"u" + std::to_string(n++) + "@a.example"});
  }
  CHECK(sink.recipients.contains("grey@a.example"));
}

TEST_CASE("a retry comes in time also when routes were reloaded while its destination had other mail") {
  Relay relay;
  Sink& sink = relay.sink();
  int asked = 0;
  sink.answer = [&asked](const std::string& command) {
    return std::string(command.starts_with("RCPT TO:<grey@") && ++asked <= 1 ? "450 4.7.1 later\r\n" : "");
  };
  relay.domain("a.example");
  relay.options.retry.first = 500ms;
  relay.put({"grey@a.example"});
  relay.start();
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
  sink.delay = 10ms;
  relay.put({"bob@a.example"});
  relay.loop.run(relay.queue->reroute(wall())).value();
  relay.scheduler->notify();
  CHECK(relay.until([&] { return sink.recipients.contains("grey@a.example"); }, 2s));
}

TEST_CASE("what waited behind a hold until its time was over expires with the destination's failure") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.answer = [](const std::string&) { return std::string("421 4.3.2 not now"); };
  relay.domain("a.example");
  relay.options.retry.first = 60s;
  relay.options.expire = 1s;
  relay.put_many(70, "a.example");
  relay.pass(1100ms);
  relay.put({"young@a.example"});
  relay.start();
  REQUIRE(relay.until([&] { return relay.scheduler->counts().expired == 70; }));
  CHECK(sink.connections == 1);
  REQUIRE(relay.until([&] { return relay.log.events("expired").size() == 70; }));
  for (const Event& event : relay.log.events("expired")) CHECK(event.get("dsn") == "4.3.2");
  CHECK(relay.until([&] { return relay.list().size() == 1; }));  // the young one
}

TEST_CASE("a store that fails stalls sending, and nothing is sent twice when it works again") {
  support::FaultyVfs faulty;
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 1ms;
  relay.domain("a.example");
  relay.options.sessions_per_domain = 4;
  relay.put_many(600, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages >= 20; }));
  faulty.plan().error = 13;  // SQLITE_FULL
  faulty.plan().writes_until_failure = 0;
  REQUIRE(relay.until([&] { return relay.scheduler->counts().stalled; }));
  relay.pass(300ms);
  const std::size_t sent = sink.messages;
  relay.pass(1500ms);
  CHECK(sink.messages == sent);
  CHECK(sent < 400);
  CHECK(relay.log.events("store-failed").size() == 1);
  faulty.heal();
  REQUIRE(relay.until([&] { return sink.messages == 600; }));
  CHECK(sink.twice() == 0);
  CHECK(relay.log.events("store-recovered").size() == 1);
  CHECK(relay.until([&] { return relay.list().empty(); }));
}

TEST_CASE(
    "SUB-29: while the disk hangs no final dot is sent a second after the oldest unstored result: a crash sends it "
    "again") {
  support::FaultyVfs faulty;
  Relay relay;
  Sink& sink = relay.sink();
  relay.domain("a.example");
  relay.options.sessions_per_domain = 4;
  std::size_t asked = 0;
  // the first few are quick; then each server lets its client wait for the content's turn, longer than a result may wait to be stored
  sink.answer = [&](const std::string& command) {
    if (command.starts_with("DATA")) ++asked;
    sink.delay = command.starts_with("DATA") && asked > 8 ? 1600ms : 5ms;
    return std::string();
  };
  relay.put_many(20, "a.example");
  relay.put({"large@a.example"}, "Subject: x\r\n\r\n" + std::string(300'000, 'x') + "\r\n");
  relay.start();
  REQUIRE(relay.until([&] { return asked >= 9; }));
  support::FaultyVfs::Hang hang(faulty);
  REQUIRE(relay.until([&] { return faulty.plan().hanging > 0; }));
  relay.pass(1050ms);
  const std::size_t sent = sink.messages;
  relay.pass(2500ms);
  CHECK(sink.messages == sent);
  hang.release();
  CHECK(relay.until([&] { return sink.messages == 21; }, 40s));
  CHECK(sink.twice() == 0);
  CHECK(relay.log.events("deferred").empty());
}

TEST_CASE("stop while busy loses nothing, and lets what is under way end") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 2ms;
  relay.domain("a.example");
  relay.put_many(300, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages >= 50; }));
  relay.stop();
  const std::size_t sent = sink.messages;
  CHECK(sent < 300);
  CHECK(relay.list().size() == 300 - sent);
  CHECK(relay.log.events("internal-error").empty());
  relay.restart();
  REQUIRE(relay.until([&] { return sink.messages == 300; }));
  CHECK(sink.twice() == 0);
}

TEST_CASE("stop cuts off a server that says nothing, in time, and its message stays") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 1h;
  relay.domain("a.example");
  relay.put({"bob@a.example"});
  relay.start();
  REQUIRE(relay.until([&] { return sink.connections == 1; }));
  const auto began = std::chrono::steady_clock::now();
  relay.stop(200ms);
  CHECK(std::chrono::steady_clock::now() - began < 1900ms);
  REQUIRE(relay.list().size() == 1);
  CHECK(relay.list()[0].recipients[0].attempts == 0);
  CHECK(relay.log.events("internal-error").empty());
}

TEST_CASE("a bug in an attempt delays its mail, and only that") {
  Relay relay;
  Sink& sink = relay.sink();
  relay.domain("a.example");
  relay.domain("b.example");
  relay.dns.add("a.example MX nonsense");  // makes the fake throw
  relay.put({"bob@a.example"});
  relay.put({"eve@b.example"});
  relay.dns.bogus.clear();
  relay.start();
  REQUIRE(relay.until([&] { return sink.recipients.contains("eve@b.example"); }));
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
  const Event event = relay.log.events("deferred").at(0);
  CHECK(event.get("dsn") == "4.3.0");
  CHECK(event.get("reply") == "450 4.3.0 internal error");
  CHECK(relay.log.events("internal-error").size() == 1);
  relay.dns.remove("a.example MX");
  relay.domain("a.example");
  REQUIRE(relay.until([&] { return sink.recipients.contains("bob@a.example"); }));
}

}  // namespace delivery_scheduler_test
