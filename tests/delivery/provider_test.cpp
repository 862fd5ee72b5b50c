// SPDX-License-Identifier: Apache-2.0
// Big receivers, with many domains on the same hosts and limits of their own, and hostile ones, as they meet a whole relay.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "tests/delivery/relay.h"

namespace delivery_provider_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

using Steady = std::chrono::steady_clock;

std::string numbered(int i, const char* under = "example") { return "d" + std::to_string(i) + "." + under; }

// `count` domains whose mail one host takes.
void domains_of(Relay& relay, int count, const std::string& address = "127.0.0.2") {
  relay.dns.add("mx.provider.example A " + address);
  for (int i = 0; i < count; ++i) relay.dns.add(numbered(i) + " MX 10 mx.provider.example");
}

// One of the hosts of a.example, in order of preference from 1 on, at 127.0.0.2 and so on.
Sink& host_of_set(Relay& relay, int i) {
  const std::string n = std::to_string(i), at = "127.0.0." + std::to_string(i + 1);
  relay.dns.add("a.example MX " + n + "0 mx" + n + ".a.example\nmx" + n + ".a.example A " + at);
  Sink& sink = relay.sink(at.c_str());
  sink.pipelining = false;
  return sink;
}

// "": to the connection itself.
std::function<std::string(const std::string&)> says_521_at(const char* stage) {
  return [stage](const std::string& command) {
    const bool now = *stage == 0 ? command.empty() : command.starts_with(stage);
    return std::string(now ? "521 5.3.2 no mail here\r\n" : "");
  };
}

// By a rule of `sources`, what app.example sends.
void app_leaves_from(Relay& relay, const char* ipv4) {
  SourceRule rule;
  rule.senders.push_back(dns::parse_pattern("app.example").value());
  rule.ipv4 = Ip::parse(ipv4).value();
  relay.options.sources = {rule};
}

// A first message, which is taken.
void warm_up(Relay& relay, const Sink& sink, const std::string& domain) {
  relay.put({"warm@" + domain});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 1; }));
}

// How long mail to somebody else takes.
std::chrono::milliseconds delay_of_other(Relay& relay, const std::string& to) {
  const auto began = Steady::now();
  relay.put({to});
  // at a sink: asked after each step of the loop, a log of thousands of lines would take longer than the mail
  const auto delivered = [&] {
    return std::any_of(relay.sinks.begin(), relay.sinks.end(),
                       [&](const auto& sink) { return sink->recipients.contains(to); });
  };
  REQUIRE(relay.until(delivered, 5s));
  return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - began);
}

}  // namespace

TEST_CASE("MX-27: 400 domains of a provider that allows 20 sessions and says 421 to the 21st: it never comes to that") {
  std::size_t refused = 0;
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 1ms;
  sink.answer = [&](const std::string& command) {
    if (!command.empty() || sink.open <= 20) return std::string();
    ++refused;
    return std::string("421 4.7.0 too many connections");
  };
  domains_of(relay, 400);
  for (int i = 0; i < 400; ++i) relay.put({"a@" + numbered(i)});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 400; }, 60s));
  CHECK(refused == 0);
  CHECK(sink.most_open <= 20);
  CHECK(relay.log.events("deferred").empty());
  CHECK(sink.twice() == 0);
}

// The sixth day of a backlog, and one bad second in it: what was cut grows back, and the oldest mail is not the last.
TEST_CASE("MX-27: after a second of 421 the sessions come back, given-back mail goes first, and each cut is a line") {
  enum { before, bad, after } phase = before;
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 4ms;
  sink.answer = [&](const std::string& command) {
    const bool busy = phase == bad && (command.empty() || (command.starts_with("MAIL") && sink.open > 1));
    return std::string(busy ? "421 4.7.0 try again later" : "");
  };
  relay.domain("a.example");
  relay.put_many(600, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages > 100 && sink.open >= 10; }, 30s));
  phase = bad;
  relay.pass(500ms);
  for (int i = 0; i < 600; ++i) relay.put({"new" + std::to_string(i) + "@a.example"});
  relay.pass(500ms);
  phase = after;
  const std::size_t cut_to = sink.open;
  CHECK(cut_to <= 3);
  CHECK_FALSE(relay.log.events("throttled").empty());
  sink.most_open = 0;
  REQUIRE(relay.until([&] { return sink.messages == 1200; }, 60s));
  CHECK(sink.most_open >= 10);
  CHECK(sink.twice() == 0);
  std::set<std::string> retried;  // told to come later at MAIL: on their own schedule
  for (const Event& one : relay.log.events("deferred")) retried.emplace(one.get("to"));
  CHECK(retried.size() <= 20);
  std::size_t at = 0, last_old = 0, new_before = 0, seen_new = 0;
  for (const Event& one : relay.log.events("delivered")) {
    ++at;
    if (std::string(one.get("to")).starts_with("new")) {
      ++seen_new;
    } else if (!retried.contains(std::string(one.get("to")))) {
      last_old = at;
      new_before = seen_new;
    }
  }
  CAPTURE(last_old);
  CHECK(new_before <= 60);  // what the workers had in hand
  for (const Event& one : relay.log.events("throttled")) CHECK(one.level() == Level::info);
}

TEST_CASE("what one customer's rules say at a provider holds that customer's mail, not everybody's") {
  for (const char* reply : {"451 4.7.500 Server busy\r\n", "451 4.3.0 not now\r\n", "550 5.7.1 on my blocklist\r\n"}) {
    CAPTURE(reply);
    bool hostile = false;  // one session at a time: the end of the content is that of the last RCPT
    Relay relay;
    Sink& sink = relay.sink();
    sink.answer = [&](const std::string& command) {
      if (command.starts_with("RCPT")) hostile = command.find("@d0.example") != std::string::npos;
      return std::string(command == "." && hostile ? reply : "");
    };
    domains_of(relay, 4);
    relay.options.sessions_per_host = 1;
    relay.options.retry.first = 60s;
    for (int i = 0; i < 30; ++i) relay.put({"a@d0.example"});
    relay.put({"warm@d1.example"});
    relay.start();
    REQUIRE(relay.until([&] { return sink.messages >= 1; }, 5s));
    relay.pass(300ms);
    for (int i = 1; i < 4; ++i) CHECK(delay_of_other(relay, "x@" + numbered(i)) < 1s);
    for (const Event& one : relay.log.events("deferred")) CHECK(one.get("to") == "a@d0.example");
  }
}

TEST_CASE("many domains on one host: no more sessions to it than sessions_per_host, and nobody is deferred") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 2ms;
  domains_of(relay, 120);
  relay.options.sessions_per_host = 6;
  for (int i = 0; i < 120; ++i) relay.put({"a@" + numbered(i)});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 120; }, 30s));
  CHECK(sink.most_open <= 6);
  CHECK(sink.most_open >= 4);
  CHECK(relay.log.events("deferred").empty());
  CHECK(sink.twice() == 0);
}

TEST_CASE("MX-27: a provider's limit over all its domains is found and kept, and mail to others does not wait") {
  std::size_t refused = 0;
  Relay relay;
  Sink& sink = relay.sink();
  relay.sink("127.0.0.3");
  sink.delay = 3ms;
  sink.answer = [&](const std::string& command) {
    if (!command.empty() || sink.open <= 5) return std::string();
    ++refused;
    return std::string("421 4.7.0 too many connections");
  };
  domains_of(relay, 100);
  for (int i = 0; i < 5; ++i) relay.domain("other" + std::to_string(i) + ".test", "127.0.0.3");
  for (int i = 0; i < 100; ++i) relay.put({"a@" + numbered(i)});
  for (int i = 0; i < 100; ++i) relay.put({"b@" + numbered(i)});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages > 20; }, 30s));
  for (int i = 0; i < 5; ++i) CHECK(delay_of_other(relay, "x@other" + std::to_string(i) + ".test") < 1s);
  REQUIRE(relay.until([&] { return sink.messages == 200; }, 60s));
  CHECK(refused < 40);
  CHECK(relay.log.events("deferred").empty());
  CHECK_FALSE(relay.log.events("throttled").empty());
  CHECK(sink.twice() == 0);
}

TEST_CASE("a site that says 4xx to everything slows down: few hosts, few messages, and one knock when the hold ends") {
  for (const char* stage : {"MAIL", "."}) {
    CAPTURE(stage);
    int asked = 0;
    Relay relay;
    for (int i = 2; i <= 6; ++i) {
      const std::string n = std::to_string(i);
      relay.sink(("127.0.0." + n).c_str()).answer = [&](const std::string& command) {
        if (std::string(stage) == "MAIL" && command.starts_with("RCPT")) return std::string("503 5.5.1 MAIL first\r\n");
        if (!command.starts_with(stage)) return std::string();
        ++asked;
        return std::string("451 4.7.500 Server busy\r\n");
      };
      relay.dns.add("a.example MX 10 mx" + n + ".a.example\nmx" + n + ".a.example A 127.0.0." + n);
    }
    relay.options.retry.first = 60s;
    relay.put_many(100, "a.example");
    relay.start();
    REQUIRE(relay.until([&] { return !relay.log.events("throttled").empty(); }, 5s));
    relay.pass(500ms);
    CHECK(asked <= 10);  // two hosts a message
    CHECK(relay.log.events("deferred").size() <= 5);
    const auto hold = relay.loop.run(relay.queue->backoff("a.example")).value();
    REQUIRE(hold);
    CHECK(hold->reply.find("4.7.500") != std::string::npos);
  }
}

// RFC 5321's own words for a mailbox in use stopped a whole route, and so did one application's refused content.
TEST_CASE("MX-21: what is said of one recipient, however often and in which words, holds up no other") {
  const struct {
    const char* stage;
    const char* reply;
  } rows[] = {{"RCPT", "450 4.2.1 mailbox busy, try again later\r\n"},
              {"RCPT", "452 4.2.2 mailbox full, too many messages\r\n"},
              {"RCPT", "451 4.7.1 try again later\r\n"},
              {".", "451 4.7.1 content check failed\r\n"}};
  for (const auto& row : rows) {
    for (const bool by_route : {true, false}) {
      CAPTURE(row.reply);
      CAPTURE(by_route);
      Relay relay;
      Sink& sink = relay.sink();
      bool poison = false;  // one session at a time
      sink.answer = [&](const std::string& command) {
        if (command.starts_with("RCPT")) poison = command.find("poison") != std::string::npos;
        return std::string(poison && command.starts_with(row.stage) ? row.reply : "");
      };
      domains_of(relay, 2);
      if (by_route) {
        route::Route route;
        for (int i = 0; i < 2; ++i) route.match.push_back(dns::parse_pattern(numbered(i)).value());
        route.hosts.push_back({Ip::parse("127.0.0.2").value(), relay.port});
        relay.routes = {route};
      }
      relay.options.sessions_per_host = 1;
      relay.options.retry.first = 60s;
      warm_up(relay, sink, "d1.example");
      for (int i = 0; i < 7; ++i) relay.put({"poison@d0.example"});
      REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 7; }));
      CHECK(delay_of_other(relay, "x@d1.example") < 1s);
      CHECK(delay_of_other(relay, "x@d0.example") < 1s);
      CHECK(relay.log.events("throttled").empty());
    }
  }
}

// Good mail was never tried: whenever the hold ended, what had failed before went first, failed again, and doubled it.
TEST_CASE("MX-27: what failed before and fails again holds nothing up anew: behind a hold others have their say") {
  Relay relay;
  Sink& sink = relay.sink();
  bool bad = false;
  sink.answer = [&](const std::string& command) {
    if (command.starts_with("RCPT")) bad = command.find("<bad") != std::string::npos;
    return std::string(bad && command == "." ? "451 4.7.1 content check failed\r\n" : "");
  };
  relay.domain("a.example");
  relay.options.sessions_per_host = 1;
  relay.options.retry.first = 400ms;
  for (int i = 0; i < 6; ++i) relay.put({"bad" + std::to_string(i) + "@a.example"});
  relay.start();
  REQUIRE(relay.until([&] { return !relay.log.events("throttled").empty(); }));
  CHECK(delay_of_other(relay, "good@a.example") < 3s);
}

// Six messages to names that are not in its list stopped a route for minutes, then for hours.
TEST_CASE("MX-21: a server that ends the session at RCPT, for many recipients, holds up nobody whom it takes") {
  for (const char* reply : {"421 4.3.0 recipient not in list", "421 4.3.0 recipient not in list\r\n"}) {
    CAPTURE(reply);
    Relay relay;
    relay.sink().answer = [&](const std::string& command) {
      const bool poison = command.starts_with("RCPT") && command.find("poison") != std::string::npos;
      return std::string(poison ? reply : "");
    };
    relay.domain("a.example");
    relay.options.retry.first = 60s;
    relay.put({"warm@a.example"});
    relay.start();
    REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 1; }));
    for (int i = 0; i < 8; ++i) relay.put({"poison" + std::to_string(i) + "@a.example"});
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 8; }));
    CHECK(delay_of_other(relay, "x@a.example") < 1s);
    CHECK(relay.log.events("throttled").empty());
    CHECK_FALSE(relay.loop.run(relay.queue->backoff("a.example")).value());
  }
}

TEST_CASE("MX-27: an application whose content a site puts off holds up no other sender's mail there") {
  Relay relay;
  Sink& sink = relay.sink();
  bool bad = false;  // one session at a time
  sink.answer = [&](const std::string& command) {
    if (command.starts_with("MAIL")) bad = command.find("<app@") != std::string::npos;
    return std::string(bad && command == "." ? "451 4.7.1 content check failed, too many links\r\n" : "");
  };
  relay.domain("a.example");
  relay.options.sessions_per_host = 1;
  relay.options.retry.first = 60s;
  warm_up(relay, sink, "a.example");
  relay.sender = "app@example.net";
  for (int i = 0; i < 8; ++i) relay.put({"u" + std::to_string(i) + "@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 8; }));
  relay.sender = "bob@example.net";
  CHECK(delay_of_other(relay, "x@a.example") < 1s);
  CHECK(relay.log.events("throttled").empty());
}

// Receivers know us by our address and name: one sender's cut everybody's sessions, and took domain after domain from them for hours.
TEST_CASE("MX-27: what a server refuses one source of ours holds up and slows down no mail of another") {
  for (const bool busy : {false, true}) {
    CAPTURE(busy);
    Relay relay;
    Sink& sink = relay.sink();
    sink.delay = busy ? 3ms : 0ms;
    int refused = 0;
    sink.answer = [&](const std::string& command) {
      const bool bad = command.find("badname") != std::string::npos;
      refused += bad ? 1 : 0;
      return std::string(bad ? "550 5.7.1 rejected\r\n" : "");
    };
    domains_of(relay, 3);
    relay.options.retry.first = 60s;
    SourceRule rule;
    rule.senders.push_back(dns::parse_pattern("app.example").value());
    rule.hostname = name("badname.example");
    relay.options.sources = {rule};
    warm_up(relay, sink, "d0.example");
    if (busy) relay.put_many(3000, "d1.example");
    relay.sender = "x@app.example";
    relay.put({"u@d0.example"});
    relay.put({"u@d2.example"});
    REQUIRE(relay.until([&] { return refused >= 2; }));  // EHLO and HELO
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 2; }));
    for (const Event& one : relay.log.events("deferred")) CHECK(one.get("reply") == "550 5.7.1 rejected");
    relay.sender = "bob@example.net";
    for (const char* to : {"x@d0.example", "x@d2.example"}) {
      const std::size_t before = sink.messages;
      CHECK(delay_of_other(relay, to) < 1s);
      // at a site that another destination has for itself it waits for as long as a worker's message takes, not for its turn to end
      CHECK(sink.messages - before <= 100);
      CHECK((!busy || sink.messages < 3000));
    }
    CHECK_FALSE(relay.loop.run(relay.queue->backoff("d0.example")).value());
    CHECK_FALSE(relay.loop.run(relay.queue->backoff("d2.example")).value());
    CHECK(relay.log.events("throttled").empty());
  }
}

// One family in a rule took every domain of the other one from all senders, for hours.
TEST_CASE("MX-27: a domain out of reach for the address of one rule is held for that rule's senders alone") {
  for (const int hosts : {1, 2}) {
    CAPTURE(hosts);
    Relay relay;
    Sink& sink = relay.sink("::1");
    for (int i = 1; i <= hosts; ++i)
      relay.dns.add("a.example MX 10 mx" + std::to_string(i) + ".a.example\nmx" + std::to_string(i) +
                    ".a.example AAAA ::1");
    relay.options.retry.first = 60s;
    app_leaves_from(relay, "127.0.0.77");
    warm_up(relay, sink, "a.example");
    relay.sender = "x@app.example";
    relay.put({"u@a.example"});
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
    relay.sender = "bob@example.net";
    CHECK(delay_of_other(relay, "x@a.example") < 1s);
    CHECK_FALSE(relay.loop.run(relay.queue->backoff("a.example")).value());
  }
}

// A new address is always told 4yz at first: `sources` for warming one up stopped the main stream.
TEST_CASE(
    "MX-27: what a site says with 4yz, a close or a silence to one source of ours holds that source's mail alone") {
  const struct {
    const char* stage;
    const char* reply;
  } rows[] = {{"", "421 4.7.0 [127.0.0.77] temporarily deferred due to low reputation"},
              {"", "\r\n"},
              {"EHLO", "450 4.7.1 your address is greylisted\r\n"},
              {"MAIL", "421 4.7.28 unusual rate of mail from 127.0.0.77"},
              {"MAIL", "451 4.7.500 Server busy\r\n"}};
  for (const auto& row : rows) {
    CAPTURE(row.stage);
    CAPTURE(row.reply);
    Relay relay;
    Sink& sink = relay.sink();
    sink.pipelining = false;
    bool bad = false;  // one session at a time
    std::size_t told = 0;
    sink.answer = [&](const std::string& command) {
      const bool now = bad && (*row.stage == 0 ? command.empty()
                                               : command.starts_with(row.stage) ||
                                                     (*row.stage == 'E' && command.starts_with("HELO")));
      told += now ? 1 : 0;
      return std::string(now ? row.reply : "");
    };
    relay.domain("a.example");
    relay.options.retry.first = 60s;
    relay.options.idle_session = 0ms;
    relay.options.sessions_per_host = 1;
    app_leaves_from(relay, "127.0.0.77");
    relay.put({"warm@a.example"});
    relay.start();
    REQUIRE(relay.until([&] { return sink.messages == 1 && sink.open == 0; }));
    bad = true;
    for (int i = 0; i < 30; ++i) {
      relay.sender = "x" + std::to_string(i) + "@app.example";
      relay.put({"u" + std::to_string(i) + "@a.example"});
    }
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 30; }));
    CHECK(told <= 8);  // and the others of that source wait untried
    bad = false;
    relay.sender = "bob@example.net";
    CHECK(delay_of_other(relay, "x@a.example") < 1s);
    CHECK_FALSE(relay.loop.run(relay.queue->backoff("a.example")).value());
  }
}

TEST_CASE("MX-27: one big sender is slowed at a site that puts its mail off, though others write there as well") {
  const struct {
    const char* stage;
    const char* reply;
    bool of_all;  // said of whatever comes from us
  } rows[] = {{"MAIL", "450 4.7.1 rate limited, too many messages, slow down\r\n", true},
              {"MAIL", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", true},
              {"MAIL", "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation\r\n", true},
              {"MAIL", "451 4.7.1 temporarily deferred, come back later\r\n", false},
              {".", "451 4.7.1 try again later\r\n", false}};
  for (const auto& row : rows) {
    CAPTURE(row.reply);
    Relay relay;
    Sink& sink = relay.sink();
    sink.pipelining = false;
    std::size_t told = 0;
    bool news = false;  // one session at a time
    bool warm = true;
    sink.answer = [&](const std::string& command) {
      if (command.starts_with("MAIL")) news = command.find("<news@") != std::string::npos;
      const bool now = !warm && news && command.starts_with(row.stage);
      told += now ? 1 : 0;
      return std::string(now ? row.reply : "");
    };
    relay.domain("a.example");
    relay.options.sessions_per_host = 1;
    relay.options.retry.first = 60s;
    relay.start();
    for (const char* sender : {"news@big.example", "x@other.example"}) {
      relay.sender = sender;
      relay.put({"warm@a.example"});
    }
    REQUIRE(relay.until([&] { return sink.messages == 2; }));
    warm = false;
    relay.sender = "news@big.example";
    for (int i = 0; i < 60; ++i) relay.put({"u" + std::to_string(i) + "@a.example"});
    relay.pass(700ms);
    CHECK(told >= 3);
    CHECK(told <= 8);
    relay.sender = "bob@example.net";
    if (!row.of_all) CHECK(delay_of_other(relay, "x@a.example") < 1s);
    CHECK(relay.loop.run(relay.queue->backoff("a.example")).value().has_value() == row.of_all);
  }
}

// It came back untried for ever, with no line, and cut everybody's sessions to the host each time.
TEST_CASE("MX-27: 421 to one source of ours is told of its message, and cuts no session of another") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 3ms;
  sink.greeting = [](const std::string& peer) {
    return std::string(peer == "127.0.0.77" ? "421 4.7.0 [127.0.0.77] temporarily deferred\r\n" : "");
  };
  domains_of(relay, 3);
  relay.options.retry.first = 60s;
  app_leaves_from(relay, "127.0.0.77");
  warm_up(relay, sink, "d0.example");
  relay.put_many(300, "d1.example");
  relay.sender = "x@app.example";
  relay.put({"u@d2.example"});
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
  CHECK(relay.log.events("deferred").front().get("to") == "u@d2.example");
  CHECK(relay.until([&] { return sink.messages == 301; }));
  CHECK(relay.log.events("throttled").empty());
}

TEST_CASE("MX-27: 421 4.7.28 to one message's many recipients slows the site down after a few of them") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.answer = [](const std::string& command) {
    return std::string(command.starts_with("RCPT") ? "421 4.7.28 our system has detected an unusual rate of mail" : "");
  };
  relay.domain("a.example");
  relay.options.retry.first = 60s;
  std::vector<std::string> to;
  for (int i = 0; i < 40; ++i) to.push_back("u" + std::to_string(i) + "@a.example");
  relay.put(to);
  relay.start();
  REQUIRE(relay.until([&] { return !relay.log.events("throttled").empty(); }));
  relay.pass(500ms);
  CHECK(sink.connections <= 8);
  REQUIRE(relay.loop.run(relay.queue->backoff("a.example")).value());
}

// Twenty sessions told it at once, and each three of them doubled the hold: minutes of no mail for a moment's heat.
TEST_CASE("MX-27: a provider that is hot for a moment is held off once, not once for every session that hears of it") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 3ms;
  sink.pipelining = false;
  bool hot = false;
  sink.answer = [&](const std::string& command) {
    return std::string(hot && command.starts_with("MAIL") ? "451 4.7.500 Server busy\r\n" : "");
  };
  domains_of(relay, 60);
  relay.options.retry.first = 2s;
  for (int i = 0; i < 600; ++i) relay.put({"u" + std::to_string(i) + "@" + numbered(i % 60)});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages > 60 && sink.open >= 12; }, 30s));
  hot = true;
  REQUIRE(relay.until([&] { return !relay.log.events("throttled").empty(); }));
  relay.pass(300ms);  // all the others hear it, too
  hot = false;
  const auto lines = relay.log.events("throttled");
  CHECK(std::stoi(std::string(lines.front().get("sessions"))) >= 9);
  REQUIRE(relay.until([&] { return sink.messages == 600; }, 20s));
  CHECK(sink.twice() == 0);
}

TEST_CASE("MX-26: a good host behind dead ones is reached by the second attempt, and found again at once") {
  Relay relay;
  Sink& good = relay.sink("127.0.0.2");
  for (int i = 0; i < 7; ++i) {
    const std::string n = std::to_string(i);
    relay.dns.add("a.example MX " + n + " mx" + n + ".a.example\nmx" + n + ".a.example A 127.0.1." + n);
  }
  relay.dns.add("a.example MX 70 mx.a.example\nmx.a.example A 127.0.0.2");
  relay.options.retry.first = 300ms;
  relay.start();
  relay.put({"ann@a.example"});
  REQUIRE(relay.until([&] { return good.messages == 1; }, 3s));
  CHECK(relay.log.events("deferred").size() == 1);
  relay.pass(300ms);  // the session is gone
  relay.put({"bob@a.example"});
  REQUIRE(relay.until([&] { return good.messages == 2; }, 1s));
  CHECK(relay.log.events("deferred").size() == 1);
}

TEST_CASE("MX-26: sessions_per_attempt: the content goes to two hosts, not to five") {
  int contents = 0;
  Relay relay;
  for (int i = 2; i <= 6; ++i) {
    const std::string n = std::to_string(i);
    Sink& sink = relay.sink(("127.0.0." + n).c_str());
    sink.answer = [&](const std::string& command) {
      if (command != ".") return std::string();
      ++contents;
      return std::string("451 4.3.0 later\r\n");
    };
    relay.dns.add("a.example MX 10 mx" + n + ".a.example\nmx" + n + ".a.example A 127.0.0." + n);
  }
  relay.options.retry.first = 60s;
  relay.start();
  relay.put({"ann@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
  CHECK(contents == 2);
}

// The two that said "not now" were asked for five days, and the third, which takes everything, never.
TEST_CASE("MX-26: a good host behind those that say 4xx is asked when the message is tried again") {
  for (const char* stage : {"MAIL", "RCPT", "."}) {
    for (const int hosts : {3, 4, 7}) {
      CAPTURE(stage);
      CAPTURE(hosts);
      Relay relay;
      for (int i = 1; i <= hosts; ++i) {
        Sink& sink = host_of_set(relay, i);
        if (i == hosts) continue;
        sink.answer = [stage](const std::string& command) {
          const bool now = command.starts_with(stage) && (command == "." || *stage != '.');
          return std::string(now ? "451 4.3.0 not now\r\n" : "");
        };
      }
      relay.options.retry.first = 200ms;
      relay.put({"ann@a.example"});
      relay.start();
      CHECK(relay.until([&] { return relay.sinks.back()->messages == 1; }));
      CHECK(relay.log.events("deferred").size() == static_cast<std::size_t>((hosts - 1) / 2));
    }
  }
}

// The hosts of the other domain had all been asked, and with that those of the first one were forgotten: two of seven had it for five days.
TEST_CASE("MX-26: a good host behind those that say 4xx is reached whatever the message's other domains hear") {
  Relay relay;
  const auto not_now = [](const std::string& command) {
    return std::string(command.starts_with("MAIL") ? "451 4.3.0 not now\r\n" : "");
  };
  for (int i = 1; i <= 7; ++i) {
    Sink& sink = host_of_set(relay, i);
    if (i < 7) sink.answer = not_now;
  }
  Sink& good = *relay.sinks.back();
  for (const char* at : {"127.0.0.20", "127.0.0.21"}) {
    Sink& sink = relay.sink(at);
    sink.pipelining = false;
    sink.answer = not_now;
  }
  relay.domain("b.example", "127.0.0.20");
  relay.domain("c.example", "127.0.0.21");
  relay.domain("d.example", "127.0.0.22");
  relay.sink("127.0.0.22");
  relay.options.retry.first = relay.options.retry.max = 200ms;
  relay.put({"ann@a.example", "ann@b.example", "ann@c.example", "ann@d.example"});
  relay.start();
  CHECK(relay.until([&] { return good.messages == 1; }, 5s));
  for (std::size_t i = 0; i < 7; ++i) CHECK(relay.sinks[i]->connections == 1);
}

TEST_CASE("MX-24: hosts that say 521 take no place from the one behind them; all of them have to say so") {
  for (const char* stage : {"", "MAIL", "RCPT"}) {
    for (const bool last_takes : {true, false}) {
      CAPTURE(stage);
      CAPTURE(last_takes);
      Relay relay;
      for (int i = 1; i <= 3; ++i) {
        Sink& sink = host_of_set(relay, i);
        if (i == 3 && last_takes) continue;
        sink.answer = says_521_at(stage);
      }
      relay.options.retry.first = 200ms;
      relay.put({"ann@a.example"});
      relay.start();
      const auto bounced = [&] {
        const auto events = relay.log.events("bounced");
        return std::any_of(events.begin(), events.end(),
                           [](const Event& one) { return one.get("to") == "ann@a.example"; });
      };
      CHECK(relay.until([&] { return relay.sinks.back()->messages == 1 || bounced(); }));
      CHECK(bounced() == !last_takes);
      CHECK(relay.log.events("deferred").empty());
      for (const auto& sink : relay.sinks) CHECK(sink->connections >= 1);
    }
  }
}

// Kept for five days, a few hosts of the set asked at each attempt and none remembered.
TEST_CASE("MX-24: a large set that says 521 as a whole is final at the first attempt, dual-stacked or not") {
  for (const char* stage : {"", "MAIL", "RCPT"}) {
    for (const bool dual : {false, true}) {
      CAPTURE(stage);
      CAPTURE(dual);
      Relay relay;
      relay.family = route::AddressFamily::prefer_ipv6;
      for (int i = 1; i <= 7; ++i) {
        Sink& sink = host_of_set(relay, i);
        if (dual) relay.dns.add("mx" + std::to_string(i) + ".a.example AAAA ::1");  // nobody listens there
        sink.answer = says_521_at(stage);
      }
      relay.options.retry.first = 60s;
      relay.put({"ann@a.example"});
      relay.start();
      const auto ended = [&] { return !relay.log.events("bounced").empty() || !relay.log.events("deferred").empty(); };
      CHECK(relay.until(ended));
      CHECK(relay.log.events("deferred").empty());
      for (const auto& sink : relay.sinks) CHECK(sink->connections >= 1);
    }
  }
}

TEST_CASE("MX-26: hundreds of names of a hostile domain whose hosts are a tar pit do not stop other mail") {
  Relay relay;
  Sink& pit = relay.sink("127.0.0.9");
  pit.delay = 60s;
  relay.sink("127.0.0.2");
  relay.domain("good.test");
  relay.domain("fresh.test");
  relay.options.command_timeout = 30s;
  relay.options.sessions = 40;
  for (int i = 0; i < 200; ++i) {
    const std::string name = numbered(i, "hostile.example");
    relay.dns.add(name + " MX 10 mx." + name + "\nmx." + name + " A 127.0.0.9");
    relay.put({"a@" + name});
  }
  relay.start();
  REQUIRE(relay.until([&] { return pit.connections > 0; }));
  relay.pass(300ms);
  CHECK(delay_of_other(relay, "a@good.test") < 1s);
  CHECK(delay_of_other(relay, "b@fresh.test") < 1s);
  CHECK(pit.open <= 10);
  relay.stop(0ms);
}

TEST_CASE(
    "MX-26, BND-02: fifty hosts with eight addresses each, none of which answers, cost five connections an attempt") {
  Relay relay;
  std::vector<Sink*> pits;
  for (int i = 10; i < 18; ++i) {
    pits.push_back(&relay.sink(("127.0.0." + std::to_string(i)).c_str()));
    pits.back()->delay = 60s;
  }
  for (int host = 0; host < 50; ++host) {
    const std::string mx = "mx" + std::to_string(host) + ".hostile.example";
    relay.dns.add("hostile.example MX 10 " + mx);
    for (int i = 10; i < 18; ++i) relay.dns.add(mx + " A 127.0.0." + std::to_string(i));
  }
  relay.options.command_timeout = 100ms;
  relay.options.retry.first = 60s;
  relay.put({"a@hostile.example"});
  relay.start();
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }, 5s));
  std::size_t connections = 0;
  for (const Sink* pit : pits) connections += pit->connections;
  CHECK(connections == 5);
  CHECK(relay.log.events("hop").size() <= 6);
  CHECK(relay.dns.asked.size() <= 70);
  relay.stop(0ms);
}

TEST_CASE("MX-26: an attempt as a whole has an end, however slowly a server answers") {
  Relay relay;
  Sink& slow = relay.sink();
  slow.delay = 300ms;
  relay.domain("a.example");
  relay.options.attempt_timeout = 700ms;
  relay.options.retry.first = 60s;
  relay.start();
  const auto began = Steady::now();
  relay.put({"ann@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
  CHECK(Steady::now() - began < 1500ms);
}

TEST_CASE("reputation_hold: most of a site's mail refused for where it comes from is kept, with an alert") {
  for (const bool on : {true, false}) {
    CAPTURE(on);
    std::string refusal = "550 5.7.1 Service unavailable; client host blocked using Spamhaus\r\n";
    Relay relay;
    Sink& sink = relay.sink();
    sink.answer = [&](const std::string& command) { return command.starts_with("RCPT") ? refusal : std::string(); };
    relay.domain("a.example");
    relay.options.reputation_hold = on;
    relay.options.retry.first = 400ms;
    relay.put_many(10, "a.example");
    relay.start();
    if (!on) {
      REQUIRE(relay.until([&] { return relay.log.events("bounced").size() == 10; }));
      CHECK(relay.log.events("reputation-hold").empty());
      continue;
    }
    REQUIRE(relay.until([&] { return !relay.log.events("reputation-hold").empty(); }));
    relay.pass(200ms);
    CHECK(relay.log.events("bounced").size() == 2);
    CHECK(relay.log.events("reputation-hold").front().get("domain") == "a.example");
    refusal.clear();  // we are off the list
    REQUIRE(relay.until([&] { return sink.messages == 8; }));
    CHECK(relay.log.events("bounced").size() == 2);
  }
}

TEST_CASE("reputation_hold: a recipient's own block list is his, however often he is written to") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.answer = [](const std::string& command) {
    return std::string(command.starts_with("RCPT TO:<blk") ? "550 5.7.1 you are on my personal block list\r\n" : "");
  };
  domains_of(relay, 4);
  relay.options.retry.first = 60s;
  warm_up(relay, sink, "d0.example");
  const auto bounced = [&] {
    const auto events = relay.log.events("bounced");
    return std::count_if(events.begin(), events.end(),
                         [](const Event& one) { return one.get("to").substr(0, 3) == "blk"; });
  };
  for (int i = 0; i < 4; ++i) relay.put({"blk@d0.example"});
  for (int i = 1; i < 4; ++i) relay.put({"blk@" + numbered(i)});  // and each of these tenants has one
  CHECK(relay.until([&] { return bounced() == 7; }));
  CHECK(relay.log.events("reputation-hold").empty());
  for (int i = 0; i < 4; ++i) CHECK(delay_of_other(relay, "other@" + numbered(i)) < 1s);
}

// Microsoft's and Yahoo's own words for a blocked address came as bounces, all of them, once anything had been taken.
TEST_CASE(
    "reputation_hold: what MAIL is refused, and a list of the site's own or our address by name, is the site's word") {
  const struct {
    const char* stage;
    const char* reply;
  } rows[] = {{"MAIL",
               "550 5.7.1 Unfortunately, messages from [127.0.0.1] weren't sent. Please contact your Internet service "
               "provider since part of their network is on our block list (S3150).\r\n"},
              {"MAIL", "553 5.7.1 [BL21] Connections will not be accepted, because the ip is in our black list\r\n"},
              {"MAIL", "550 5.7.1 on a blocklist\r\n"},
              {"RCPT", "550 5.7.1 part of their network is on our block list (S3140)\r\n"},
              {"RCPT", "550 5.7.1 blocklist: 127.0.0.1 is listed\r\n"}};
  for (const auto& row : rows) {
    CAPTURE(row.reply);
    Relay relay;
    Sink& sink = relay.sink();
    sink.pipelining = false;
    bool hot = false;
    sink.answer = [&](const std::string& command) {
      return std::string(hot && command.starts_with(row.stage) ? row.reply : "");
    };
    relay.domain("a.example");
    relay.options.retry.first = 60s;
    relay.options.sessions_per_host = 1;
    relay.put({"v@a.example"});
    relay.put({"w@a.example"});
    relay.start();
    REQUIRE(relay.until([&] { return sink.messages == 2; }));
    hot = true;
    for (int i = 0; i < 15; ++i) {
      relay.sender = "s" + std::to_string(i) + "@example.net";
      relay.put({"u" + std::to_string(i) + "@a.example"});
    }
    CHECK(relay.until([&] { return !relay.log.events("reputation-hold").empty(); }, 3s));
    relay.pass(200ms);
    CHECK(relay.log.events("bounced").size() <= 3);
  }
}

TEST_CASE("a user unknown is no matter of reputation: it bounces, however many") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.answer = [](const std::string& command) {
    return std::string(command.starts_with("RCPT") ? "550 5.1.1 no such user\r\n" : "");
  };
  relay.domain("a.example");
  relay.put_many(20, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return relay.log.events("bounced").size() == 20; }));
}

TEST_CASE("routes[].rate and messages_per_session hold for all domains of the route") {
  Relay relay;
  Sink& sink = relay.sink();
  domains_of(relay, 4);
  route::Route route;
  route.match = {dns::parse_pattern("*.example").value()};
  route.limits.rate = route::Rate{10, 1s};
  route.limits.messages_per_session = 1;
  relay.routes = {route};
  for (int i = 0; i < 8; ++i) relay.put({"a@" + numbered(i % 4)});
  relay.start();
  const auto began = Steady::now();
  REQUIRE(relay.until([&] { return sink.messages == 8; }));
  CHECK(Steady::now() - began >= 650ms);
  CHECK(Steady::now() - began < 3s);
  CHECK(sink.connections == 8);
  CHECK(relay.log.events("deferred").empty());
}

// Nothing moved for the rest of the old turn, for up to a day, not even for `queue retry`.
TEST_CASE("routes[]: a rate or sessions that a SIGHUP raises or removes count at once, also for who waits") {
  for (const bool by_rate : {true, false}) {
    for (const bool removed : {true, false}) {
      CAPTURE(by_rate);
      CAPTURE(removed);
      Relay relay;
      Sink& sink = relay.sink();
      sink.hangs = [](const std::string& command) { return command.find("<hang@") != std::string::npos; };
      domains_of(relay, 3);
      route::Route route;
      route.match = {dns::parse_pattern("*.example").value()};
      if (by_rate) {
        route.limits.rate = route::Rate{1, 3600s};
      } else {
        route.limits.sessions = 1;
      }
      relay.routes = {route};
      relay.options.command_timeout = 60s;
      warm_up(relay, sink, "d0.example");
      if (!by_rate) relay.put({"hang@d0.example"});
      relay.pass(300ms);
      for (int i = 0; i < 3; ++i) relay.put({"a@" + numbered(i)});
      relay.pass(300ms);
      CHECK(sink.messages == 1);
      if (by_rate) route.limits.rate = route::Rate{100, 1s};
      if (!by_rate) route.limits.sessions = 10;
      relay.reload(removed ? std::vector<route::Route>{} : std::vector<route::Route>{route});
      relay.set();
      CHECK(relay.until([&] { return sink.messages == 4; }, 2s));
      CHECK(sink.twice() == 0);
      relay.stop(0ms);
    }
  }
}

TEST_CASE("routes[].sessions: no more at once, over all domains of the route") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.delay = 2ms;
  domains_of(relay, 30);
  route::Route route;
  route.match = {dns::parse_pattern("*.example").value()};
  route.limits.sessions = 2;
  relay.routes = {route};
  for (int i = 0; i < 90; ++i) relay.put({"a" + std::to_string(i) + "@" + numbered(i % 30)});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 90; }, 30s));
  CHECK(sink.most_open <= 2);
}

// A host with both families, IPv6 preferred; what it says there is set in `six`.
struct BothFamilies : Relay {
  explicit BothFamilies(const char* domain = "a.example") {
    const std::string at(domain);
    dns.add(at + " MX 10 mx." + at + "\nmx." + at + " A 127.0.0.2\nmx." + at + " AAAA ::1");
    family = route::AddressFamily::prefer_ipv6;
  }
  Sink& four = sink("127.0.0.2");
  Sink& six = sink("::1");
  // To `when` ("" the connection, "." the end of the content) it says this.
  void refuse(std::string when, std::string reply) {
    six.answer = [when = std::move(when), reply = std::move(reply)](const std::string& command) {
      const bool now = when.empty() ? command.empty() : command.starts_with(when);
      const bool behind = when == "MAIL" && (command.starts_with("RCPT") || command.starts_with("DATA"));
      return now ? reply : std::string(behind ? "503 5.5.1 MAIL first\r\n" : "");
    };
  }
};

TEST_CASE(
    "a 5xx that names our missing PTR under IPv6, at whatever command, is asked again over IPv4 before it bounces") {
  const struct {
    const char* when;
    const char* reply;
  } rows[] = {
      {"RCPT", "550 5.7.25 no PTR record for your address\r\n"},
      {"RCPT", "550 5.7.25 Client host rejected: cannot find your hostname\r\n"},  // only the code tells
      {"MAIL", "550 5.7.1 your address has no reverse DNS\r\n"},
      {"DATA", "554 5.7.1 no mail over IPv6 without authentication\r\n"},
      {".",
       "550-5.7.1 [::1] Our system has detected that this message does\r\n"
       "550-5.7.1 not meet IPv6 sending guidelines regarding PTR records and\r\n"
       "550 5.7.1 authentication.\r\n"},
      {"", "554 5.7.25 no rDNS"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.when));
    CAPTURE(std::string(row.reply));
    BothFamilies relay;
    relay.refuse(row.when, row.reply);
    relay.start();
    relay.put({"ann@a.example", "bob@a.example"});
    REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 2; }));
    CHECK(relay.six.connections == 1);
    CHECK(relay.four.twice() == 0);
    CHECK(relay.log.events("bounced").empty());
    CHECK(relay.log.events("deferred").empty());
    REQUIRE(relay.until([&] { return relay.four.open == 0; }));
    relay.put({"cyd@a.example"});  // and IPv4 goes first from now on
    REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 3; }));
    CHECK(relay.six.connections == 1);
  }
}

TEST_CASE("what IPv4 says too is the last word, and a 5xx about the mail itself is final over IPv6") {
  BothFamilies relay;
  relay.refuse("RCPT", "550 5.7.25 no PTR record\r\n");
  relay.four.answer = relay.six.answer;
  relay.start();
  relay.put({"ann@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("bounced").size() == 1; }));
  CHECK(relay.four.connections == 1);
  CHECK(relay.log.events("bounced")[0].get("ip") == "127.0.0.2");

  BothFamilies other;
  other.refuse("RCPT", "550 5.1.1 no such user (client [IPv6:::1])\r\n");
  other.start();
  other.put({"ann@a.example"});
  REQUIRE(other.until([&] { return other.log.events("bounced").size() == 1; }));
  CHECK(other.four.connections == 0);
}

TEST_CASE("a missing PTR told over a session that took other mail is asked again over IPv4, too") {
  BothFamilies relay;
  relay.refuse("RCPT TO:<strict", "550 5.7.25 no PTR record\r\n");
  relay.options.idle_session = 5s;
  relay.start();
  relay.put({"first@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 1; }));
  relay.put({"strict@a.example"});
  REQUIRE(
      relay.until([&] { return relay.log.events("delivered").size() == 2 || !relay.log.events("bounced").empty(); }));
  CHECK(relay.log.events("bounced").empty());
  CHECK(relay.four.messages == 1);
  CHECK(relay.six.messages == 1);
}

TEST_CASE(
    "who is refused beside a missing PTR over a session that took other mail was refused there, and bounces once") {
  BothFamilies relay;
  relay.six.answer = [](const std::string& command) {
    if (command.starts_with("RCPT TO:<gone")) return std::string("550 5.1.1 no such user\r\n");
    return std::string(command.starts_with("RCPT TO:<strict") ? "550 5.7.25 no PTR record\r\n" : "");
  };
  relay.options.idle_session = 5s;
  relay.start();
  relay.put({"first@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 1; }));
  relay.put({"gone@a.example", "strict@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 2; }, 20s));
  auto bounced = relay.log.events("bounced");
  std::erase_if(bounced,
                [](const Event& one) { return one.get("to") != "gone@a.example"; });  // nor does the notice arrive
  REQUIRE(bounced.size() == 1);
  CHECK(bounced[0].get("ip") == "::1");
  CHECK(relay.six.connections == 1);
  CHECK(relay.four.messages == 1);
}

TEST_CASE("a missing PTR told over IPv6 while IPv4 is down waits for IPv4") {
  Relay relay;
  Sink& six = relay.sink("::1");
  six.answer = [](const std::string& command) {
    return std::string(command.starts_with("RCPT") ? "550 5.7.25 no PTR record\r\n" : "");
  };
  relay.dns.add("a.example MX 10 mx.a.example\nmx.a.example A 127.0.0.2\nmx.a.example AAAA ::1");
  for (const auto family : {route::AddressFamily::prefer_ipv4, route::AddressFamily::prefer_ipv6}) {
    relay.family = family;
    relay.restart();
    const std::size_t before = relay.log.events("deferred").size();
    relay.put({"ann@a.example"});
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() > before; }));
    CHECK(relay.log.events("bounced").empty());
    for (const Event& one : relay.log.events("deferred")) CHECK(one.get("dsn").substr(0, 2) == "4.");
  }
  Sink& four = relay.sink("127.0.0.2");  // it comes back
  REQUIRE(relay.until([&] { return four.messages == 2; }, 20s));
  CHECK(relay.log.events("bounced").empty());
}

TEST_CASE("a missing PTR told by a host that has IPv6 alone is a matter of the whole set before it bounces") {
  const auto strict = [](const std::string& command) {
    return std::string(command.starts_with("RCPT") ? "550 5.7.25 no PTR record\r\n" : "");
  };
  const auto bounced_by = [](Relay& relay) {
    std::string ip;
    relay.until([&] {
      for (const Event& one : relay.log.events("bounced"))
        if (one.get("to") == "ann@a.example") ip = std::string(one.get("ip"));
      return !ip.empty();
    });
    return ip;
  };
  const std::string set = "a.example MX 10 mx6.a.example\na.example MX 20 mx.a.example\nmx6.a.example AAAA ::1\n";
  SUBCASE("the next host has IPv4 and takes it") {
    Relay relay;
    relay.sink("::1").answer = strict;
    Sink& four = relay.sink("127.0.0.2");
    relay.dns.add(set + "mx.a.example A 127.0.0.2");
    relay.put({"ann@a.example"});
    relay.start();
    CHECK(relay.until([&] { return four.messages == 1; }));
    CHECK(relay.log.events("bounced").empty());
  }
  SUBCASE("what the next host says of the mail is final") {
    Relay relay;
    relay.sink("::1").answer = strict;
    relay.sink("127.0.0.2").answer = [](const std::string& command) {
      return std::string(command.starts_with("RCPT") ? "550 5.1.1 no such user\r\n" : "");
    };
    relay.dns.add(set + "mx.a.example A 127.0.0.2");
    relay.put({"ann@a.example"});
    relay.start();
    CHECK(bounced_by(relay) == "127.0.0.2");
  }
  SUBCASE("the next host does not answer: it waits") {
    Relay relay;
    relay.sink("::1").answer = strict;
    relay.dns.add(set + "mx.a.example A 127.0.0.2");
    relay.put({"ann@a.example"});
    relay.start();
    CHECK(relay.until([&] { return relay.log.events("deferred").size() == 1; }));
    CHECK(relay.log.events("bounced").empty());
  }
  SUBCASE("no host of the set has IPv4") {
    Relay relay;
    relay.sink("::1").answer = strict;
    relay.dns.add(set + "mx.a.example AAAA ::1");
    relay.put({"ann@a.example"});
    relay.start();
    CHECK(bounced_by(relay) == "::1");
  }
}

TEST_CASE("a family that failed at a host goes second there, one that failed at three hosts goes second everywhere") {
  Relay relay;
  Sink& four = relay.sink("127.0.0.2");  // nobody listens at ::1
  relay.family = route::AddressFamily::prefer_ipv6;
  relay.options.idle_session = 10ms;
  for (const char* one : {"a", "b", "c", "d", "e"}) {
    const std::string at = std::string(one) + ".example";
    relay.dns.add(at + " MX 10 mx." + at + "\nmx." + at + " A 127.0.0.2\nmx." + at + " AAAA ::1");
  }
  relay.start();
  std::size_t sent = 0;
  // How often IPv6 was tried in vain for a message to it.
  const auto tried = [&](const std::string& domain) {
    const std::size_t before = relay.log.events("hop").size();
    relay.put({"ann" + std::to_string(sent) + "@" + domain});
    ++sent;
    REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == sent && four.open == 0; }));
    return relay.log.events("hop").size() - before;
  };
  CHECK(tried("a.example") == 1);
  CHECK(tried("a.example") == 0);
  CHECK(tried("b.example") == 1);
  CHECK(tried("c.example") == 1);
  CHECK(tried("d.example") == 0);  // nobody said anything of this host
  CHECK(tried("e.example") == 0);
  for (const Event& one : relay.log.events("hop")) CHECK(one.get("ip") == "::1");
  CHECK(four.messages == sent);
}

TEST_CASE("TLS-08: a session of a site goes on to the next of its domains, where the plan is the same") {
  Relay relay;
  Sink& sink = relay.sink();
  domains_of(relay, 40);
  relay.options.sessions_per_host = 2;
  for (int i = 0; i < 40; ++i) relay.put({"a@" + numbered(i)});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 40; }));
  CHECK(sink.most_open <= 2);
  CHECK(sink.connections < 30);
  REQUIRE(relay.until([&] { return sink.open == 0; }, 5s));  // nothing stays behind
}

// One message whose RCPT was never answered stopped its route, or its domain, until command_timeout.
TEST_CASE("MX-21: what gets no reply, at MAIL, RCPT or the end, delays other mail by less than a second") {
  for (const char* stage : {"MAIL", "RCPT", "."}) {
    for (const int poisons : {1, 12}) {
      CAPTURE(stage);
      CAPTURE(poisons);
      Relay relay;
      Sink& sink = relay.sink();
      bool poison = false;
      sink.hangs = [&](const std::string& command) {
        if (command.starts_with("MAIL")) poison = command.find("<bad@") != std::string::npos;
        return poison && command.starts_with(stage);
      };
      sink.pipelining = false;
      relay.domain("a.example");
      relay.options.command_timeout = relay.options.data_timeout = 60s;
      relay.put({"warm@a.example"});
      relay.start();
      REQUIRE(relay.until([&] { return sink.messages == 1 && relay.scheduler->counts().workers == 0; }));
      relay.sender = "bad@example.net";
      for (int i = 0; i < poisons; ++i) relay.put({"poison@a.example"});
      relay.pass(200ms);
      relay.sender = "bob@example.net";
      CHECK(delay_of_other(relay, "x@a.example") < 1100ms);
      CHECK(sink.open <= 3);
      relay.pass(1s);
      CHECK(delay_of_other(relay, "y@a.example") < 1s);
      CHECK(sink.open <= 3);
      relay.stop(0ms);
    }
  }
}

// Two hundred names of a wildcard, each with one good message before, held all sessions for minutes.
TEST_CASE("MX-26: names whose servers hang do not keep all sessions: mail to others goes within seconds") {
  for (const bool proven : {true, false}) {
    CAPTURE(proven);
    Relay relay;
    Sink& evil = relay.sink("127.0.0.2");
    Sink& good = relay.sink("127.0.0.3");
    bool hang = false;
    evil.hangs = [&](const std::string& command) {
      return hang && (proven ? command.starts_with("RCPT") : command.empty());
    };
    relay.options.sessions = 8;
    relay.options.command_timeout = relay.options.data_timeout = 60s;
    relay.options.retry.first = 60s;
    relay.dns.add("mx.evil.test A 127.0.0.2");
    for (int i = 0; i < 8; ++i) relay.dns.add(numbered(i, proven ? "evil.test" : "test") + " MX 10 mx.evil.test");
    relay.domain("good.example", "127.0.0.3");
    relay.start();
    const auto send = [&] {
      for (int i = 0; i < 8; ++i) relay.put({"a@" + numbered(i, proven ? "evil.test" : "test")});
    };
    if (proven) send();
    REQUIRE(relay.until([&] { return !proven || (evil.messages == 8 && relay.scheduler->counts().workers == 0); }));
    hang = true;
    send();
    REQUIRE(relay.until([&] { return evil.open >= 6; }));
    relay.put({"x@good.example"});
    CHECK(relay.until([&] { return good.messages == 1; }, 13s));
    CHECK_FALSE(relay.log.events("gave-way").empty());
    CHECK(relay.until([&] { return !relay.log.events("deferred").empty(); }));
    for (const Event& one : relay.log.events("deferred")) CHECK(one.get("reason") == "connection-lost");
    relay.stop(0ms);
  }
}

}  // namespace delivery_provider_test
