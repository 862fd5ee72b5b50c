// SPDX-License-Identifier: Apache-2.0
// What a site says of one sender, domain or client, and what hangs, holds up nobody else; what it says to all slows it down.
#include <doctest/doctest.h>

#include <boost/asio/ip/tcp.hpp>
#include <functional>

#include "delivery/origin.h"
#include "tests/delivery/relay.h"

namespace delivery_others_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

using Steady = std::chrono::steady_clock;

std::string n(int i) { return std::to_string(i); }

store::Envelope from(const char* sender, const char* client = "192.0.2.1") {
  store::Envelope envelope;
  envelope.sender = sender;
  envelope.client = client;
  return envelope;
}

// One host that takes mail of two senders first, and then answers as it is told: by whom the transaction is. One session at a time.
struct Warm : Relay {
  // `domains`: that it takes mail for: a.example alone, or d0.example and more.
  explicit Warm(int domains = 1, std::chrono::milliseconds first = 60s)
      : at(domains == 1 ? "a.example" : "d0.example") {
    host.pipelining = false;
    host.answer = [this](const std::string& command) {
      if (command.starts_with("MAIL")) by = command.substr(11, command.find('>') - 11);
      const bool now = hot && command.starts_with(stage) && by.find(whose) != std::string::npos;
      told += now ? 1 : 0;
      return now ? reply : std::string();
    };
    dns.add("mx.provider.example A 127.0.0.2");
    if (domains == 1) dns.add("a.example MX 10 mx.provider.example");
    for (int i = 0; domains > 1 && i < domains; ++i) dns.add("d" + n(i) + ".example MX 10 mx.provider.example");
    options.sessions_per_host = 1;
    options.retry.first = first;
    if (first < 60s) options.retry.max = first;
    for (const char* one : {"alice@example.net", "carol@other.example"}) {
      sender = one;
      put({"warm@" + at});
    }
    start();
    REQUIRE(until([&] { return host.messages == 2; }));
  }
  ~Warm() { stop(); }
  // From now on, to `when` ("." the end of the content), where the sender has that in it.
  void answers(std::string when, std::string what, std::string sender_has = "") {
    stage = std::move(when);
    reply = std::move(what);
    whose = std::move(sender_has);
    hot = true;
  }
  std::size_t count(const char* event, const std::string& to) {
    const auto events = log.events(event);
    return static_cast<std::size_t>(
        std::count_if(events.begin(), events.end(), [&](const Event& one) { return one.get("to").starts_with(to); }));
  }
  void check_that_others_go_on() {
    sender = "bob@example.net";
    const auto began = Steady::now();
    put({"x@" + at});
    REQUIRE(until([&] { return count("delivered", "x@") == 1; }, 5s));
    CHECK(Steady::now() - began < 1s);
    CHECK(log.events("throttled").empty());
    CHECK(log.events("reputation-hold").empty());
    CHECK_FALSE(loop.run(queue->backoff(at)).value());
  }

  std::string at;
  Sink& host = sink();
  bool hot = false;
  std::string stage, reply, whose, by;
  std::size_t told = 0;
};

}  // namespace

TEST_CASE("Origins: mail of one mailbox, one domain or one client, where there are others, is confined to it") {
  const auto origins = [](std::initializer_list<store::Envelope> all) {
    Origins made;
    for (const auto& one : all) made.add(one);
    return made;
  };
  const Origins known = origins({from("a@one.example"), from("b@one.example"), from("c@two.example", "192.0.2.2")});
  CHECK(origins({from("a@one.example")}).are_confined(known));
  CHECK(origins({from("a+1@one.example"), from("a+2@one.example")}).are_confined(known));  // one mailbox
  CHECK(origins({from("a@one.example"), from("b@one.example")}).are_confined(known));      // one domain
  CHECK(origins({from("c@two.example", "192.0.2.2"), from("d@three.example", "192.0.2.2")}).are_confined(known));
  CHECK_FALSE(origins({from("a@one.example"), from("c@two.example", "192.0.2.2")}).are_confined(known));
  const Origins alone = origins({from("a@one.example"), from("b@one.example")});
  CHECK_FALSE(origins({from("a@one.example"), from("b@one.example")}).are_confined(alone));  // there is nobody else
  CHECK(origins({from("a@one.example")}).confined_to(known) == By::sender);
  CHECK(origins({from("a@one.example"), from("b@one.example")}).confined_to(known) == By::domain);
  CHECK_FALSE(origins({from("a@one.example")}).confined_to(Origins()));
  CHECK(origin_of(from(""), By::domain).empty());
  CHECK(origin_of(from("bounce+ann=a.example@App.example"), By::sender) == "bounce@App.example");
}

TEST_CASE("Origins: whoever is told alone is apart from others though he is none of them himself") {
  const auto confined = [](std::initializer_list<store::Envelope> told, std::initializer_list<store::Envelope> known) {
    Origins a, b;
    for (const auto& one : told) a.add(one);
    for (const auto& one : known) b.add(one);
    return a.are_confined(b);
  };
  CHECK_FALSE(confined({from("a@one.example")}, {}));
  CHECK_FALSE(confined({}, {from("a@one.example"), from("b@one.example")}));
  CHECK_FALSE(confined({from("a@one.example")}, {from("a+1@one.example")}));
  CHECK(confined({from("a@one.example")}, {from("b@one.example")}));
  CHECK(confined({from("a@one.example")}, {from("a@one.example"), from("b@one.example")}));
  CHECK_FALSE(confined({from("a@one.example"), from("b@one.example")}, {from("c@one.example")}));
  CHECK(confined({from("a@one.example"), from("b@one.example")}, {from("c@two.example")}));
}

// A message of weeks ago made all mail of today that of one client among several.
TEST_CASE("LateOrigins: who was there ten to twenty minutes ago counts no more") {
  const auto t0 = Steady::time_point(100h);
  LateOrigins late;
  CHECK(late.at(t0).is_nobody());
  late.add(from("a@one.example"), t0);
  late.add(from("b@two.example"), t0 + 9min);
  CHECK(late.at(t0 + 9min).are_several(By::domain));
  CHECK(late.at(t0 + 19min).are_several(By::domain));  // nothing came since
  CHECK(late.at(t0 + 20min).is_nobody());
  late.add(from("c@three.example"), t0 + 11min);
  CHECK(late.at(t0 + 20min).are_several(By::domain));
  CHECK_FALSE(late.at(t0 + 21min).are_several(By::domain));  // c alone
  late.add(from("c@three.example"), t0 + 22min);
  late.add(from("c@three.example"), t0 + 33min);
  CHECK_FALSE(late.at(t0 + 33min).are_several(By::domain));
  CHECK_FALSE(late.at(t0 + 33min).is_nobody());
  late.add(from("d@four.example"), t0 + 34min);
  CHECK(late.at(t0 + 34min).are_several(By::domain));
  late.add(from("d@four.example"), t0 + 80min);
  CHECK_FALSE(late.at(t0 + 80min).are_several(By::domain));
}

// A sender of its own for each message looked like everybody: the domain was held for all, and longer each time.
TEST_CASE("MX-27: an application with a sender for each message holds up nobody else, and is slowed itself") {
  for (const char* sender : {"bounces-%@app.example", "bounce+%@example.net"}) {
    CAPTURE(sender);
    Warm relay;
    const std::string form(sender);
    relay.answers(".", "451 4.7.1 content check failed\r\n", "bounce");
    for (int i = 0; i < 40; ++i) {
      relay.sender = form.substr(0, form.find('%')) + n(i) + form.substr(form.find('%') + 1);
      relay.put({"u" + n(i) + "@a.example"});
    }
    REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 40; }));
    CHECK(relay.told <= 8);
    relay.check_that_others_go_on();
  }
}

// Three refusals of one mailbox's spam took a provider from everybody, and kept the spam for days.
TEST_CASE("reputation_hold: what one sender is refused for is his, and bounces") {
  const struct {
    const char* stage;
    const char* reply;
  } rows[] = {{"MAIL", "550 5.7.1 sender domain spam.example is blacklisted: bad reputation\r\n"},
              {"MAIL", "550 5.7.1 spam.example is listed by dbl.spamhaus.org\r\n"},
              {".", "550 5.7.1 very low reputation of the sending domain, the message has been blocked.\r\n"}};
  for (const auto& row : rows) {
    CAPTURE(row.reply);
    Warm relay;
    relay.answers(row.stage, row.reply, "spam.example");
    for (int i = 0; i < 8; ++i) {
      relay.sender = i % 2 == 0 ? "news@spam.example" : "more@spam.example";
      relay.put({"u" + n(i) + "@a.example"});
    }
    CHECK(relay.until([&] { return relay.count("bounced", "u") == 8; }));
    relay.check_that_others_go_on();
  }
}

// It may be the sender, and it may be us: a false word cost either his mail or everybody's time.
TEST_CASE("reputation_hold: what may mean one sender keeps his mail alone, until that of others is taken after it") {
  const struct {
    const char* stage;
    const char* reply;
    const char* sender;
  } rows[] = {
      {".", "550 5.7.1 message blocked, bad reputation\r\n", "spam.example"},
      {"MAIL", "550 5.7.1 spam.example: domain reputation too low, 127.0.0.1\r\n", "spam.example"},
      {"MAIL", "550 5.7.1 spam.example [203.0.113.7]: blacklisted\r\n", "spam.example"},  // of ours, behind NAT?
      {".",
       "550-5.7.1 [127.0.0.1] Our system has detected that this message is likely suspicious\r\n"
       "550 5.7.1 due to the very low reputation of the sending domain, the message has been blocked.\r\n",
       "spam.example"},
      {"MAIL", "550 5.7.1 see https://b.example/?from=spam.example: bad reputation\r\n", "spam.example"},
      {"RCPT", "550 5.7.1 bad reputation, says a.example\r\n", "a.example"},              // the recipient's own name
      {"RCPT", "550 5.7.1 relay.example.net: bad reputation\r\n", "relay.example.net"}};  // or ours
  for (const auto& row : rows) {
    CAPTURE(row.reply);
    Warm relay(1, 2s);
    relay.answers(row.stage, row.reply, row.sender);
    for (int i = 0; i < 8; ++i) {
      relay.sender = std::string(i % 2 == 0 ? "news@" : "more@") + row.sender;
      relay.put({"u" + n(i) + "@a.example"});
    }
    REQUIRE(relay.until([&] { return relay.count("deferred", "u") >= 6; }));
    CHECK(relay.count("bounced", "u") == 2);
    relay.check_that_others_go_on();
    CHECK(relay.until([&] { return relay.count("bounced", "u") == 8; }));
    CHECK(relay.log.events("reputation-hold").empty());
  }
}

// A list's name, or a client host, with the sender beside it: every such message bounced while there were other senders.
TEST_CASE("reputation_hold: a refusal that names our network is never the sender's own, whomever else it names") {
  for (const char* reply :
       {"554 5.7.1 mail from spam.example: Client host [192.0.2.1] is blacklisted\r\n",
        "550 5.7.1 spam.example refused, blocked using zen.spamhaus.org\r\n",
        "550 5.7.1 spam.example refused, dnsbl.sorbs.net\r\n", "550 5.7.1 127.0.0.1 has a poor reputation\r\n"}) {
    CAPTURE(reply);
    Warm relay;
    relay.answers("RCPT", reply, "spam.example");
    relay.sender = "news@spam.example";
    for (int i = 0; i < 8; ++i) relay.put({"u" + n(i) + "@a.example"});
    REQUIRE(relay.until([&] { return !relay.log.events("reputation-hold").empty(); }));
    relay.pass(200ms);
    CHECK(relay.count("bounced", "u") == 2);
    CHECK(relay.told == 3);
    CHECK(relay.loop.run(relay.queue->backoff("a.example")).value());
  }
}

TEST_CASE("reputation_hold: who was never taken is no other whose mail goes on") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.pipelining = false;
  std::string refusal = "550 5.1.1 no such user\r\n";
  sink.answer = [&](const std::string& command) { return command.starts_with("RCPT") ? refusal : std::string(); };
  relay.domain("a.example");
  relay.options.sessions_per_host = 1;
  relay.start();
  relay.sender = "mallory@else.example";
  relay.put({"nobody@a.example"});
  REQUIRE(relay.until([&] { return relay.log.events("bounced").size() == 1; }));
  refusal.clear();
  relay.sender = "alice@example.net";
  relay.put({"warm@a.example"});
  REQUIRE(relay.until([&] { return sink.messages == 1; }));
  refusal = "550 5.7.1 rejected: poor reputation\r\n";
  for (int i = 0; i < 8; ++i) relay.put({"u" + n(i) + "@a.example"});
  CHECK(relay.until([&] { return !relay.log.events("reputation-hold").empty(); }, 5s));
  CHECK(relay.log.events("bounced").size() <= 3);
}

TEST_CASE("reputation_hold: of a relay that has no other sender the site means all, whatever it calls him") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.pipelining = false;
  sink.answer = [](const std::string& command) {
    return std::string(command == "." ? "550 5.7.1 very low reputation of the sending domain, blocked\r\n" : "");
  };
  relay.domain("a.example");
  relay.put_many(10, "a.example");
  relay.start();
  CHECK(relay.until([&] { return !relay.log.events("reputation-hold").empty(); }));
}

TEST_CASE("reputation_hold: a SIGHUP that turns it off lets go of what it holds") {
  Relay relay;
  Sink& sink = relay.sink();
  std::string refusal = "550 5.7.1 client host blocked using Spamhaus\r\n";
  sink.answer = [&](const std::string& command) { return command.starts_with("RCPT") ? refusal : std::string(); };
  relay.domain("a.example");
  relay.options.reputation_hold = true;
  relay.options.sessions_per_host = 1;
  relay.options.retry.first = 60s;
  relay.put_many(10, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return !relay.log.events("reputation-hold").empty(); }));
  relay.pass(200ms);
  CHECK(sink.messages == 0);
  refusal.clear();
  relay.set();  // nothing changed
  relay.pass(200ms);
  CHECK(sink.messages == 0);
  relay.options.reputation_hold = false;
  relay.set();
  CHECK(relay.until([&] { return sink.messages >= 7; }, 5s));
}

TEST_CASE("reputation_hold: turned off after a restart, or over one, it lets go all the same") {
  for (const bool over_restart : {false, true}) {
    CAPTURE(over_restart);
    Relay relay;
    Sink& sink = relay.sink();
    std::string refusal = "550 5.7.1 client host blocked using Spamhaus\r\n";
    sink.answer = [&](const std::string& command) { return command.starts_with("RCPT") ? refusal : std::string(); };
    relay.dns.add("mx.provider.example A 127.0.0.2");
    for (int i = 0; i < 2; ++i) relay.dns.add("d" + n(i) + ".example MX 10 mx.provider.example");
    relay.options.sessions_per_host = 1;
    relay.options.retry.first = 60s;
    for (int i = 0; i < 2; ++i) relay.put_many(10, "d" + n(i) + ".example");
    relay.start();
    REQUIRE(relay.until([&] {
      return relay.loop.run(relay.queue->backoff("d0.example")).value() &&
             relay.loop.run(relay.queue->backoff("d1.example")).value();
    }));
    refusal.clear();
    relay.options.reputation_hold = !over_restart;
    relay.restart();
    if (!over_restart) {
      relay.pass(300ms);
      CHECK(sink.messages == 0);
      relay.options.reputation_hold = false;
      relay.set();
    }
    CHECK(relay.until([&] { return sink.messages >= 14; }, 5s));
  }
}

// A hundred connections in a moment, and again at each retry: what ends the session at RCPT was taken for the recipient's affair.
TEST_CASE("MX-27: a site that ends each session at RCPT, whoever sends to whom, is held off") {
  for (const char* reply : {"421 4.7.0 Try again later, closing connection", "\r\n"}) {
    for (const bool one_application : {false, true}) {
      CAPTURE(reply);
      CAPTURE(one_application);
      Warm relay;
      relay.answers("RCPT", reply, one_application ? "app.example" : "");
      const std::size_t before = relay.host.connections;
      for (int i = 0; i < 40; ++i) {
        relay.sender = one_application ? "s" + n(i) + "@app.example" : "s@x" + n(i) + ".example";
        relay.put({"u" + n(i) + "@a.example"});
      }
      if (one_application) {
        REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 40; }, 20s));
        CHECK(relay.told <= 8);
        relay.check_that_others_go_on();
        continue;
      }
      REQUIRE(relay.until([&] { return !relay.log.events("throttled").empty(); }));
      relay.pass(300ms);
      CHECK(relay.host.connections - before <= 10);
      CHECK(relay.loop.run(relay.queue->backoff("a.example")).value());
    }
  }
}

// Counted for each domain by itself, it never became much at any: every message was tried, and again at each retry.
TEST_CASE("MX-27: an application whose mail a provider puts off or cuts off at all its domains waits at the provider") {
  for (const char* stage : {".", "RCPT"}) {
    for (const bool one_sender : {true, false}) {
      const bool cut_off = *stage == 'R';
      if (cut_off && one_sender) continue;  // each recipient's own affair (MX-21)
      CAPTURE(stage);
      CAPTURE(one_sender);
      Warm relay(20);
      relay.answers(stage, cut_off ? "421 4.7.0 closing connection\r\n" : "451 4.7.1 content check failed\r\n",
                    "app.example");
      for (int i = 0; i < 60; ++i) {
        relay.sender = one_sender ? "app@app.example" : "s" + n(i) + "@app.example";
        relay.put({"u" + n(i) + "@d" + n(i % 20) + ".example"});
      }
      REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 60; }, 20s));
      CHECK(relay.told <= 8);
      relay.check_that_others_go_on();
    }
  }
}

TEST_CASE("MX-27: and at each retry it is asked for some, not for all that waits") {
  Warm relay(20, 1s);
  relay.answers(".", "451 4.7.1 content check failed\r\n", "app.example");
  for (int i = 0; i < 200; ++i) {
    relay.sender = "s" + n(i) + "@app.example";
    relay.put({"u" + n(i) + "@d" + n(i % 20) + ".example"});
  }
  REQUIRE(relay.until([&] { return relay.scheduler->counts().deferred >= 500; }, 20s));  // twice, and more
  CHECK(relay.told <= 60);
}

TEST_CASE("MX-27: what greylists each message of an application is asked for each") {
  Warm relay(20);
  relay.answers(".", "451 4.7.1 Greylisted, come again\r\n", "app.example");
  relay.sender = "app@app.example";
  for (int i = 0; i < 40; ++i) relay.put({"u" + n(i) + "@d" + n(i % 20) + ".example"});
  REQUIRE(relay.until([&] { return relay.log.events("deferred").size() == 40; }, 20s));
  CHECK(relay.told == 40);
  relay.check_that_others_go_on();
}

// The application waits by itself first; who else is told so shows that it is not its own affair.
TEST_CASE("MX-27: where a second client's mail is put off, too, the site is held off") {
  Warm relay(20);
  relay.answers(".", "451 4.7.1 come later\r\n", "");
  for (const char* sender : {"app@app.example", "batch@batch.example"}) {
    relay.sender = sender;
    for (int i = 0; i < 20; ++i) relay.put({"u" + n(i) + "@d" + n(i) + ".example"});
    REQUIRE(relay.until([&] { return relay.told >= 5; }));
    relay.pass(200ms);
  }
  CHECK_FALSE(relay.log.events("throttled").empty());
  CHECK(relay.told <= 13);
}

// MAIL names no recipient, so it cannot be one domain's word.
TEST_CASE("MX-27: a smarthost that puts off everything at MAIL is held off, though all that waits is for one domain") {
  Relay relay;
  Sink& sink = relay.sink();
  sink.pipelining = false;
  bool full = false;
  std::size_t told = 0;
  sink.answer = [&](const std::string& command) {
    const bool now = full && command.starts_with("MAIL");
    told += now ? 1 : 0;
    return std::string(now ? "452 4.3.1 Insufficient system storage\r\n" : "");
  };
  route::Route route;
  for (const char* one : {"one.example", "two.example"}) route.match.push_back(dns::parse_pattern(one).value());
  route.hosts.push_back({Ip::parse("127.0.0.2").value(), relay.port});
  relay.routes = {route};
  relay.options.retry.first = 60s;
  relay.options.sessions_per_host = 1;
  relay.put({"warm@one.example"});
  relay.put({"warm@two.example"});
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages == 2; }));
  full = true;
  for (int i = 0; i < 60; ++i) {
    relay.sender = "s@x" + n(i) + ".example";
    relay.put({"u" + n(i) + "@one.example"});
  }
  REQUIRE(relay.until([&] { return !relay.log.events("throttled").empty(); }));
  relay.pass(300ms);
  CHECK(told <= 10);
}

TEST_CASE("MX-27: a limit of sessions that is told with 5yz, in whatever words, is found and kept") {
  for (const char* reply : {"554 5.7.0 maximum connections for your address exceeded",
                            "550 5.7.0 concurrent connections exceeded", "554 connection limit reached"}) {
    CAPTURE(reply);
    std::size_t refused = 0;
    Relay relay;
    Sink& sink = relay.sink();
    sink.delay = 2ms;
    sink.answer = [&](const std::string& command) {
      if (!command.empty() || sink.open <= 5) return std::string();
      ++refused;
      return std::string(reply);
    };
    relay.dns.add("mx.provider.example A 127.0.0.2");
    for (int i = 0; i < 100; ++i) relay.dns.add("d" + n(i) + ".example MX 10 mx.provider.example");
    for (int i = 0; i < 100; ++i) relay.put({"a@d" + n(i) + ".example"});
    relay.start();
    CHECK(relay.until([&] { return sink.messages == 100; }, 30s));
    CHECK(relay.log.events("deferred").empty());
    CHECK_FALSE(relay.log.events("throttled").empty());
    CHECK(refused <= 30);
  }
}

TEST_CASE("sources: a rule that a SIGHUP brings binds an attempt that is under way") {
  Relay relay;
  Sink& sink = relay.sink("127.0.0.3");
  std::string peer;
  sink.greeting = [&](const std::string& address) {
    peer = address;
    return std::string();
  };
  relay.dns.add("a.example MX 10 mx1.a.example\na.example MX 20 mx2.a.example\nmx2.a.example A 127.0.0.3");
  relay.dns.add("mx1.a.example A 127.0.0.9");  // nobody listens
  relay.dns.slow["mx1.a.example A"] = 400ms;
  relay.sender = "x@app.example";
  relay.start();
  relay.put({"u@a.example"});
  REQUIRE(relay.until([&] { return relay.dns.asked_of("A"); }));
  SourceRule rule;
  rule.senders.push_back(dns::parse_pattern("app.example").value());
  rule.ipv4 = Ip::parse("127.0.0.77").value();
  relay.options.sources = {rule};
  relay.set();
  REQUIRE(relay.until([&] { return relay.log.events("delivered").size() == 1; }));
  CHECK(peer == "127.0.0.77");
  CHECK(sink.messages == 1);
}

// Only what had connected was ended: names whose look-ups or connections hang kept all workers.
TEST_CASE("MX-26: look-ups and connections that hang give way to domains that wait") {
  for (const bool at_connect : {false, true}) {
    CAPTURE(at_connect);
    Relay relay;
    Sink& good = relay.sink("127.0.0.3");
    relay.domain("good.example", "127.0.0.3");
    relay.options.sessions = 4;
    relay.options.connect_timeout = relay.options.command_timeout = 60s;
    relay.options.retry.first = 60s;
    asio::ip::tcp::acceptor full(relay.loop.io());  // whose backlog is full
    full.open(asio::ip::tcp::v4());
    full.set_option(asio::socket_base::reuse_address(true));
    full.bind({asio::ip::make_address("127.0.0.9"), relay.port});
    full.listen(0);
    std::vector<asio::ip::tcp::socket> filling;
    for (int i = 0; i < 4; ++i) {
      asio::ip::tcp::socket& one = filling.emplace_back(relay.loop.io());
      one.async_connect(full.local_endpoint(), [](auto) {});
    }
    for (int i = 0; i < 3; ++i) {
      const std::string at = "d" + n(i) + "." + n(i) + "evil.test";
      relay.dns.add(at + " MX 10 mx." + at + "\nmx." + at + " A 127.0.0.9");
      if (!at_connect) relay.dns.slow[at + " MX"] = 60s;
      relay.put({"a@" + at});
    }
    relay.start();
    REQUIRE(relay.until([&] { return relay.scheduler->counts().workers >= 3; }));
    relay.pass(300ms);
    relay.put({"x@good.example"});
    CHECK(relay.until([&] { return good.messages == 1; }, 25s));
    CHECK_FALSE(relay.log.events("gave-way").empty());
    for (const Event& one : relay.log.events("deferred")) {
      CHECK(one.get("reason") == (at_connect ? "connect-timeout" : "dns-failure"));
      const std::string to(one.get("to"));
      const auto hold = relay.loop.run(relay.queue->backoff(to.substr(to.find('@') + 1))).value();
      CHECK(hold.has_value() == at_connect);  // our haste is no failure of DNS
    }
    CHECK(relay.log.events("throttled").empty());
    relay.stop(0ms);
  }
}

TEST_CASE("what waits for a session says for which, and until when where a clock decides it") {
  for (const bool by_rate : {false, true}) {
    CAPTURE(by_rate);
    Relay relay;
    Sink& sink = relay.sink();
    sink.hangs = [](const std::string& command) { return command.find("<hang@") != std::string::npos; };
    relay.dns.add("mx.provider.example A 127.0.0.2");
    for (int i = 0; i < 3; ++i) relay.dns.add("d" + n(i) + ".example MX 10 mx.provider.example");
    relay.options.command_timeout = 60s;
    route::Route route;
    route.match = {dns::parse_pattern("*.example").value()};
    if (by_rate) route.limits.rate = route::Rate{1, 3600s};
    if (!by_rate) route.limits.sessions = 1;
    relay.routes = {route};
    relay.put({by_rate ? "warm@d0.example" : "hang@d0.example"});
    relay.start();
    REQUIRE(relay.until([&] { return sink.connections == 1; }));
    relay.pass(200ms);
    for (int i = 1; i < 3; ++i) relay.put({"a@d" + n(i) + ".example"});
    std::vector<queue::InLine> waiting;  // the first one, too, may look for more of its own
    const auto those = [&] {
      waiting = relay.scheduler->in_line();
      std::erase_if(waiting, [](const queue::InLine& one) { return one.destination == "d0.example"; });
      return waiting.size() == 2;
    };
    REQUIRE(relay.until(those));
    for (const queue::InLine& one : waiting) {
      CHECK(one.until.has_value() == by_rate);
      CHECK(one.why.find(by_rate ? "rate" : "the one session of the site") != std::string::npos);
    }
    const auto until = waiting.front().until;
    for (int again = 0; by_rate && again < 30; ++again) {  // it was another millisecond now and then
      relay.pass(1ms);
      REQUIRE(those());
      CHECK(waiting.front().until == until);
    }
    relay.stop(0ms);
  }
}

}  // namespace delivery_others_test
