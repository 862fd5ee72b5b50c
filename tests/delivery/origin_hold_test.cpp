// SPDX-License-Identifier: Apache-2.0
// How the mail of one sender, domain or client is held: not longer than it was told to wait, not all at once when it is over, never with the
// mail of others, and with a word to the operator where it is for reputation.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/counted.h"
#include "delivery/settlement.h"
#include "tests/delivery/relay.h"

namespace delivery_origin_hold_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

using Steady = std::chrono::steady_clock;

std::string n(int i) { return std::to_string(i); }

// One host that answers as it is told, by whom the transaction is: one session at a time.
struct Judge : Relay {
  explicit Judge(std::chrono::milliseconds first = 60s) {
    host.pipelining = false;
    host.answer = [this](const std::string& command) {
      if (command.starts_with("MAIL")) by = command.substr(11, command.find('>') - 11);
      const bool now = !reply.empty() && command.starts_with(stage) && by.find(whose) != std::string::npos;
      told += now ? 1 : 0;
      return now ? reply : std::string();
    };
    domain("a.example");
    options.sessions_per_host = 1;
    options.retry.first = options.retry.max = first;
  }
  ~Judge() { stop(); }
  void put_from(const std::string& from, const std::string& to) {
    sender = from;
    put({to});
  }
  std::size_t count(const char* event, const std::string& to) {
    const auto events = log.events(event);
    return static_cast<std::size_t>(
        std::count_if(events.begin(), events.end(), [&](const Event& one) { return one.get("to").starts_with(to); }));
  }
  bool has_delivered(const std::string& to, std::chrono::milliseconds within) {
    return until([&] { return host.recipients.contains(to); }, within);
  }
  std::size_t alerts() {
    const auto all = log.counts<counted::Once>();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), counted::Once::reputation_held));
  }
  // Of those that are kept.
  std::vector<Time> due() {
    std::vector<Time> all;
    for (const auto& message : list())
      for (const auto& one : message.recipients)
        if (one.next) all.push_back(*one.next);
    return all;
  }

  Sink& host = sink();
  std::string stage = ".", reply, whose, by;
  std::size_t told = 0;
};

constexpr const char* low_reputation =
    "550-5.7.1 [127.0.0.1] Our system has detected that this message is likely suspicious\r\n"
    "550 5.7.1 due to the very low reputation of the sending domain, the message has been blocked.\r\n";

// Whether a whole site is held or a part of it, nothing of mail that somebody else sends.
void check_goes(Judge& relay, const std::string& from, const std::string& to) {
  relay.put_from(from, to);
  CHECK(relay.has_delivered(to, 1s));
  CHECK(relay.log.events("reputation-hold").empty());
  CHECK_FALSE(relay.loop.run(relay.queue->backoff("a.example")).value());
}

}  // namespace

// Recipients 5, 10, 15 and 20 each began the hold of their sender anew: 40 minutes for two seconds of heat.
TEST_CASE("MX-27: a sender whose mail is put off in twenty sessions at once is held once") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 60ms;
  bool hot = false;
  sink.answer = [&](const std::string& command) {
    return std::string(hot && command == "." ? "451 4.7.1 content check failed\r\n" : "");
  };
  relay.domain("a.example");
  relay.options.retry.first = 60s;
  relay.start();
  relay.sender = "bob@example.org";
  relay.put({"warm@a.example"});
  REQUIRE(relay.until([&] { return sink.messages == 1; }));
  relay.put_many(600, "a.example");  // alice's
  REQUIRE(relay.until([&] { return sink.open >= 15; }));
  hot = true;
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() >= 60; }));
  hot = false;
  relay.pass(200ms);
  std::size_t waiting = 0;
  for (const auto& message : relay.list()) {
    for (const auto& one : message.recipients) {
      if (one.state != store::State::deferred) continue;
      ++waiting;
      CHECK(*one.next <= wall() + 121s);  // once, and a part of as much again
    }
  }
  CHECK(waiting >= 40);
}

// Cut by us, for others waited, it was back after the first interval: a crowd of dead hosts never backed off, and fed itself.
TEST_CASE("MX-26: a host that hangs and is given up on in favour of others keeps the hold that it had grown to") {
  Relay relay;
  Sink& evil = relay.sink("127.0.0.2");
  Sink& good = relay.sink("127.0.0.3");
  evil.hangs = [](const std::string& command) { return command.empty(); };
  relay.options.sessions = 2;
  relay.options.command_timeout = 60s;
  relay.options.retry.first = 60s;
  store::Results known;
  known.now = wall();
  for (int i = 0; i < 2; ++i) {
    const std::string at = "d" + n(i) + ".test";
    relay.domain(at);
    relay.put({"a@" + at});
    store::Backoff hold;
    hold.last = wall() - 600s;
    hold.until = wall() - 1s;
    hold.failures = 5;
    hold.interval = 960s;
    hold.reason = "connect-timeout";
    hold.reply = "450 4.4.1 connect-timeout: mx: no connection in time";
    known.destinations.push_back({at, hold});
  }
  relay.loop.run(relay.queue->apply(std::move(known))).value();
  relay.domain("good.example", "127.0.0.3");
  relay.start();
  REQUIRE(relay.until([&] { return evil.open == 2; }));
  relay.put({"x@good.example"});
  CHECK(relay.until([&] { return good.messages == 1; }, 13s));
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
  const std::string cut(relay.log.events("deferred").front().get("domain"));
  const auto hold = relay.loop.run(relay.queue->backoff(cut)).value();
  REQUIRE(hold);
  CHECK(hold->failures == 5);
  CHECK(hold->interval == 960s);
  relay.stop(0ms);
}

// In an hour in which nobody else wrote to it, two compromised domains took a big receiver from everybody, longer with each of their
// messages.
TEST_CASE("reputation_hold: what two domains behind one client are refused for is theirs, also in a quiet hour") {
  Judge relay;
  Sink& elsewhere = relay.sink("127.0.0.3");
  relay.domain("b.example", "127.0.0.3");
  relay.start();
  relay.put_from("bob@good.example",
                 "u@b.example");  // the relay has other senders; the site has not heard of them lately
  REQUIRE(relay.until([&] { return elsewhere.messages == 1; }));
  relay.reply = low_reputation;
  relay.whose = "bad";
  for (int i = 0; i < 16; ++i)
    relay.put_from("news" + n(i) + (i % 2 == 0 ? "@bad1.example" : "@bad2.example"), "u" + n(i) + "@a.example");
  REQUIRE(relay.until([&] { return relay.count("bounced", "u") + relay.count("deferred", "u") == 16; }));
  CHECK(relay.count("bounced", "u") == 2);
  CHECK(relay.told <= 5);
  check_goes(relay, "bob@good.example", "x@a.example");
  check_goes(relay, "ann@fine.example", "y@a.example");
  // now that the site takes mail of others it is known whose affair it is
  for (int i = 0; i < 4; ++i) relay.put_from("news@bad" + n(3 + i) + ".example", "later" + n(i) + "@a.example");
  CHECK(relay.until([&] { return relay.count("bounced", "later") == 4; }));
  check_goes(relay, "bob@good.example", "z@a.example");
}

// Thousands came due in one moment, and were put back message by message, with a line and a row in the history each time.
TEST_CASE("MX-27: mail behind an origin's hold is told of it once, and does not come due all at once") {
  Judge relay(1s);
  relay.start();
  relay.put_from("bob@example.org", "warm@a.example");
  REQUIRE(relay.until([&] { return relay.host.messages == 1; }));
  relay.reply = "451 4.7.1 content check failed\r\n";
  relay.whose = "app.example";
  for (int i = 0; i < 200; ++i) relay.put_from("s" + n(i) + "@app.example", "u" + n(i) + "@a.example");
  REQUIRE(relay.until([&] { return relay.count("deferred", "u") >= 200; }, 20s));
  REQUIRE(relay.until([&] { return relay.scheduler->counts().deferred >= 600; }, 20s));
  CHECK(relay.count("deferred", "u") < 300);  // and those that were tried, again
  auto due = relay.due();
  std::sort(due.begin(), due.end());
  REQUIRE(due.size() >= 190);
  CHECK(due[due.size() * 9 / 10] - due[due.size() / 10] >= 300ms);
}

TEST_CASE("MX-27: who was told of a hold is deferred without a line, and its row waits for a time of its own") {
  store::Backoff hold;
  hold.last = wall();
  hold.until = hold.last + 60min;
  hold.interval = 60min;
  hold.reply = "451 4.7.1 later";
  hold.reason = "smtp-reply";
  store::Job job;
  job.received = hold.last - 1min;
  job.envelope.sender = "a@example.net";
  job.recipients.emplace_back();
  job.recipients.back().address = "u@a.example";
  job.recipients.back().domain = name("a.example");
  Schedule schedule;
  schedule.random = 0.5;
  const auto first = deferred_on_hold(hold, hold.last, job, hold.last + 1s, schedule);
  CHECK(first.events.size() == 1);
  CHECK_FALSE(first.settled.history_entry.empty());
  CHECK(first.settled.recipients.at(0).due == hold.until + 5min);  // half of at most ten
  job.recipients.back().last = hold.last + 1s;
  const auto second = deferred_on_hold(hold, hold.last, job, hold.last + 2s, schedule);
  CHECK(second.events.empty());
  CHECK(second.metrics.empty());
  CHECK(second.settled.history_entry.empty());
  CHECK(second.settled.recipients.at(0).due == first.settled.recipients.at(0).due);
  CHECK(second.settled.recipients.at(0).reply == hold.reply);
}

// It was kept for days, and nobody heard of it.
TEST_CASE("reputation_hold: mail of one sender that is kept is told of in the log and in the metric, once a hold") {
  Judge relay;
  relay.start();
  relay.put_from("bob@example.org", "warm@a.example");
  relay.put_from("news@spam.example", "warm@a.example");
  REQUIRE(relay.until([&] { return relay.host.messages == 2; }));
  relay.reply = "550 5.7.1 message blocked, bad reputation\r\n";
  relay.whose = "spam.example";
  for (int i = 0; i < 8; ++i)
    relay.put_from(i % 2 == 0 ? "news@spam.example" : "more@spam.example", "u" + n(i) + "@a.example");
  REQUIRE(relay.until([&] { return relay.count("deferred", "u") == 6; }));
  const auto told = relay.log.events("sender-hold");
  REQUIRE(told.size() == 1);
  CHECK(told.front().level() == Level::error);
  CHECK(told.front().get("from") == "spam.example");
  CHECK(told.front().get("domain") == "a.example");
  CHECK(told.front().get("reply") == "550 5.7.1 message blocked, bad reputation");
  CHECK(relay.alerts() == 1);
  check_goes(relay, "bob@example.org", "x@a.example");
}

// It waited for a time of its own, up to four hours, whatever the key said by then.
TEST_CASE("reputation_hold: turned off by a SIGHUP or over a restart, what one sender's mail waits for is over, too") {
  for (const bool over_restart : {false, true}) {
    CAPTURE(over_restart);
    Judge relay(3600s);
    relay.start();
    relay.put_from("bob@example.org", "warm@a.example");
    REQUIRE(relay.until([&] { return relay.host.messages == 1; }));
    relay.reply = "550 5.7.1 message blocked, bad reputation\r\n";
    relay.whose = "spam.example";
    for (int i = 0; i < 8; ++i) relay.put_from("news@spam.example", "u" + n(i) + "@a.example");
    REQUIRE(relay.until([&] { return relay.count("deferred", "u") == 6; }));
    relay.reply.clear();
    relay.scheduler->notify();  // an order that wakes nothing by itself
    relay.pass(300ms);
    CHECK(relay.host.messages == 1);
    relay.options.reputation_hold = false;
    if (over_restart) relay.restart();
    if (!over_restart) relay.set();
    CHECK(relay.until([&] { return relay.host.messages == 7; }, 5s));
  }
}

// One connection for each message, for ever: it asked for five senders, and many a relay has one.
TEST_CASE("MX-27: a site that ends each session at RCPT is held off by a relay that has one sender or two, too") {
  for (const int senders : {1, 2}) {
    for (const bool warm : {false, true}) {
      CAPTURE(senders);
      CAPTURE(warm);
      Judge relay;
      relay.start();
      for (int i = 0; warm && i < senders; ++i) relay.put_from("s" + n(i) + "@example.net", "warm@a.example");
      REQUIRE(relay.until([&] { return !warm || relay.host.messages == static_cast<std::size_t>(senders); }));
      relay.stage = "RCPT";
      relay.reply = "421 4.7.0 closing connection";
      for (int i = 0; i < 60; ++i) relay.put_from("s" + n(i % senders) + "@example.net", "u" + n(i) + "@a.example");
      CHECK(relay.until([&] { return !relay.log.events("throttled").empty(); }));
      relay.pass(300ms);
      CHECK(relay.told <= 24);
      CHECK(relay.loop.run(relay.queue->backoff("a.example")).value());
    }
  }
}

// Our haste was told as the server's refusal: it cut the sessions of others, and a handshake that was cut fell back to clear.
TEST_CASE("MX-26: a session that is given up on before it was ready is no refusal, and no failure of TLS") {
  for (const bool in_tls : {false, true}) {
    CAPTURE(in_tls);
    Relay relay;
    Sink& host = relay.sink("127.0.0.2");
    Sink& good = relay.sink("127.0.0.3");
    host.hangs = [&](const std::string& command) {
      const bool in_clear = command.empty() || command.starts_with("EHLO") || command.starts_with("STARTTLS");
      return in_tls ? !in_clear : command.empty();
    };
    host.answer = [](const std::string& command) {
      if (command.starts_with("EHLO")) return std::string("250-sink\r\n250 STARTTLS\r\n");
      return std::string(command.starts_with("STARTTLS") ? "220 go\r\n" : "");
    };
    relay.options.sessions = 2;
    relay.options.command_timeout = relay.options.data_timeout = 60s;
    relay.options.retry.first = 60s;
    relay.dns.add("mx.provider.example A 127.0.0.2");
    for (int i = 0; i < 2; ++i) {
      const std::string at = "d" + n(i) + "." + n(i) + "evil.test";
      relay.dns.add(at + " MX 10 mx.provider.example");
      relay.put({"a@" + at}, "Subject: x\r\n\r\nhello\r\n", wall() - 10min);  // old enough to go in clear
    }
    relay.domain("good.example", "127.0.0.3");
    relay.start();
    REQUIRE(relay.until([&] { return host.open == 2; }));
    relay.put({"x@good.example"});
    CHECK(relay.until([&] { return good.messages == 1; }, 25s));
    CHECK_FALSE(relay.log.events("gave-way").empty());
    REQUIRE(relay.until([&] { return !relay.log.events("deferred").empty(); }));
    for (const Event& one : relay.log.events("deferred")) CHECK(one.get("reason") == "connection-lost");
    for (const Event& one : relay.log.events("hop")) CHECK(one.get("action") != "plaintext");
    CHECK(relay.log.events("throttled").empty());
    CHECK(relay.log.counts<counted::SessionLimit>().empty());
    relay.stop(0ms);
  }
}

}  // namespace delivery_origin_hold_test
