// SPDX-License-Identifier: Apache-2.0
// The receiving session, a line at a time: order, codes, state. What needs a socket (time-outs, the handshake itself)
// is tested with the listener.
#include "smtp/session.h"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/smtp/relay.h"

namespace smtp_session_test {

using namespace hoplock;
using namespace hoplock::smtp;
using test::code_of;
using test::options;

namespace {

// Speaks to a Session and keeps what it said last.
struct Dialog {
  Session session;
  Facts facts;
  Action action = Action::none;

  explicit Dialog(SessionOptions some = options(), Relay relay = Relay::allowed, Channel channel = Channel::clear)
      : session(std::move(some), relay, channel) {}

  std::string hear(const Answer& answer) {
    action = answer.action;
    return answer.reply.to_wire();
  }
  std::string say(std::string_view line) { return hear(session.take(line, facts)); }
  // The codes at the start of the reply: "250 2.1.0", "354".
  std::string code(std::string_view line) { return code_of(session.take(line, facts).reply); }
  Dialog& greeted() {
    CHECK(say("EHLO client.example").starts_with("250-relay.example.net\r\n"));
    return *this;
  }
};

EndOfData stored(std::string id) {
  EndOfData end;
  end.id = std::move(id);
  return end;
}

EndOfData unfit(Content content) {
  EndOfData end;
  end.content = content;
  return end;
}

}  // namespace

TEST_CASE("a whole transaction: codes, actions, envelope") {
  Dialog dialog;
  CHECK(dialog.hear(dialog.session.greet(Session::Client::silent)) == "220 relay.example.net ESMTP hoplock\r\n");
  CHECK(dialog.say("EHLO client.example") ==
        "250-relay.example.net\r\n250-SIZE "
        "52428800\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-"
        "DSN\r\n250-ENHANCEDSTATUSCODES\r\n250 STARTTLS\r\n");
  CHECK(dialog.say("MAIL FROM:<a@example.org> SIZE=1000 BODY=8BITMIME") == "250 2.1.0 Ok\r\n");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "250 2.1.5 Ok\r\n");
  CHECK(dialog.say("rcpt to: <c@example.com> ") == "250 2.1.5 Ok\r\n");
  CHECK(dialog.say("DATA") == "354 End data with <CR><LF>.<CR><LF>\r\n");
  CHECK(dialog.action == Action::receive_data);
  const Envelope& envelope = dialog.session.envelope();
  CHECK(envelope.sender.text() == "a@example.org");
  REQUIRE(envelope.recipients.size() == 2);
  CHECK(envelope.recipients[1].mailbox.text() == "c@example.com");
  CHECK(envelope.body == Body::eight_bit_mime);
  CHECK(envelope.size == 1000);
  CHECK(dialog.session.helo() == "client.example");
  CHECK(dialog.session.protocol() == "ESMTP");
  CHECK(dialog.hear(dialog.session.end_of_data(stored("4Xy0aB12"))) == "250 2.0.0 Ok: queued as 4Xy0aB12\r\n");
  CHECK(dialog.session.messages() == 1);
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.say("QUIT") == "221 2.0.0 relay.example.net closing connection\r\n");
  CHECK(dialog.action == Action::close);
}

TEST_CASE("SUB-01: a client outside the allow list is refused at RCPT with 550 5.7.1, and DATA then leads to nothing") {
  Dialog dialog(options(), Relay::refused);
  dialog.greeted();
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "550 5.7.1");
  CHECK(dialog.code("RCPT TO:<@relay.example.net:b@example.com>") == "550 5.7.1");
  CHECK(dialog.code("RCPT TO:<b%example.com@[127.0.0.1]>") == "550 5.7.1");
  CHECK(dialog.code("DATA") == "554 5.5.1");
  CHECK(dialog.session.envelope().recipients.empty());
}

TEST_CASE("SUB-02: a client that speaks before the banner gets 554 5.5.1 and the end; else the banner names the host") {
  Dialog dialog;
  CHECK(dialog.hear(dialog.session.greet(Session::Client::spoke)).starts_with("554 5.5.1 relay.example.net "));
  CHECK(dialog.action == Action::close);
  CHECK(dialog.hear(dialog.session.greet(Session::Client::silent)).starts_with("220 relay.example.net "));
  CHECK(dialog.action == Action::none);
}

TEST_CASE(
    "SUB-03, SUB-12: STARTTLS is listed in clear only, one keyword a line; EHLO clears the transaction; HELO has no "
    "extensions") {
  Dialog dialog;
  CHECK(dialog.say("EHLO c.example").find("STARTTLS") != std::string::npos);
  dialog.session.tls_started();
  const std::string inside = dialog.say("EHLO c.example");
  CHECK(inside.find("STARTTLS") == std::string::npos);
  CHECK(inside.find("250-8BITMIME\r\n") != std::string::npos);
  CHECK(dialog.session.protocol() == "ESMTPS");
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  dialog.greeted();
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "503 5.5.1");
  CHECK(dialog.say("HELO c.example") == "250 relay.example.net\r\n");
  CHECK(dialog.session.protocol() == "SMTP");
  CHECK(dialog.code("MAIL FROM:<a@example.org> SIZE=1") == "555 5.5.4");
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");

  SessionOptions plain = options();
  plain.tls = TlsMode::none;
  CHECK(Dialog(plain).say("EHLO c.example").find("STARTTLS") == std::string::npos);
  Dialog without(options());
  without.facts.tls = Facts::Tls::unavailable;
  CHECK(without.say("EHLO c.example").find("STARTTLS") == std::string::npos);
}

TEST_CASE("SUB-03: a refused EHLO leaves the session as it was") {
  Dialog dialog;
  for (const char* line : {"EHLO", "HELO", "EHLO a b", "EHLO \xc3\xa4.example"})
    CHECK(dialog.code(line) == "501 5.5.4");
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "503 5.5.1");
}

TEST_CASE(
    "SUB-04: wrong order, unknown, unimplemented and unsupported are told apart, and none of them changes state") {
  Dialog dialog;
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "503 5.5.1");
  dialog.greeted();
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "503 5.5.1");
  CHECK(dialog.code("DATA") == "503 5.5.1");
  CHECK(dialog.code("MAIL FROM:<a@example.org> BAR=1") == "555 5.5.4");
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  struct Row {
    const char* line;
    const char* code;
    const char* why;
  };
  const Row rows[] = {
      {"MAIL FROM:<c@example.org>", "503 5.5.1", "second MAIL"},
      {"DATA", "503 5.5.1", "DATA before RCPT"},
      {"FOO", "500 5.5.2", "no such verb"},
      {"", "500 5.5.2", "no verb at all"},
      {"EXPN x", "502 5.5.1", "known, not served"},
      {"AUTH PLAIN", "502 5.5.1", "AUTH is not offered"},
      {"VRFY admin", "252 2.0.0", "discloses nothing"},
      {"VRFY", "501 5.5.4", "needs an argument"},
      {"NOOP whatever", "250 2.0.0", "an argument is let pass"},
      {"RSET now", "501 5.5.4", "takes none"},
      {"QUIT now", "501 5.5.4", "takes none"},
      {"HELP", "214 2.0.0", ""},
      {"NOOP \x01", "500 5.5.2", "a control character"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.line);
    CAPTURE(row.why);
    CHECK(dialog.code(row.line) == row.code);
  }
  CHECK(dialog.code("RCPT TO:<b@example.com> BAR=NEVER") == "555 5.5.4");
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "250 2.1.5");
  CHECK(dialog.code("DATA now") == "501 5.5.4");
  CHECK(dialog.code("DATA") == "354");
  CHECK(dialog.session.envelope().sender.text() == "a@example.org");
}

TEST_CASE("SUB-05: a lone CR or LF ends the session with 500 5.5.2") {
  Dialog dialog;
  CHECK(dialog.hear(dialog.session.bare_newline()).starts_with("500 5.5.2 "));
  CHECK(dialog.action == Action::close);
}

TEST_CASE("SUB-10: octets behind STARTTLS get a refusal and the end") {
  Dialog dialog;
  dialog.greeted();
  CHECK(dialog.code("STARTTLS") == "220 2.0.0");
  CHECK(dialog.hear(dialog.session.octets_after_starttls()).starts_with("554 5.5.1 "));
  CHECK(dialog.action == Action::close);
}

TEST_CASE("SUB-11: the handshake takes the session back to its start: no name, no transaction, EHLO again") {
  Dialog dialog;
  dialog.greeted();
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "250 2.1.5");
  CHECK(dialog.say("STARTTLS").starts_with("220 2.0.0 "));
  CHECK(dialog.action == Action::start_tls);
  dialog.session.tls_started();
  CHECK(dialog.session.helo().empty());
  CHECK(dialog.session.envelope().recipients.empty());
  CHECK(dialog.session.envelope().sender.is_null());
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "503 5.5.1");
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "503 5.5.1");
}

TEST_CASE(
    "SUB-12: STARTTLS with an argument 501, in TLS 503, while TLS is unusable 454; 501 and 454 leave the session "
    "whole") {
  Dialog dialog;
  dialog.greeted();
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.code("STARTTLS now") == "501 5.5.4");
  dialog.facts.tls = Facts::Tls::unavailable;
  CHECK(dialog.say("STARTTLS").starts_with("454 4.7.0 "));
  CHECK(dialog.action == Action::none);
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "250 2.1.5");
  Dialog inside(options(), Relay::allowed, Channel::tls);
  CHECK(inside.greeted().code("STARTTLS") == "503 5.5.1");
  SessionOptions plain = options();
  plain.tls = TlsMode::none;
  CHECK(Dialog(plain).greeted().code("STARTTLS") == "502 5.5.1");
}

TEST_CASE(
    "SUB-13: tls required answers everything but EHLO, HELO, NOOP, STARTTLS and QUIT with 530 5.7.0, until TLS is "
    "there") {
  SessionOptions strict = options();
  strict.tls = TlsMode::required;
  Dialog dialog(strict);
  for (const char* line : {"MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA", "RSET", "VRFY x", "HELP",
                           "FOO", "AUTH PLAIN"}) {
    CAPTURE(line);
    CHECK(dialog.code(line) == "530 5.7.0");
  }
  CHECK(dialog.code("NOOP") == "250 2.0.0");
  CHECK(dialog.say("HELO c.example") == "250 relay.example.net\r\n");
  CHECK(dialog.say("EHLO c.example").find("STARTTLS") != std::string::npos);
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "530 5.7.0");
  CHECK(dialog.code("STARTTLS") == "220 2.0.0");
  dialog.session.tls_started();
  dialog.greeted();
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  Dialog leaving(strict);
  CHECK(leaving.code("QUIT") == "221 2.0.0");
}

TEST_CASE(
    "SUB-14: SIZE= above the limit is 552 5.3.4, above the room there is 452 4.3.1; a full disk refuses every MAIL") {
  SessionOptions small = options();
  small.message_size = 10'000'000;
  Dialog dialog(small);
  CHECK(dialog.say("EHLO c.example").find("250-SIZE 10000000\r\n") != std::string::npos);
  dialog.facts.room = 1'000'000;
  CHECK(dialog.code("MAIL FROM:<a@example.org> SIZE=20000000") == "552 5.3.4");
  CHECK(dialog.code("MAIL FROM:<a@example.org> SIZE=99999999999999999999") == "552 5.3.4");
  CHECK(dialog.code("MAIL FROM:<a@example.org> SIZE=5000000") == "452 4.3.1");
  for (const char* bad : {"SIZE", "SIZE=", "SIZE=-1", "SIZE=1k", "SIZE=999999999999999999999", "SIZE=1 SIZE=1"}) {
    CAPTURE(bad);
    CHECK(dialog.code(std::string("MAIL FROM:<a@example.org> ") + bad) == "501 5.5.4");
  }
  dialog.facts.room = 0;
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "452 4.3.1");
  dialog.facts.room = 1'000'000;
  CHECK(dialog.code("MAIL FROM:<a@example.org> size=10000000") == "452 4.3.1");
  CHECK(dialog.code("MAIL FROM:<a@example.org> size=1000000") == "250 2.1.0");
}

TEST_CASE("DUR-04: DATA is 452 4.3.1 where others took the room since MAIL, and the next message begins anew") {
  Dialog dialog(options());
  dialog.greeted();
  dialog.facts.room = 6'000'000;
  CHECK(dialog.code("MAIL FROM:<a@example.org> SIZE=5000000") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "250 2.1.5");
  dialog.facts.room = 4'000'000;
  CHECK(dialog.code("DATA") == "452 4.3.1");
  CHECK(dialog.code("MAIL FROM:<a@example.org> SIZE=3000000") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<b@example.com>") == "250 2.1.5");
  CHECK(dialog.say("DATA").starts_with("354 "));
}

TEST_CASE("SUB-07, SUB-15, SUB-32: unfit content is refused with its own code, and the session goes on") {
  struct Row {
    Content content;
    const char* reply;
  };
  for (const Row& row : {Row{Content::too_large, "552 5.3.4 "}, Row{Content::bare_newline, "554 5.6.0 "},
                         Row{Content::nul, "554 5.6.0 "}, Row{Content::loop, "554 5.4.6 "}}) {
    Dialog dialog;
    dialog.greeted();
    dialog.say("MAIL FROM:<a@example.org>");
    dialog.say("RCPT TO:<b@example.com>");
    CHECK(dialog.code("DATA") == "354");
    CHECK(dialog.hear(dialog.session.end_of_data(unfit(row.content))).starts_with(row.reply));
    CHECK(dialog.action == Action::none);
    CHECK(dialog.code("RCPT TO:<b@example.com>") == "503 5.5.1");
    CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  }
}

TEST_CASE("SUB-32: judge finds a loop above received_headers, and above five Received fields of our own") {
  const Session session(options(), Relay::allowed, Channel::clear);
  DataDecoder decoder(BareNewline::reject, 1000);
  message::HeaderFacts scan;
  scan.received = 50;
  scan.received_by_us = 5;
  CHECK(session.judge(decoder.content(), scan) == Content::good);
  scan.received = 51;
  CHECK(session.judge(decoder.content(), scan) == Content::loop);
  scan.received = 6;
  scan.received_by_us = 6;
  CHECK(session.judge(decoder.content(), scan) == Content::loop);
  std::string content;
  decoder.feed("x\ny", content);
  CHECK(session.judge(decoder.content(), scan) == Content::bare_newline);
}

TEST_CASE("storage that is full or fails is a temporary refusal") {
  EndOfData end;
  end.stored = EndOfData::Stored::full;
  Dialog dialog;
  CHECK(dialog.hear(dialog.session.end_of_data(end)).starts_with("452 4.3.1 "));
  end.stored = EndOfData::Stored::failed;
  CHECK(dialog.hear(dialog.session.end_of_data(end)).starts_with("451 4.3.0 "));
}

}  // namespace smtp_session_test
