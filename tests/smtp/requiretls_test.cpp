// SPDX-License-Identifier: Apache-2.0
// REQUIRETLS (RFC 8689) in the pure session, and in what compose() writes.
#include <doctest/doctest.h>

#include "smtp/compose.h"
#include "smtp/line_buffer.h"
#include "smtp/session.h"
#include "tests/smtp/relay.h"

namespace smtp_requiretls_test {

using namespace hoplock;
using namespace hoplock::smtp;

namespace {

struct Dialog {
  Session session;
  explicit Dialog(Channel channel, TlsMode mode = TlsMode::starttls)
      : session(with(mode), Relay::allowed, channel), offers(session.take("EHLO c.example", Facts{}).reply.text) {}
  static SessionOptions with(TlsMode mode) {
    SessionOptions some = test::options();
    some.tls = mode;
    return some;
  }
  std::string say(std::string_view line) { return test::code_of(session.take(line, Facts{}).reply); }
  bool offered() const { return (offers + "\n").find("\nREQUIRETLS\n") != std::string::npos; }
  std::string offers;
};

}  // namespace

TEST_CASE("RTLS-01, SUB-03: REQUIRETLS is listed inside TLS, without parameter, and never in clear") {
  CHECK(Dialog(Channel::tls).offered());
  CHECK(Dialog(Channel::tls, TlsMode::implicit).offered());
  for (const auto mode : {TlsMode::none, TlsMode::starttls, TlsMode::required})
    CHECK_FALSE(Dialog(Channel::clear, mode).offered());
  Dialog upgraded(Channel::clear);
  upgraded.say("STARTTLS");
  upgraded.session.tls_started();
  CHECK(upgraded.session.take("EHLO c.example", Facts{}).reply.text.find("\nREQUIRETLS") != std::string::npos);
}

TEST_CASE("RTLS-02: the parameter of MAIL, in clear, with a value, twice, after HELO") {
  const struct {
    Channel channel;
    const char* hello;
    const char* mail;
    const char* reply;
  } rows[] = {
      {Channel::tls, "EHLO c", "MAIL FROM:<a@example.org> REQUIRETLS", "250 2.1.0"},
      {Channel::tls, "EHLO c", "MAIL FROM:<> requireTLS BODY=8BITMIME", "250 2.1.0"},
      {Channel::clear, "EHLO c", "MAIL FROM:<a@example.org> REQUIRETLS", "530 5.7.10"},
      {Channel::clear, "EHLO c", "MAIL FROM:<a@example.org> SIZE=1 REQUIRETLS", "530 5.7.10"},
      {Channel::tls, "EHLO c", "MAIL FROM:<a@example.org> REQUIRETLS=yes", "501 5.5.4"},
      {Channel::clear, "EHLO c", "MAIL FROM:<a@example.org> REQUIRETLS=yes", "501 5.5.4"},
      {Channel::tls, "EHLO c", "MAIL FROM:<a@example.org> REQUIRETLS=", "501 5.5.4"},
      {Channel::tls, "EHLO c", "MAIL FROM:<a@example.org> REQUIRETLS REQUIRETLS", "501 5.5.4"},
      {Channel::tls, "HELO c", "MAIL FROM:<a@example.org> REQUIRETLS", "555 5.5.4"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.mail);
    Dialog dialog(row.channel);
    dialog.say(row.hello);
    CHECK(dialog.say(row.mail) == row.reply);
    CHECK(dialog.session.envelope().require_tls == (row.reply[0] == '2'));
  }
  Dialog recipient(Channel::tls);
  recipient.say("MAIL FROM:<a@example.org>");
  CHECK(recipient.say("RCPT TO:<b@example.org> REQUIRETLS") == "555 5.5.4");
}

TEST_CASE("RTLS-02: one message's option is none of the next one's, and the refused one leaves nothing behind") {
  Dialog dialog(Channel::tls);
  dialog.say("MAIL FROM:<a@example.org> REQUIRETLS");
  dialog.say("RSET");
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK_FALSE(dialog.session.envelope().require_tls);
  Dialog clear(Channel::clear);
  CHECK(clear.say("MAIL FROM:<a@example.org> REQUIRETLS") == "530 5.7.10");
  CHECK(clear.say("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK_FALSE(clear.session.envelope().require_tls);
}

TEST_CASE("RTLS-02: a MAIL command with every parameter fits a line") {
  const std::string longest = "MAIL FROM:<" + std::string(64, 'a') + "@" + std::string(60, 'b') +
                              ".example> SIZE=99999999999999999999 BODY=BINARYMIME" +
                              " SMTPUTF8 RET=FULL ENVID=" + std::string(100, 'e') +
                              " REQUIRETLS AUTH=" + std::string(500, 'x');
  LineBuffer lines;
  lines.append(longest + "\r\n");
  CHECK(lines.next() == LineBuffer::Event::line);
}

TEST_CASE("RTLS-09: compose() writes REQUIRETLS when it is asked for, whatever else the peer lacks, and else never") {
  Envelope envelope;
  envelope.sender = std::get<Mailbox>(Mailbox::parse("a@example.org"));
  envelope.recipients.emplace_back();
  envelope.recipients.back().mailbox = std::get<Mailbox>(Mailbox::parse("b@example.com"));
  Capabilities peer;
  peer.require_tls = true;
  CHECK(compose(envelope, peer).front().wire == "MAIL FROM:<a@example.org>\r\n");
  envelope.require_tls = true;
  CHECK(compose(envelope, peer).front().wire == "MAIL FROM:<a@example.org> REQUIRETLS\r\n");
  CHECK(compose(envelope, Capabilities{}).front().wire == "MAIL FROM:<a@example.org> REQUIRETLS\r\n");
}

}  // namespace smtp_requiretls_test
