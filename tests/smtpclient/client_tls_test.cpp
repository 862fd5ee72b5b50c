// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/ascii.h"
#include "smtpclient/client.h"
#include "tests/smtpclient/world.h"

namespace smtpclient_client_tls_test {

using namespace hoplock;
using namespace hoplock::smtpclient;
using namespace hoplock::smtpclient::testing;

namespace {
const std::string with_tls = "250-mx.example.org\r\n250 STARTTLS\r\n";

bool proceeds(const World& world, const Opened& opened) {
  return std::holds_alternative<hop::Proceed>(hop::after(world.target.plan, opened.outcome));
}
hop::Refusal refusal(const World& world, const Opened& opened) {
  return std::get<hop::NextHost>(hop::after(world.target.plan, opened.outcome)).why;
}

Script taken(Script script) {
  return script.expect_line("MAIL")
      .send("250 ok\r\n")
      .expect_line("RCPT")
      .send("250 ok\r\n")
      .expect("DATA\r\n")
      .send("354 go\r\n");
}
}  // namespace

TEST_CASE("DANE-09: TLS and a matching record come before MAIL") {
  World world;
  world.demand_dane(world.leaf);
  ScriptedPeer peer(
      taken(world.starttls().expect(ehlo).send("250 mx\r\n")).expect_until("\r\n.\r\n").send("250 ok\r\n"));
  Opened opened = world.open(peer);
  REQUIRE(opened.client);
  CHECK(proceeds(world, opened));
  CHECK(opened.outcome.tls->version == "TLSv1.3");
  CHECK(opened.outcome.tls->sni == "mx.example.org");
  CHECK(opened.outcome.dane->matched->params() == "3 1 1");
  CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::accepted);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("RPT-16: what the server called itself in its greeting is kept, whatever became of the session") {
  struct Row {
    const char* greeting;
    const char* helo;
  };
  for (const Row& row : {Row{"220 mx.example.org ESMTP ready\r\n", "mx.example.org"}, Row{"220 alone\r\n", "alone"},
                         Row{"220 \r\n", ""}, Row{"220-first.example hi\r\n220 second\r\n", "first.example"},
                         Row{"554 mx.example.org no\r\n", "mx.example.org"}}) {
    CAPTURE(row.greeting);
    World world;
    ScriptedPeer peer(Script().send(row.greeting).close());
    CHECK(world.open(peer).outcome.helo == row.helo);
  }
}

TEST_CASE("DANE-09: after a mismatch nothing but QUIT is said inside TLS") {
  World world;
  const Certificate other({.dns = {"mx.example.org"}}, world.ca);
  world.demand_dane(other);
  ScriptedPeer peer(world.starttls().expect("QUIT\r\n").send("221 bye\r\n").expect_end());
  const Opened opened = world.open(peer);
  CHECK_FALSE(opened.client);
  CHECK(opened.outcome.tls);
  CHECK(refusal(world, opened).reason == Reason::tlsa_invalid);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("DANE-09: a server that offers no STARTTLS, or refuses it, gets no mail under DANE") {
  World world;
  world.demand_dane(world.leaf);
  ScriptedPeer silent(greeted().expect("QUIT\r\n").send("221 bye\r\n"));
  CHECK(refusal(world, world.open(silent)).reason == Reason::starttls_not_supported);
  CHECK(silent.finish() == Problems{});
  ScriptedPeer refusing(
      greeted(with_tls).expect("STARTTLS\r\n").send("454 no\r\n").expect("QUIT\r\n").send("221 bye\r\n"));
  CHECK(refusal(world, world.open(refusing)).reason == Reason::starttls_not_supported);
  CHECK(refusing.finish() == Problems{});
}

TEST_CASE("TLS-09: octets in clear after the 220 to STARTTLS end the attempt, with no retry in clear") {
  // with the 220 in one packet, and a moment later
  for (const bool later : {false, true}) {
    CAPTURE(later);
    World world;
    world.target.plan.tls = hop::Tls::if_offered;
    Script script = greeted(with_tls).expect("STARTTLS\r\n");
    if (later) {
      script.send("220 go\r\n").send("250 injected\r\n");
    } else {
      script.send("220 go\r\n250 injected\r\n");
    }
    ScriptedPeer peer(script.stall());
    Options impatient = options();
    impatient.command_timeout = 300ms;
    const Opened opened = world.open(peer, impatient);
    CHECK_FALSE(opened.client);
    CHECK(opened.outcome.failure->reason == Reason::validation_failure);
    peer.finish();
    CHECK(peer.received().find("MAIL") == std::string::npos);
    if (!later) CHECK(std::holds_alternative<hop::NextHost>(hop::after(world.target.plan, opened.outcome)));
  }
}

TEST_CASE("TLS-09: EHLO is repeated inside TLS, and what was offered before counts no more") {
  World world;
  world.demand_dane(world.leaf);
  // PIPELINING and SIZE were offered in clear only
  ScriptedPeer peer(world.starttls("250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 STARTTLS\r\n")
                        .expect(ehlo)
                        .send("250 mx\r\n")
                        .expect(mail)
                        .send("250 ok\r\n")
                        .expect(rcpt(1))
                        .send("250 ok\r\n")
                        .expect("DATA\r\n")
                        .send("354 go\r\n")
                        .expect_until("\r\n.\r\n")
                        .send("250 ok\r\n"));
  Opened opened = world.open(peer);
  REQUIRE(opened.client);
  CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::accepted);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("TLS-11: TLS that ends without a complete reply to the final dot is a temporary failure") {
  const struct {
    const char* said;
    bool orderly;
  } rows[] = {{"", true}, {"", false}, {"250", true}, {"250-first\r\n", true}, {"250-first\r\n25", false}};
  for (const auto& row : rows) {
    CAPTURE(row.said);
    CAPTURE(row.orderly);
    World world;
    world.demand_dane(world.leaf);
    Script script = taken(world.starttls().expect(ehlo).send("250 mx\r\n")).expect_until("\r\n.\r\n");
    if (*row.said != '\0') script.send(row.said);
    ScriptedPeer peer(row.orderly ? script.close() : script.truncate());
    Opened opened = world.open(peer);
    REQUIRE(opened.client);
    const Sent sent = world.send(*opened.client, envelope(), text("x\r\n"));
    CHECK(fate(sent) == smtp::Fate::unanswered);
    CHECK(sent.handed_over);
  }
}

TEST_CASE("a broken handshake leaves a connection that nobody speaks on") {
  World world;
  world.target.plan.tls = hop::Tls::if_offered;
  ScriptedPeer peer(
      greeted(with_tls).expect("STARTTLS\r\n").send("220 go\r\n").receive().send("no TLS here\r\n").stall());
  const Opened opened = world.open(peer);
  CHECK_FALSE(opened.client);
  CHECK(opened.outcome.stage == Stage::handshake);
  CHECK(opened.outcome.failure->reason == Reason::validation_failure);
  CHECK(std::holds_alternative<hop::RetryInClear>(hop::after(world.target.plan, opened.outcome)));
  peer.finish();
  CHECK(peer.received().find("QUIT") == std::string::npos);
}

TEST_CASE("cut at every step with TLS: no session becomes ready that is not") {
  World world;
  world.demand_dane(world.leaf);
  const Script whole = world.starttls().expect(ehlo).send("250 mx\r\n").expect_line("MAIL");
  cut_at_every_step(whole, [&](const Script& script, const std::string& where) {
    CAPTURE(where);
    ScriptedPeer peer(script);
    Opened opened = world.open(peer);
    if (!opened.client) {
      CHECK((opened.outcome.failure || !proceeds(world, opened)));
      return;
    }
    CHECK(proceeds(world, opened));
    CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::unanswered);
  });
}

namespace {
const std::string plain = "AUTH PLAIN " + to_base64(std::string("\0user\0secret", 12)) + "\r\n";

void give_login(World& world) {
  world.target.login = std::make_shared<const Login>(Login{"user", "secret"});
  world.target.plan.tls = hop::Tls::if_offered;
  world.target.plan.on_failure = hop::OnFailure::plaintext;
}
}  // namespace

TEST_CASE("a login is said by AUTH PLAIN inside TLS, before MAIL") {
  World world;
  give_login(world);
  ScriptedPeer peer(world.starttls()
                        .expect(ehlo)
                        .send("250-mx\r\n250 AUTH LOGIN PLAIN\r\n")
                        .expect(plain)
                        .send("235 2.7.0 hello\r\n"));
  CHECK(world.open(peer).client);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("a login is said by AUTH LOGIN where PLAIN is not offered") {
  World world;
  give_login(world);
  ScriptedPeer peer(world.starttls()
                        .expect(ehlo)
                        .send("250-mx\r\n250 AUTH LOGIN\r\n")
                        .expect("AUTH LOGIN\r\n")
                        .send("334 VXNlcm5hbWU6\r\n")
                        .expect(to_base64("user") + "\r\n")
                        .send("334 UGFzc3dvcmQ6\r\n")
                        .expect(to_base64("secret") + "\r\n")
                        .send("235 ok\r\n"));
  CHECK(world.open(peer).client);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("a login is never said in clear, whatever the server offers there") {
  World world;
  give_login(world);
  ScriptedPeer peer(greeted("250-mx\r\n250 AUTH PLAIN LOGIN\r\n").expect("QUIT\r\n").send("221 bye\r\n"));
  const Opened opened = world.open(peer);
  CHECK_FALSE(opened.client);
  CHECK(opened.outcome.failure->reason == Reason::starttls_not_supported);
  CHECK(std::holds_alternative<hop::NextHost>(hop::after(world.target.plan, opened.outcome)));
  CHECK(peer.finish() == Problems{});
  world.target.plan.tls = hop::Tls::never;  // nor on a retry in clear
  ScriptedPeer again(greeted(with_tls).expect("QUIT\r\n").send("221 bye\r\n"));
  CHECK_FALSE(world.open(again).client);
  CHECK(again.finish() == Problems{});
}

TEST_CASE("a refused login is the server's reply, and the mail waits") {
  World world;
  give_login(world);
  ScriptedPeer peer(world.starttls()
                        .expect(ehlo)
                        .send("250-mx\r\n250 AUTH PLAIN\r\n")
                        .expect(plain)
                        .send("535 5.7.8 wrong\r\n")
                        .expect("QUIT\r\n")
                        .send("221 bye\r\n"));
  const Opened opened = world.open(peer);
  CHECK_FALSE(opened.client);
  CHECK(refusal(world, opened).reason == Reason::smtp_reply);
  CHECK(refusal(world, opened).text == "535 5.7.8 wrong");
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("a server that repeats the secret of a login brings it into no log and no notice") {
  World world;
  give_login(world);
  ScriptedPeer peer(world.starttls()
                        .expect(ehlo)
                        .send("250-mx\r\n250 AUTH PLAIN\r\n")
                        .expect(plain)
                        .send("535 5.7.8 wrong: " + plain)
                        .expect("QUIT\r\n")
                        .send("221 bye\r\n"));
  CHECK(refusal(world, world.open(peer)).text == "535 5.7.8 wrong: AUTH PLAIN ***");
  CHECK(peer.finish() == Problems{});
}

}  // namespace smtpclient_client_tls_test
