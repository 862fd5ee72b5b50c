// SPDX-License-Identifier: Apache-2.0
// What a host that misbehaves, or a fault of ours, may cost whom.
#include <doctest/doctest.h>

#include "tests/delivery/relay.h"

namespace delivery_attempt_faults_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

void two_hosts(Relay& relay, const char* second = "127.0.0.3") {
  relay.dns.add("a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\nmx1.a.test A 127.0.0.2");
  relay.dns.add(std::string("mx2.a.test A ") + second);
}

// Waits for the line, which comes when what it tells is stored.
std::string event_of(Relay& relay, const char* name, const char* to, const char* key) {
  std::string found = "none";
  relay.until(
      [&] {
        for (const Event& event : relay.log.events(name))
          if (event.get("to") == to) found = std::string(event.get(key));
        return found != "none";
      },
      2s);
  return found;
}

}  // namespace

TEST_CASE("a fault of ours after a host took some recipients defers the others only") {
  Relay relay;
  Sink& sink = relay.sink();
  two_hosts(relay);
  relay.dns.secure = {"mx2.a.test"};
  const std::string at_its_turn = "_" + std::to_string(relay.port) + "._tcp.mx2.a.test TLSA 3 1 1 nonsense";
  sink.answer = [&](const std::string& command) {
    if (command == ".") relay.dns.add(at_its_turn);  // what is looked up at the second host's turn throws
    return std::string(command.starts_with("RCPT TO:<later@") && sink.messages == 0 ? "451 4.2.0 later\r\n" : "");
  };
  relay.put({"now@a.test", "later@a.test"});
  relay.start();
  REQUIRE(relay.until([&] { return relay.scheduler->counts().deferred > 0; }));
  CHECK(relay.log.events("internal-error").size() == 1);
  CHECK(relay.scheduler->counts().delivered == 1);
  CHECK(event_of(relay, "deferred", "later@a.test", "dsn") == "4.3.0");
  CHECK(relay.until([&] { return relay.scheduler->counts().delivered == 2; }));
  CHECK(sink.recipients.at("now@a.test") == 1);
}

TEST_CASE("a server that ends the session at the second recipient gets each in a transaction of its own, at once") {
  for (const bool word : {true, false}) {
    for (const bool pipelining : {true, false}) {
      CAPTURE(word);
      CAPTURE(pipelining);
      Relay relay;
      relay.options.retry.first = 1h;
      Sink& sink = relay.sink();
      sink.pipelining = pipelining;
      relay.domain("a.test");
      int rcpts = 0;
      sink.answer = [&](const std::string& command) {
        if (command.starts_with("MAIL")) rcpts = 0;
        const bool second = command.starts_with("RCPT") && ++rcpts == 2;
        return std::string(!second ? "" : word ? "421 4.5.3 one at a time" : "\r\n");
      };
      relay.put({"one@a.test", "two@a.test", "three@a.test"});
      relay.start();
      CHECK(relay.until([&] { return relay.scheduler->counts().delivered == 3; }));
      CHECK(sink.messages == 3);
      CHECK(sink.twice() == 0);
    }
  }
}

TEST_CASE("a recipient at whom the server ends the session keeps nobody else of its message") {
  Relay relay;
  relay.options.retry.first = 1h;
  Sink& sink = relay.sink();
  relay.domain("a.test");
  sink.answer = [](const std::string& command) {
    return std::string(command.starts_with("RCPT TO:<poison@") ? "421 4.3.0 ouch" : "");
  };
  relay.put({"one@a.test", "poison@a.test", "three@a.test"});
  relay.start();
  CHECK(
      relay.until([&] { return relay.scheduler->counts().delivered == 2 && relay.scheduler->counts().deferred == 1; }));
  CHECK(event_of(relay, "deferred", "poison@a.test", "reply") == "421 4.3.0 ouch");
}

TEST_CASE("MX-24: 521 ends it when no other host is left, in the server's words or with 5.3.2") {
  const struct {
    const char* banner;
    const char* dsn;
  } rows[] = {{"521 mail is not for us", "5.3.2"}, {"521 5.7.1 go away", "5.7.1"}};
  for (const auto& row : rows) {
    for (const bool other : {false, true}) {
      CAPTURE(row.dsn);
      CAPTURE(other);
      Relay relay;
      Sink& sink = relay.sink();
      if (other) {
        two_hosts(relay, "127.0.0.9");  // nobody there, for now
      } else {
        relay.domain("a.test");
      }
      sink.answer = [&row](const std::string& command) { return std::string(command.empty() ? row.banner : ""); };
      relay.put({"bob@a.test"});
      relay.start();
      if (other) {
        REQUIRE(relay.until([&] { return relay.scheduler->counts().deferred == 1; }));
        CHECK(event_of(relay, "deferred", "bob@a.test", "reason") == "connect-refused");
      } else {
        REQUIRE(relay.until([&] { return relay.scheduler->counts().bounced == 1; }));
        CHECK(event_of(relay, "bounced", "bob@a.test", "dsn") == row.dsn);
        CHECK(event_of(relay, "bounced", "bob@a.test", "reply") == row.banner);
      }
    }
  }
}

// Three recipients were bounced with the words for one of them, two of whom the server had said 250 to.
TEST_CASE(
    "MX-24: 521 to RCPT is of that recipient alone: the others get their mail, he goes to the next host or bounces") {
  for (const bool pipelining : {true, false}) {
    for (const bool other : {false, true}) {
      CAPTURE(pipelining);
      CAPTURE(other);
      Relay relay;
      relay.options.retry.first = 1h;
      Sink& sink = relay.sink();
      sink.pipelining = pipelining;
      sink.answer = [](const std::string& command) {
        return std::string(command.starts_with("RCPT TO:<poison@") ? "521 5.7.1 no\r\n" : "");
      };
      if (other) {
        two_hosts(relay);
      } else {
        relay.domain("a.test");
      }
      Sink* second = other ? &relay.sink("127.0.0.3") : nullptr;
      relay.put({"good1@a.test", "poison@a.test", "good2@a.test"});
      relay.start();
      CHECK(event_of(relay, "delivered", "good1@a.test", "reply") == "250 taken");
      CHECK(event_of(relay, "delivered", "good2@a.test", "reply") == "250 taken");
      CHECK(sink.recipients.size() == 2);
      CHECK(sink.twice() == 0);
      if (second != nullptr) {
        CHECK(event_of(relay, "delivered", "poison@a.test", "reply") == "250 taken");
        CHECK(second->recipients.size() == 1);
      } else {
        CHECK(event_of(relay, "bounced", "poison@a.test", "reply") == "521 5.7.1 no");
        CHECK(event_of(relay, "bounced", "poison@a.test", "dsn") == "5.7.1");
      }
    }
  }
}

TEST_CASE("MX-25: mail that can do without a parameter which the server refuses is sent without it") {
  Relay relay;
  Sink& sink = relay.sink();
  relay.domain("a.test");
  std::vector<std::string> mails;
  sink.answer = [&](const std::string& command) {
    if (command.starts_with("EHLO")) return std::string("250-sink\r\n250 SIZE 1000000\r\n");
    if (command.starts_with("MAIL")) mails.push_back(command);
    return std::string(command.find(" SIZE=") != std::string::npos ? "555 5.5.4 no\r\n" : "");
  };
  relay.put({"bob@a.test"});
  relay.start();
  CHECK(relay.until([&] { return relay.scheduler->counts().delivered == 1; }));
  REQUIRE(mails.size() == 2);
  CHECK(mails[1] == "MAIL FROM:<alice@example.net>\r\n");
}

TEST_CASE("MX-22: what a session still had to say costs the next message nothing but a new session") {
  Relay relay;
  Sink& sink = relay.sink();
  relay.domain("a.test");
  relay.options.sessions = 1;
  relay.options.idle_session = 5s;
  sink.answer = [&](const std::string& command) {
    if (command == ".") return std::string("250 taken\r\n250 taken again\r\n");
    return std::string(command.starts_with("RCPT TO:<bad@") ? "550 5.1.1 no\r\n" : "");
  };
  relay.put({"first@a.test"});
  relay.start();
  REQUIRE(relay.until([&] { return relay.scheduler->counts().delivered == 1; }));
  relay.put({"good@a.test", "bad@a.test"});
  REQUIRE(
      relay.until([&] { return relay.scheduler->counts().delivered == 2 && relay.scheduler->counts().bounced == 1; }));
  CHECK(event_of(relay, "bounced", "bad@a.test", "dsn") == "5.1.1");
  CHECK(sink.recipients.count("good@a.test") == 1);
  CHECK(sink.twice() == 0);
  CHECK(sink.connections == 2);
}

}  // namespace delivery_attempt_faults_test
