// SPDX-License-Identifier: Apache-2.0
// Replies out of step, malformed ones, and servers that stand EHLO, a parameter or several recipients badly.
#include <doctest/doctest.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/smtpclient/world.h"

namespace smtpclient_step_test {

using namespace hoplock;
using namespace hoplock::smtpclient;
using namespace hoplock::smtpclient::testing;

namespace {

enum class Double { nothing, banner, ehlo, mail, first, second, data, dot };
enum class How { at_once, late };

// Takes r1 and refuses r2, and says one thing twice.
class Doubling {
 public:
  Doubling(Double what, How how) : what_(what), how_(how) {}
  void say(Script& script, Double now, const std::string& reply) const {
    script.send(now == what_ && how_ == How::at_once ? reply + reply : reply);
    if (now == what_ && how_ == How::late) script.pause(5ms).send(reply);
  }
  // Up to the end of the greeting in clear.
  Script hello(const std::string& offers) const {
    Script script;
    say(script, Double::banner, "220 mx\r\n");
    script.expect(ehlo);
    say(script, Double::ehlo, offers);
    return script;
  }
  Script& takes_one(Script& script, bool pipelined) const {
    script.expect_until(pipelined ? "DATA\r\n" : "\r\n");
    say(script, Double::mail, "250 2.1.0 ok\r\n");
    if (!pipelined) script.expect_line("RCPT");
    say(script, Double::first, "250 2.1.5 good\r\n");
    if (!pipelined) script.expect_line("RCPT");
    say(script, Double::second, "550 5.1.1 bad\r\n");
    if (!pipelined) script.expect_line("DATA");
    say(script, Double::data, "354 go\r\n");
    script.expect_until("\r\n.\r\n");
    say(script, Double::dot, "250 2.0.0 taken\r\n");
    return script;
  }

 private:
  Double what_;
  How how_;
};

asio::awaitable<void> wait(Loop& loop, std::chrono::milliseconds time) {
  asio::steady_timer timer(loop.io(), time);
  co_await timer.async_wait(asio::use_awaitable);
}

// The first of two pieces of a message, and some time later the second.
asio::awaitable<Result<std::string>> piece(Loop& loop, std::uint32_t n) {
  if (n == 0) co_return std::string("first\r\n");
  co_await wait(loop, 30ms);
  co_return std::string("second\r\n");
}

// Neither is settled by what was said of the other.
void check_in_step(const Sent& sent) {
  CHECK(fate(sent, 0) != smtp::Fate::refused);
  CHECK(fate(sent, 1) != smtp::Fate::accepted);
  if (sent.settled.recipients[1].fate == smtp::Fate::refused) CHECK(code(sent, 1) == 550);
}

}  // namespace

TEST_CASE("MX-22: a reply doubled at any command settles nobody by another's, pipelined or not, in clear or in TLS") {
  for (const Double what :
       {Double::banner, Double::ehlo, Double::mail, Double::first, Double::second, Double::data, Double::dot}) {
    for (const How how : {How::at_once, How::late}) {
      for (const bool pipelined : {false, true}) {
        for (const bool in_tls : {false, true}) {
          CAPTURE(static_cast<int>(what));
          CAPTURE(static_cast<int>(how));
          CAPTURE(pipelined);
          CAPTURE(in_tls);
          World world;
          const Doubling doubling(what, how);
          const std::string offers = pipelined ? pipelining : "250 mx\r\n";
          Script script = doubling.hello(in_tls ? "250-mx\r\n250 STARTTLS\r\n" : offers);
          if (in_tls) {
            world.demand_dane(world.leaf);
            script.expect("STARTTLS\r\n").send("220 go\r\n").start_tls(world.peer_tls).expect(ehlo).send(offers);
          }
          ScriptedPeer peer({doubling.takes_one(script, pipelined)});
          Options impatient = options();
          impatient.command_timeout = impatient.data_timeout = 300ms;
          Opened opened = world.open(peer, impatient);
          if (!opened.client) {
            CHECK((what == Double::banner || what == Double::ehlo));
            continue;
          }
          const Sent sent = world.send(*opened.client, envelope(2), text("x\r\n"));
          check_in_step(sent);
          if (what == Double::dot) CHECK(fate(sent, 0) == smtp::Fate::accepted);
          world.loop.run(opened.client->quit());
        }
      }
    }
  }
}

TEST_CASE(
    "MX-22: what a used session still had to say makes it useless for the next message, which nothing is said of") {
  for (const bool in_tls : {false, true}) {
    CAPTURE(in_tls);
    World world;
    const Doubling doubling(Double::dot, How::at_once);
    Script script = in_tls ? world.starttls().expect(ehlo).send(pipelining) : doubling.hello(pipelining);
    if (in_tls) world.demand_dane(world.leaf);
    ScriptedPeer peer(doubling.takes_one(script, true).stall());
    Opened opened = world.open(peer);
    REQUIRE(opened.client);
    CHECK(fate(world.send(*opened.client, envelope(2), text("x\r\n"))) == smtp::Fate::accepted);
    world.loop.run(wait(world.loop, 20ms));
    const Sent next = world.send(*opened.client, envelope(2), text("x\r\n"));
    CHECK(next.stale);
    CHECK(fate(next, 0) == smtp::Fate::unanswered);
    CHECK(code(next, 1) == 0);
    CHECK_FALSE(opened.client->usable());
  }
}

TEST_CASE("MX-22: what lies unread before the end of the content stops it; an early refusal of the content counts") {
  const struct {
    const char* early;
    smtp::Fate fate;
    const char* why;
  } rows[] = {
      {"250 2.0.0 taken already\r\n", smtp::Fate::deferred, "nothing was sent yet that it could take"},
      {"552 5.3.4 too large\r\n", smtp::Fate::refused, "it does not want to hear the rest"},
      {"421 4.3.2 closing\r\n", smtp::Fate::deferred, "as at any time"},
      {"what?\r\n", smtp::Fate::deferred, "no reply at all"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    World world;
    ScriptedPeer peer(greeted(pipelining)
                          .expect_until("DATA\r\n")
                          .send("250 ok\r\n250 ok\r\n354 go\r\n")
                          .expect_until("first\r\n")
                          .send(row.early)
                          .stall());
    Opened opened = world.open(peer);
    REQUIRE(opened.client);
    Content content;
    content.chunks = 2;
    content.read = [&world](std::uint32_t n) { return piece(world.loop, n); };
    const Sent sent = world.send(*opened.client, envelope(), std::move(content));
    CHECK(fate(sent) == row.fate);
    CHECK_FALSE(sent.handed_over);
    CHECK_FALSE(opened.client->usable());
    opened.client.reset();
    peer.finish();
    CHECK(peer.received().find("\r\n.\r\n") == std::string::npos);
  }
}

TEST_CASE("a reply that is none is told as malformed, wherever it comes") {
  std::string endless;
  for (int i = 0; i < 201; ++i) endless += "250-line\r\n";
  for (const std::string& reply : {std::string("600 what\r\n"), std::string("2500 ok\r\n"), std::string("250ok\r\n"),
                                   std::string("250-one\r\n550 two\r\n"), endless}) {
    CAPTURE(reply.substr(0, 20));
    for (int at = 0; at < 5; ++at) {
      CAPTURE(at);
      World world;
      Script script;
      const char* good[] = {"220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"};
      const char* commands[] = {"", "EHLO", "MAIL", "RCPT", "DATA"};
      for (int i = 0; i <= at; ++i) {
        if (i > 0) script.expect_line(commands[i]);
        script.send(i == at ? reply : good[i]);
      }
      ScriptedPeer peer({script, Script().send(reply)});
      Opened opened = world.open(peer);
      if (at < 2) {
        REQUIRE(opened.outcome.failure);
        CHECK(opened.outcome.failure->reason == Reason::smtp_reply);
        CHECK(opened.outcome.failure->text.starts_with("450 4.5.0 "));
        CHECK(opened.outcome.failure->text.find("malformed") != std::string::npos);
        continue;
      }
      REQUIRE(opened.client);
      const Sent sent = world.send(*opened.client, envelope(), text("x\r\n"));
      CHECK(fate(sent) == smtp::Fate::deferred);
      CHECK(sent.settled.recipients[0].reply.text.find("malformed") != std::string::npos);
      CHECK_FALSE(opened.client->usable());
    }
  }
}

TEST_CASE(
    "MX-25: a close after EHLO, or one answer too many, is followed by HELO over a new connection; not where TLS is a "
    "must") {
  for (const bool stray : {false, true}) {
    for (const hop::Tls tls : {hop::Tls::if_offered, hop::Tls::must}) {
      CAPTURE(stray);
      CAPTURE(static_cast<int>(tls));
      World world;
      world.target.plan.tls = tls;
      Script first;
      first.send("220 old\r\n").expect(ehlo);
      if (stray) first.send("250 old\r\n250 and more\r\n");
      ScriptedPeer peer({first, Script()
                                    .send("220 old\r\n")
                                    .expect("HELO relay.example.net\r\n")
                                    .send("250 old\r\n")
                                    .expect("MAIL FROM:<alice@example.net>\r\n")
                                    .send("250 ok\r\n")
                                    .expect(rcpt(1))
                                    .send("250 ok\r\n")
                                    .expect("DATA\r\n")
                                    .send("354 go\r\n")
                                    .expect_until("\r\n.\r\n")
                                    .send("250 ok\r\n")});
      Opened opened = world.open(peer);
      CHECK((opened.client != nullptr) == (tls == hop::Tls::if_offered));
      if (!opened.client) continue;
      CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::accepted);
    }
  }
}

TEST_CASE("MX-25: a parameter that is refused is left out, as far as the message allows") {
  World world;
  const std::string offers = "250-mx\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n";
  ScriptedPeer peer(greeted(offers)
                        .expect("MAIL FROM:<alice@example.net> SIZE=20 BODY=8BITMIME RET=HDRS\r\n")
                        .send("555 5.5.4 unsupported option\r\n")
                        .expect("RSET\r\n")
                        .send("250 ok\r\n")
                        .expect("MAIL FROM:<alice@example.net> BODY=8BITMIME\r\n")
                        .send("504 5.5.4 nor this\r\n")
                        .expect("RSET\r\n")
                        .send("250 ok\r\n")
                        .expect("MAIL FROM:<alice@example.net>\r\n")
                        .send("555 5.5.4 never\r\n")
                        .expect("RSET\r\n")
                        .send("250 ok\r\n"));
  Opened opened = world.open(peer);
  REQUIRE(opened.client);
  smtp::Envelope some = envelope();
  some.body = smtp::Body::eight_bit_mime;
  some.ret = smtp::Ret::headers;
  Sent sent = world.send(*opened.client, some, text("x\r\n"));
  CHECK(sent.again);
  CHECK(fate(sent) == smtp::Fate::later);
  CHECK_FALSE(opened.client->peer().dsn);
  CHECK(opened.client->peer().eight_bit_mime);
  sent = world.send(*opened.client, some, text("x\r\n"));
  CHECK(sent.again);
  CHECK_FALSE(opened.client->peer().eight_bit_mime);
  some.body = smtp::Body::seven_bit;
  sent = world.send(*opened.client, some, text("x\r\n"));
  CHECK_FALSE(sent.again);
  CHECK(fate(sent) == smtp::Fate::refused);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("TLS-14: a session that ends inside TLS before EHLO is answered is a failed handshake") {
  for (const bool demands : {false, true}) {
    CAPTURE(demands);
    World world;
    world.demand_dane(world.leaf);
    PeerTls tls = world.peer_tls;
    if (demands) tls.client_ca = world.dir.write("clients.pem", world.ca.pem());
    ScriptedPeer peer(
        greeted("250-mx\r\n250 STARTTLS\r\n").expect("STARTTLS\r\n").send("220 go\r\n").start_tls(tls).receive());
    const Opened opened = world.open(peer);
    CHECK_FALSE(opened.client);
    CHECK(opened.outcome.stage == Stage::handshake);
    REQUIRE(opened.outcome.failure);
    CHECK(opened.outcome.failure->reason == Reason::validation_failure);
    CHECK_FALSE(opened.outcome.failure->code.empty());
    peer.finish();
  }
}

}  // namespace smtpclient_step_test
