// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/client.h"

#include <doctest/doctest.h>

#include "tests/smtpclient/world.h"

namespace smtpclient_client_test {

using namespace hoplock;
using namespace hoplock::smtpclient;
using namespace hoplock::smtpclient::testing;

namespace {
asio::awaitable<bool> never() { co_return false; }
}  // namespace

TEST_CASE("a message goes command by command to a server without PIPELINING") {
  World world;
  const Sent sent = world.converse(greeted()
                                       .expect(mail)
                                       .send("250 ok\r\n")
                                       .expect(rcpt(1))
                                       .send("250 ok\r\n")
                                       .expect("DATA\r\n")
                                       .send("354 go\r\n")
                                       .expect("Subject: x\r\n\r\nhi\r\n.\r\n")
                                       .send("250 2.0.0 taken\r\n")
                                       .expect("QUIT\r\n")
                                       .send("221 bye\r\n")
                                       .expect_end());
  CHECK(world.problems == Problems{});
  CHECK(fate(sent) == smtp::Fate::accepted);
  CHECK(sent.settled.recipients[0].reply.one_line() == "250 2.0.0 taken");
  CHECK(sent.handed_over);
  CHECK(world.usable);
}

TEST_CASE("to a server with PIPELINING it goes as one group, and each recipient has its own answer") {
  World world;
  const Sent sent =
      world.converse(greeted(pipelining)
                         .expect(mail + rcpt(1) + rcpt(2) + rcpt(3) + "DATA\r\n")
                         .send("250 ok\r\n250 ok\r\n550 5.1.1 no such user\r\n450 4.2.0 later\r\n354 go\r\n")
                         .expect("Subject: x\r\n\r\nhi\r\n.\r\n")
                         .send("250 ok\r\n"),
                     3);
  CHECK(world.problems == Problems{});
  CHECK(fate(sent, 0) == smtp::Fate::accepted);
  CHECK(fate(sent, 1) == smtp::Fate::refused);
  CHECK(fate(sent, 2) == smtp::Fate::deferred);
}

TEST_CASE("a line that begins with a dot is stuffed, and content without a last CRLF gets one") {
  World world;
  world.converse(greeted(pipelining)
                     .expect(mail + rcpt(1) + "DATA\r\n")
                     .send("250 ok\r\n250 ok\r\n354 go\r\n")
                     .expect("..\r\n...\r\na.\r\n..x\r\n.\r\n")
                     .send("250 ok\r\n"),
                 1, ".\r\n..\r\na.\r\n.x");
  CHECK(world.problems == Problems{});
}

TEST_CASE("a 354 when every recipient was refused is answered with a lone dot, and the next transaction is clean") {
  World world;
  ScriptedPeer peer(greeted(pipelining)
                        .expect(mail + rcpt(1) + "DATA\r\n")
                        .send("250 ok\r\n550 no\r\n354 go\r\n")
                        .expect(".\r\n")
                        .send("554 no valid recipients\r\n")
                        .expect(mail + rcpt(1) + "DATA\r\n")
                        .send("250 ok\r\n250 ok\r\n354 go\r\n")
                        .expect("x\r\n.\r\n")
                        .send("250 ok\r\n"));
  Opened opened = world.open(peer);
  CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::refused);
  REQUIRE(opened.client->usable());
  CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::accepted);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("after a transaction that ended before its content comes RSET") {
  World world;
  ScriptedPeer peer(greeted()
                        .expect(mail)
                        .send("250 ok\r\n")
                        .expect(rcpt(1))
                        .send("550 no\r\n")
                        .expect("RSET\r\n")
                        .send("250 ok\r\n")
                        .expect(mail)
                        .send("250 ok\r\n")
                        .expect(rcpt(1))
                        .send("550 no\r\n"));
  Opened opened = world.open(peer);
  world.send(*opened.client, envelope(), text("x\r\n"));
  CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::refused);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("MX-10: 5yz to MAIL is final for every recipient, and stays so when the server closes right after it") {
  for (const std::string& offers : {std::string("250 mx.example.org\r\n"), pipelining}) {
    World world;
    const Sent sent = world.converse(greeted(offers).expect_line("MAIL FROM").send("550 5.7.1 not you\r\n").close(), 2);
    CHECK(fate(sent, 0) == smtp::Fate::refused);
    CHECK(fate(sent, 1) == smtp::Fate::refused);
    CHECK(sent.settled.recipients[1].reply.one_line() == "550 5.7.1 not you");
    CHECK_FALSE(sent.handed_over);
  }
}

TEST_CASE("MX-10: 5yz to the data is final, 4yz is not, and both leave the session open") {
  for (const int answer : {554, 451}) {
    World world;
    const Sent sent = world.converse(greeted(pipelining)
                                         .expect_until("DATA\r\n")
                                         .send("250 ok\r\n250 ok\r\n354 go\r\n")
                                         .expect_until("\r\n.\r\n")
                                         .send(std::to_string(answer) + " no\r\n"));
    CHECK(fate(sent) == (answer == 554 ? smtp::Fate::refused : smtp::Fate::deferred));
    CHECK(world.usable);
  }
}

TEST_CASE("MX-10: 421 at any command ends the session and defers; 521 disqualifies the host only") {
  for (const char* answer : {"421 4.3.2 closing\r\n", "521 5.3.2 no mail here\r\n"}) {
    for (int at = 0; at < 4; ++at) {
      CAPTURE(answer);
      CAPTURE(at);
      World world;
      Script script = greeted();
      const char* commands[] = {"MAIL", "RCPT", "DATA"};
      for (int i = 0; i < 3; ++i) {
        script.expect_line(commands[i]);
        if (i == at) break;
        script.send(i == 2 ? "354 go\r\n" : "250 ok\r\n");
      }
      if (at == 3) script.expect_until("\r\n.\r\n");
      const Sent sent = world.converse(script.send(answer));
      CHECK(fate(sent) == smtp::Fate::deferred);
      const bool of_recipient = at == 1 && answer[0] == '5';
      CHECK(world.usable == of_recipient);
    }
  }
}

// "550 5.1.1 no such user" was kept for five days as out of step.
TEST_CASE("MX-22: a server that does not know RSET is believed its refusal; one that answers something else is not") {
  const struct {
    const char* answer;
    smtp::Fate follows;
  } rows[] = {{"502 5.5.1 RSET not implemented\r\n", smtp::Fate::refused},
              {"500 what?\r\n", smtp::Fate::refused},
              {"502 what?\r\n250 ok\r\n", smtp::Fate::deferred},
              {"503 5.5.1 MAIL first\r\n", smtp::Fate::deferred},
              {"354 go\r\n", smtp::Fate::deferred}};
  for (const auto& row : rows) {
    CAPTURE(row.answer);
    World world;
    const Sent sent = world.converse(greeted()
                                         .expect(mail)
                                         .send("250 ok\r\n")
                                         .expect(rcpt(1))
                                         .send("550 5.1.1 no such user\r\n")
                                         .expect("RSET\r\n")
                                         .send(row.answer));
    CHECK(fate(sent) == row.follows);
    CHECK_FALSE(world.usable);
  }
}

TEST_CASE("MX-12: silence after the final dot is a temporary failure, and told as handed over") {
  World world;
  ScriptedPeer peer(greeted(pipelining)
                        .expect_until("DATA\r\n")
                        .send("250 ok\r\n250 ok\r\n354 go\r\n")
                        .expect_until("\r\n.\r\n")
                        .stall());
  Options impatient = options();
  impatient.data_timeout = 100ms;
  Opened opened = world.open(peer, impatient);
  const Sent sent = world.send(*opened.client, envelope(), text("x\r\n"));
  CHECK(fate(sent) == smtp::Fate::unanswered);
  CHECK(sent.handed_over);
  CHECK_FALSE(opened.client->usable());
}

TEST_CASE("MX-12: silence at the greeting or at a command is a temporary failure in time") {
  Options impatient = options();
  impatient.command_timeout = 100ms;
  {
    World world;
    ScriptedPeer peer(Script().stall());
    const Opened opened = world.open(peer, impatient);
    CHECK_FALSE(opened.client);
    CHECK(opened.outcome.stage == Stage::greeting);
    CHECK(opened.outcome.failure->reason == Reason::connection_lost);
    CHECK(opened.outcome.failure->text == "the server did not answer in time");
  }
  World world;
  ScriptedPeer peer(greeted().expect(mail).stall());
  Opened opened = world.open(peer, impatient);
  REQUIRE(opened.client);
  CHECK(fate(world.send(*opened.client, envelope(), text("x\r\n"))) == smtp::Fate::unanswered);
}

TEST_CASE("a server that takes its time for each command of a group is waited for") {
  World world;
  Script script = greeted(pipelining).expect_until("DATA\r\n");
  for (const char* reply : {"250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"}) script.pause(60ms).send(reply);
  ScriptedPeer peer(script.expect_until("\r\n.\r\n").send("250 ok\r\n"));
  Options impatient = options();
  impatient.command_timeout = 150ms;  // less than the group takes
  Opened opened = world.open(peer, impatient);
  CHECK(fate(world.send(*opened.client, envelope(2), text("x\r\n"))) == smtp::Fate::accepted);
}

TEST_CASE("MX-13: 452 and 552 to RCPT mean the rest later, not a bounce") {
  World world;
  const Sent sent = world.converse(greeted(pipelining)
                                       .expect_until("DATA\r\n")
                                       .send("250 ok\r\n250 ok\r\n452 too many\r\n552 too many\r\n354 go\r\n")
                                       .expect_until("\r\n.\r\n")
                                       .send("250 ok\r\n"),
                                   3);
  CHECK(fate(sent, 0) == smtp::Fate::accepted);
  CHECK(fate(sent, 1) == smtp::Fate::later);
  CHECK(fate(sent, 2) == smtp::Fate::later);
}

TEST_CASE("MX-14: HELO follows a refused EHLO, and nothing is asked of extensions then") {
  World world;
  world.target.plan.tls = hop::Tls::if_offered;
  const Sent sent = world.converse(Script()
                                       .send("220 old\r\n")
                                       .expect(ehlo)
                                       .send("502 what?\r\n")
                                       .expect("HELO relay.example.net\r\n")
                                       .send("250 old\r\n")
                                       .expect(mail)
                                       .send("250 ok\r\n")
                                       .expect(rcpt(1))
                                       .send("250 ok\r\n")
                                       .expect("DATA\r\n")
                                       .send("354 go\r\n")
                                       .expect_until("\r\n.\r\n")
                                       .send("250 ok\r\n"));
  CHECK(world.problems == Problems{});
  CHECK(fate(sent) == smtp::Fate::accepted);
}

TEST_CASE("MX-14: no HELO after 4yz, and none where a policy needs TLS") {
  const struct {
    const char* reply;
    hop::Tls tls;
    const char* why;
  } rows[] = {
      {"451 busy\r\n", hop::Tls::never, "not a refusal of EHLO"},
      {"521 no mail\r\n", hop::Tls::never, "RFC 7504: no mail at all"},
      {"502 what?\r\n", hop::Tls::must, "HELO would end TLS"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    World world;
    world.target.plan.tls = row.tls;
    ScriptedPeer peer(Script().send("220 mx\r\n").expect(ehlo).send(row.reply).expect("QUIT\r\n").send("221 bye\r\n"));
    const Opened opened = world.open(peer);
    CHECK_FALSE(opened.client);
    CHECK(opened.outcome.stage == Stage::ehlo);
    CHECK(opened.outcome.failure->reason == Reason::smtp_reply);
    CHECK(peer.finish() == Problems{});
  }
}

TEST_CASE("a greeting that is none ends the session, as the server's reply or as a malformed one") {
  World world;
  ScriptedPeer refusing(Script().send("554 5.7.1 go away\r\n").expect("QUIT\r\n").send("221 bye\r\n"));
  const Opened refused = world.open(refusing);
  CHECK(refused.outcome.failure->reason == Reason::smtp_reply);
  CHECK(refused.outcome.failure->text == "554 5.7.1 go away");
  CHECK(refused.outcome.reply->code == 554);
  ScriptedPeer babbling(Script().send("HTTP/1.1 200 OK\r\n").expect_end());
  const Opened babble = world.open(babbling);
  CHECK(babble.outcome.failure->reason == Reason::smtp_reply);
  CHECK(babble.outcome.failure->text.find("malformed") != std::string::npos);
}

TEST_CASE("a refused connection and a server that is not there have reasons of their own") {
  World world;
  std::uint16_t port = 0;
  {
    ScriptedPeer gone(Script().close());
    port = gone.port();
    world.open(gone);
  }
  Target to = world.target;
  to.at = {loopback, port};
  const Opened opened = world.loop.run(Client::open(std::move(to), *world.tls, options()));
  CHECK(opened.outcome.stage == Stage::connect);
  CHECK(opened.outcome.failure->reason == Reason::connect_refused);
}

TEST_CASE("large content is streamed piece by piece, the dot in the last write") {
  World world;
  std::string whole;
  for (int i = 0; i < 40; ++i) whole += ".line " + std::to_string(i) + std::string(50'000, 'x') + "\r\n";
  std::string stuffed;
  for (std::size_t at = 0, end; at < whole.size(); at = end) {
    end = whole.find('\n', at) + 1;
    stuffed += "." + whole.substr(at, end - at);
  }
  ScriptedPeer peer(greeted(pipelining)
                        .expect_until("DATA\r\n")
                        .send("250 ok\r\n250 ok\r\n354 go\r\n")
                        .expect(stuffed + ".\r\n")
                        .send("250 ok\r\n"));
  Opened opened = world.open(peer);
  Content content;
  content.chunks = static_cast<std::uint32_t>((whole.size() + 65535) / 65536);
  content.read = [&whole](std::uint32_t n) -> asio::awaitable<Result<std::string>> {
    return [](std::string chunk) -> asio::awaitable<Result<std::string>> {
      co_return chunk;
    }(whole.substr(n * 65536ULL, 65536));
  };
  CHECK(fate(world.send(*opened.client, envelope(), content)) == smtp::Fate::accepted);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("a damaged chunk breaks the connection before the final dot: nothing torn is ever complete") {
  World world;
  ScriptedPeer peer(greeted(pipelining).expect_until("DATA\r\n").send("250 ok\r\n250 ok\r\n354 go\r\n").stall());
  Opened opened = world.open(peer);
  Content content;
  content.chunks = 3;
  content.read = [](std::uint32_t n) -> asio::awaitable<Result<std::string>> {
    if (n == 1) co_return fail(errc::bad_message, "chunk 1: checksum");
    co_return std::string("piece\r\n");
  };
  const Sent sent = world.send(*opened.client, envelope(), content);
  CHECK(fate(sent) == smtp::Fate::unanswered);
  CHECK(sent.begun);
  CHECK_FALSE(sent.handed_over);
  REQUIRE(sent.unreadable);
  CHECK(sent.unreadable->detail == "chunk 1: checksum");
  CHECK_FALSE(opened.client->usable());
  peer.finish();
  CHECK(peer.received().ends_with("DATA\r\npiece\r\n"));
}

TEST_CASE("SUB-29: without leave there is no final dot and no last chunk, and nobody counts as delivered") {
  for (const bool chunks : {false, true}) {
    CAPTURE(chunks);
    World world;
    ScriptedPeer peer(chunks ? greeted("250-mx.example.org\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME\r\n")
                                   .expect_until("\r\nRCPT TO:<r1@example.org>\r\n")
                                   .send("250 ok\r\n250 ok\r\n")
                                   .expect_end()
                             : greeted(pipelining)
                                   .expect(mail + rcpt(1) + "DATA\r\n")
                                   .send("250 ok\r\n250 ok\r\n354 go\r\n")
                                   .expect_end());
    Opened opened = world.open(peer);
    REQUIRE(opened.client);
    smtp::Envelope to = envelope();
    if (chunks) to.body = smtp::Body::binary_mime;
    Content content = text("x\r\n");
    content.leave = never;
    const Sent sent = world.send(*opened.client, std::move(to), std::move(content));
    CHECK(sent.withheld);
    CHECK_FALSE(sent.handed_over);
    CHECK(fate(sent) == smtp::Fate::unanswered);
    CHECK_FALSE(opened.client->usable());
    CHECK(peer.finish() == Problems{});
  }
}

TEST_CASE("cut at every step: what was not confirmed is never taken for delivered, and nothing hangs") {
  const Script whole = greeted(pipelining)
                           .expect_until("DATA\r\n")
                           .send("250 ok\r\n")
                           .send("250 ok\r\n550 no\r\n")
                           .send("354 go\r\n")
                           .expect_until("\r\n.\r\n")
                           .send("250 ok\r\n");
  cut_at_every_step(whole, [&](const Script& script, const std::string& where) {
    CAPTURE(where);
    World world;
    ScriptedPeer peer(script);
    Opened opened = world.open(peer);
    const bool complete = script.size() == whole.size() + 1;
    if (!opened.client) {
      CHECK(opened.outcome.failure);
      return;
    }
    const Sent sent = world.send(*opened.client, envelope(2), text("x\r\n"));
    if (!complete) CHECK(fate(sent, 0) != smtp::Fate::accepted);
    if (!complete) CHECK(fate(sent, 0) != smtp::Fate::refused);
    if (fate(sent, 1) == smtp::Fate::refused) CHECK(code(sent, 1) == 550);
    world.loop.run(opened.client->quit());
  });
}

}  // namespace smtpclient_client_test
