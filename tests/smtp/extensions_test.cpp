// SPDX-License-Identifier: Apache-2.0
// SMTPUTF8 and BINARYMIME in the pure session, and in what compose() writes.
#include <doctest/doctest.h>

#include "smtp/chunk_decoder.h"
#include "smtp/compose.h"
#include "smtp/line_buffer.h"
#include "smtp/session.h"

namespace smtp_extensions_test {

using namespace hoplock;
using namespace hoplock::smtp;

namespace {

struct Dialog {
  Session session;
  explicit Dialog(Channel channel = Channel::clear) : session(options(), Relay::allowed, channel) {
    say("EHLO c.example");
  }
  static SessionOptions options() {
    SessionOptions some;
    some.hostname = "relay.example.net";
    some.logins = Logins::in_tls;
    return some;
  }
  std::string say(std::string_view line) {
    const Reply reply = session.take(line, Facts{}).reply;
    return std::to_string(reply.code) + (reply.status ? " " + reply.status->text() : "");
  }
};

Envelope envelope(Body body) {
  Envelope some;
  some.sender = std::get<Mailbox>(Mailbox::parse("a@example.org"));
  some.recipients.emplace_back();
  some.recipients.back().mailbox = std::get<Mailbox>(Mailbox::parse("b@example.com"));
  some.body = body;
  some.size = 10;
  return some;
}

}  // namespace

TEST_CASE("SUB-23: with SMTPUTF8 a UTF-8 local part is good, of sender and recipient; the parameter has no value") {
  Dialog dialog;
  CHECK(dialog.say("MAIL FROM:<\xce\xb4@example.com> SMTPUTF8=1") == "501 5.5.4");
  CHECK(dialog.say("MAIL FROM:<\xce\xb4@example.com> SMTPUTF8 SMTPUTF8") == "501 5.5.4");
  CHECK(dialog.say("MAIL FROM:<\xce\xb4@example.com>") == "550 5.6.7");
  CHECK(dialog.say("MAIL FROM:<\xce\xb4@example.com> smtputf8") == "250 2.1.0");
  CHECK(dialog.say("RCPT TO:<\xce\xb5@example.com>") == "250 2.1.5");
  CHECK(dialog.session.envelope().smtputf8);
  CHECK(dialog.say("RSET") == "250 2.0.0");
  CHECK(dialog.say("MAIL FROM:<a@example.com>") == "250 2.1.0");
  CHECK(dialog.say("RCPT TO:<\xce\xb5@example.com>") == "553 5.6.7");
}

TEST_CASE("SUB-31: the protocols of SMTPUTF8") {
  Dialog clear;
  clear.say("MAIL FROM:<a@example.com> SMTPUTF8");
  CHECK(clear.session.protocol() == "UTF8SMTP");
  Dialog tls(Channel::tls);
  tls.say("MAIL FROM:<a@example.com> SMTPUTF8");
  CHECK(tls.session.protocol() == "UTF8SMTPS");
  tls.say("RSET");
  tls.say("AUTH PLAIN AGFubgBzZWNyZXQ=");
  tls.session.end_of_login(LoginVerdict::right);
  CHECK(tls.session.protocol() == "ESMTPSA");
  tls.say("MAIL FROM:<a@example.com> SMTPUTF8");
  CHECK(tls.session.protocol() == "UTF8SMTPSA");
}

TEST_CASE("SUB-20: BODY=BINARYMIME is taken, by BDAT only") {
  Dialog dialog;
  CHECK(dialog.say("MAIL FROM:<a@example.com> BODY=BinaryMIME") == "250 2.1.0");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "250 2.1.5");
  CHECK(dialog.say("DATA") == "503 5.5.1");
  CHECK(dialog.session.take("BDAT 5 LAST", Facts{}).action == Action::receive_chunk);
  CHECK(dialog.session.envelope().body == Body::binary_mime);
}

TEST_CASE("SUB-20: binary content is kept octet by octet, and only its size is looked at") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  all += "\r\n.\r\n\n\r";
  for (std::size_t step = 1; step <= all.size(); ++step) {
    ChunkDecoder decoder(BareNewline::keep, all.size());
    std::string out;
    for (std::size_t at = 0; at < all.size(); at += step) decoder.feed(std::string_view(all).substr(at, step), out);
    decoder.finish(out);
    CHECK(out == all);
    CHECK(decoder.content() == Content::good);
    decoder.feed("x", out);
    CHECK(decoder.content() == Content::too_large);
  }
}

TEST_CASE("SUB-28: a MAIL line that AUTH= and SMTPUTF8 have grown by more than their 500 and 10 octets is taken") {
  const std::string line = "MAIL FROM:<" + std::string(400, 'a') +
                           "@example.com> SIZE=10 BODY=8BITMIME SMTPUTF8 AUTH=" + std::string(500, 'a') +
                           "@example.com";
  LineBuffer buffer;
  buffer.append(line + "\r\n");
  REQUIRE(buffer.next() == LineBuffer::Event::line);
  Dialog dialog;
  CHECK(dialog.say(buffer.line()) == "250 2.1.0");
}

TEST_CASE("SUB-20, MX-19: what compose() says of binary and UTF-8 mail, and only to peers that know it") {
  Capabilities peer;
  peer.extended = peer.pipelining = peer.size = peer.chunking = peer.binary_mime = peer.eight_bit_mime = true;
  auto groups = compose(envelope(Body::binary_mime), peer);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].wire == "MAIL FROM:<a@example.org> SIZE=10 BODY=BINARYMIME\r\nRCPT TO:<b@example.com>\r\n");
  CHECK_FALSE(groups[0].data);
  Envelope utf8 = envelope(Body::seven_bit);
  utf8.smtputf8 = true;
  utf8.size = 0;
  CHECK(compose(utf8, peer)[0].wire.starts_with("MAIL FROM:<a@example.org>\r\n"));
  peer.smtputf8 = true;
  CHECK(compose(utf8, peer)[0].wire.starts_with("MAIL FROM:<a@example.org> SMTPUTF8\r\n"));
}

}  // namespace smtp_extensions_test
