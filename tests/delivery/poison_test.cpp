// SPDX-License-Identifier: Apache-2.0
// One bad recipient, sender or message, and everybody else's mail to the same hosts.
#include <doctest/doctest.h>

#include "delivery/setback.h"
#include "tests/delivery/relay.h"

namespace delivery_poison_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

bool is_rcpt(const std::string& command, const char* who) {
  return command.starts_with(std::string("RCPT TO:<") + who);
}

// How a server ends a session at what it dislikes; "\r\n" alone is a close without a word.
struct Row {
  const char* how;
  std::function<std::string(const std::string&)> answer;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"421 at RCPT",
       [](const std::string& c) {
         return std::string(is_rcpt(c, "poison") ? "421 4.3.0 cannot look that up now" : "");
       }},
      {"a close at RCPT", [](const std::string& c) { return std::string(is_rcpt(c, "poison") ? "\r\n" : ""); }},
  };
  return all;
}

}  // namespace

TEST_CASE("MX-21: where a server hangs up at one recipient, that one backs off alone, and others do not wait") {
  for (const Row& row : rows()) {
    CAPTURE(row.how);
    Relay relay;
    Sink& sink = relay.sink();
    sink.answer = row.answer;
    relay.domain("a.example");
    relay.options.retry.first = 400ms;
    relay.options.retry.factor = 3;
    relay.start();
    relay.put({"poison@a.example"});
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
    for (int i = 0; i < 8; ++i) {  // a busy domain
      const std::string to = "u" + std::to_string(i) + "@a.example";
      const auto began = std::chrono::steady_clock::now();
      relay.put({to});
      REQUIRE(relay.until([&] { return sink.recipients.contains(to); }));
      CHECK(std::chrono::steady_clock::now() - began < 300ms);
      relay.pass(250ms);
    }
    const auto deferred = relay.log.events("deferred");  // at 0, 0.4, 1.6 s
    CHECK(deferred.size() == 3);
    CHECK(deferred.back().get("attempt") == "3");
    CHECK_FALSE(relay.loop.run(relay.queue->backoff("a.example")).value());
  }
}

TEST_CASE("MX-21: the same on a quiet domain: new mail does not wait for the back-off of the bad one") {
  for (const Row& row : rows()) {
    CAPTURE(row.how);
    Relay relay;
    Sink& sink = relay.sink();
    sink.answer = row.answer;
    relay.domain("a.example");
    relay.options.retry.first = 10s;
    relay.start();
    relay.put({"poison@a.example"});
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
    relay.put({"good@a.example"});
    CHECK(relay.until([&] { return sink.recipients.contains("good@a.example"); }, 500ms));
  }
}

TEST_CASE("MX-21: at MAIL, DATA or the end of the content it is the message that backs off") {
  const Row stages[] = {
      {"421 at MAIL",
       [](const std::string& c) { return std::string(c.starts_with("MAIL FROM:<alice") ? "421 4.7.0 no" : ""); }},
      {"451 at DATA",
       [](const std::string& c) { return std::string(c.starts_with("DATA") ? "451 4.3.0 no\r\n" : ""); }},
      {"a close at DATA", [](const std::string& c) { return std::string(c.starts_with("DATA") ? "\r\n" : ""); }},
      {"421 at the end", [](const std::string& c) { return std::string(c == "." ? "421 4.3.0 no" : ""); }},
  };
  for (const Row& row : stages) {
    CAPTURE(row.how);
    Relay relay;
    Sink& sink = relay.sink();
    sink.answer = row.answer;
    relay.domain("a.example");
    relay.options.retry.first = 10s;
    relay.start();
    relay.put({"poison@a.example"});
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
    sink.answer = [](const std::string&) { return std::string(); };
    relay.put({"good@a.example"});
    CHECK(relay.until([&] { return sink.recipients.contains("good@a.example"); }, 500ms));
    CHECK_FALSE(sink.recipients.contains("poison@a.example"));
  }
}

TEST_CASE("MX-21: one of several recipients of a message: the others get it at once, without the bad one") {
  for (const Row& row : rows()) {
    for (const bool pipelining : {true, false}) {
      CAPTURE(row.how);
      CAPTURE(pipelining);
      Relay relay;
      Sink& sink = relay.sink();
      sink.pipelining = pipelining;
      sink.answer = row.answer;
      relay.domain("a.example");
      relay.options.retry.first = 10s;
      relay.put({"ann@a.example", "poison@a.example", "bob@a.example", "poison2@a.example", "eve@a.example"});
      relay.start();
      const auto through = [&] {
        if (std::string(row.how).starts_with("silence")) sink.delay = 0ms;
        return sink.recipients.size() == 3 && relay.log.events("deferred").size() == 2;
      };
      REQUIRE(relay.until(through, 2s));
      CHECK(sink.twice() == 0);
      for (const Event& one : relay.log.events("deferred")) {
        CHECK(one.get("to").starts_with("poison"));
        CHECK(one.get("attempt") == "1");
      }
    }
  }
}

// Nine hundred recipients were more than a thousand connections within a minute, each with lines of its own.
TEST_CASE("MX-21: a message whose every recipient ends the session waits as a whole after some of them") {
  for (const char* reply : {"421 4.3.0 no", "\r\n"}) {
    CAPTURE(reply);
    Relay relay;
    Sink& sink = relay.sink();
    sink.answer = [reply](const std::string& command) { return std::string(command.starts_with("RCPT") ? reply : ""); };
    relay.domain("a.example");
    relay.options.retry.first = 60s;
    std::vector<std::string> to;
    for (int i = 0; i < 60; ++i) to.push_back("u" + std::to_string(i) + "@a.example");
    relay.put(to);
    relay.start();
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 60; }));
    relay.pass(300ms);
    CHECK(sink.connections <= 24);
    CHECK(relay.log.events("deferred").size() == 60);  // and nobody twice
  }
}

TEST_CASE("what a broken transaction says, and of whom") {
  const auto reply = [](int code) { return smtp::Reply(code, std::nullopt, "x"); };
  using At = Broken::At;
  using CutOff = smtpclient::Sent::CutOff;
  const struct {
    const char* what;
    std::vector<int> codes;  // to MAIL, two RCPT, DATA
    CutOff cut_off;
    Pace pace;
    At at;
    std::size_t recipient;
  } table[] = {
      {"ran through", {250, 250, 450, 354}, CutOff::no, Pace::pipelined, At::nowhere, 0},
      {"421 to MAIL", {421}, CutOff::no, Pace::pipelined, At::message, 0},
      {"421 to the first", {250, 421}, CutOff::no, Pace::pipelined, At::recipient, 0},
      {"421 to the second", {250, 250, 421}, CutOff::lost, Pace::pipelined, At::recipient, 1},
      {"421 to DATA", {250, 250, 250, 421}, CutOff::no, Pace::pipelined, At::message, 0},
      {"closed without a word", {}, CutOff::lost, Pace::pipelined, At::somewhere, 0},
      {"closed behind MAIL", {250}, CutOff::lost, Pace::pipelined, At::somewhere, 0},
      {"closed behind MAIL, step by step", {250}, CutOff::lost, Pace::step_by_step, At::recipient, 0},
      {"silent behind MAIL", {250}, CutOff::silence, Pace::pipelined, At::recipient, 0},
      {"closed at MAIL, step by step", {}, CutOff::lost, Pace::step_by_step, At::message, 0},
      {"closed at DATA", {250, 250, 250}, CutOff::lost, Pace::pipelined, At::message, 0},
  };
  for (const auto& row : table) {
    CAPTURE(row.what);
    smtpclient::Sent sent;
    for (const int code : row.codes) sent.replies.push_back(reply(code));
    sent.cut_off = row.cut_off;
    const Broken broken = broken_at(sent, 2, row.pace);
    CHECK(broken.at == row.at);
    CHECK(broken.recipient == row.recipient);
  }
}

TEST_CASE(
    "MX-21: what RCPT is told, or the session ends at, puts off no message: that is said at MAIL, DATA and the end") {
  const auto reply = [](int code) { return smtp::Reply(code, std::nullopt, "x"); };
  const struct {
    std::vector<int> codes;  // to MAIL, two RCPT, DATA
    int end;                 // to the content; 0: none
    int expected;            // 0: not put off
  } table[] = {
      {{421}, 0, 421},
      {{450}, 0, 450},
      {{250, 421}, 0, 0},
      {{250, 250, 421}, 0, 0},
      {{250, 450, 450}, 0, 0},
      {{250, 250, 250, 421}, 0, 421},
      {{250, 250, 450, 451}, 0, 451},
      {{250, 250, 421, 354}, 250, 0},
      {{250, 250, 250, 354}, 451, 451},
      {{250, 250, 250, 354}, 550, 0},
  };
  for (const auto& row : table) {
    smtpclient::Sent sent;
    for (const int code : row.codes) sent.replies.push_back(reply(code));
    if (row.end != 0) sent.end = reply(row.end);
    const auto by = put_off_by(sent, 2);
    CHECK((by ? by->code : 0) == row.expected);
  }
}

}  // namespace delivery_poison_test
