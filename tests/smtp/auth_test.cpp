// SPDX-License-Identifier: Apache-2.0
// Logins in the pure session: what is offered where, how an exchange goes, and what each verdict leads to.
#include <doctest/doctest.h>

#include <vector>

#include "base/ascii.h"
#include "smtp/session.h"
#include "smtp/xtext.h"
#include "tests/smtp/relay.h"

namespace smtp_auth_test {

using namespace hoplock;
using namespace hoplock::smtp;
using test::code_of;

namespace {

SessionOptions options() {
  SessionOptions some = test::options();
  some.logins = Logins::in_tls;
  return some;
}

struct Dialog {
  Session session;
  Answer last;

  explicit Dialog(Channel channel = Channel::tls, SessionOptions some = options())
      : session(std::move(some), Relay::refused, channel) {}
  std::string code(const Answer& answer) {
    last = answer;
    const Reply& reply = answer.reply;
    return reply.code == 0 ? "" : code_of(reply);
  }
  std::string say(std::string_view line) { return code(session.take(line, Facts{})); }
  Dialog& greeted() {
    say("EHLO c.example");
    return *this;
  }
};

const std::string good = to_base64(std::string("\0ann\0secret", 11));

}  // namespace

TEST_CASE("SUB-03, SUB-24: AUTH is listed inside TLS only; in clear it is 538 5.7.11 and nothing is looked up") {
  Dialog clear(Channel::clear);
  CHECK(clear.greeted().last.reply.text.find("AUTH") == std::string::npos);
  CHECK(clear.say("AUTH PLAIN " + good) == "538 5.7.11");
  CHECK(clear.last.action == Action::none);
  CHECK(clear.session.login().user.empty());
  CHECK_FALSE(clear.session.is_secret_next());
  clear.session.tls_started();
  CHECK(clear.greeted().last.reply.text.find("\nAUTH PLAIN LOGIN") != std::string::npos);
  SessionOptions off = options();
  off.logins = Logins::none;
  Dialog none(Channel::tls, off);
  CHECK(none.greeted().last.reply.text.find("AUTH") == std::string::npos);
  CHECK(none.say("AUTH PLAIN " + good) == "502 5.5.1");
  off.logins = Logins::in_tls;
  off.tls = TlsMode::required;
  Dialog required(Channel::clear, off);
  CHECK(required.greeted().say("AUTH PLAIN " + good) == "530 5.7.0");
}

TEST_CASE("SUB-01: who logged in may relay, and Received says ESMTPSA") {
  Dialog dialog;
  dialog.greeted();
  CHECK(dialog.session.protocol() == "ESMTPS");
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "550 5.7.1");
  dialog.say("RSET");
  CHECK(dialog.say("AUTH PLAIN " + good) == "");
  CHECK(dialog.last.action == Action::check_login);
  CHECK(dialog.session.login().user == "ann");
  CHECK(dialog.session.login().password == "secret");
  CHECK(dialog.code(dialog.session.end_of_login(LoginVerdict::right)) == "235 2.7.0");
  CHECK(dialog.session.login().password.empty());
  CHECK(dialog.session.user() == "ann");
  CHECK(dialog.session.protocol() == "ESMTPSA");
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "250 2.1.5");
}

TEST_CASE("SUB-01: a trusted certificate lets a client relay, until the next handshake says otherwise") {
  Dialog dialog;
  dialog.session.tls_started(Peer::trusted);
  dialog.greeted();
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "250 2.1.5");
  CHECK(dialog.session.protocol() == "ESMTPS");
  dialog.session.tls_started(Peer::unknown);
  dialog.greeted();
  dialog.say("MAIL FROM:<a@example.org>");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "550 5.7.1");
}

TEST_CASE("SUB-11: an identity from AUTH is forgotten by the next handshake") {
  Dialog dialog;
  dialog.greeted().say("AUTH PLAIN " + good);
  dialog.session.end_of_login(LoginVerdict::right);
  dialog.session.tls_started();
  CHECK(dialog.session.user().empty());
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "503 5.5.1");
  dialog.greeted().say("MAIL FROM:<a@example.org>");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "550 5.7.1");
}

TEST_CASE("`senders` binds those who logged in as well") {
  SessionOptions some = options();
  some.senders = {*dns::Name::parse("contoso.com")};
  Dialog dialog(Channel::tls, some);
  dialog.greeted().say("AUTH PLAIN " + good);
  dialog.session.end_of_login(LoginVerdict::right);
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "550 5.7.1");
  CHECK(dialog.say("MAIL FROM:<a@contoso.com>") == "250 2.1.0");
}

TEST_CASE("the exchanges of PLAIN and LOGIN, with and without an initial response") {
  Dialog dialog;
  dialog.greeted();
  CHECK(dialog.say("auth plain") == "334");
  CHECK(dialog.last.reply.to_wire() == "334 \r\n");
  CHECK(dialog.session.is_secret_next());
  CHECK(dialog.say(to_base64(std::string("ann\0ann\0secret", 14))) == "");
  CHECK(dialog.session.login().password == "secret");
  CHECK_FALSE(dialog.session.is_secret_next());
  dialog.session.end_of_login(LoginVerdict::unavailable);
  CHECK(dialog.say("AUTH LOGIN") == "334");
  CHECK(dialog.last.reply.to_wire() == "334 VXNlcm5hbWU6\r\n");
  CHECK(dialog.say(to_base64("bob")) == "334");
  CHECK(dialog.last.reply.to_wire() == "334 UGFzc3dvcmQ6\r\n");
  CHECK(dialog.session.is_secret_next());
  CHECK(dialog.say(to_base64("more secret")) == "");
  CHECK(dialog.session.login().user == "bob");
  CHECK(dialog.session.login().password == "more secret");
  dialog.session.end_of_login(LoginVerdict::unavailable);
  CHECK(dialog.say("AUTH LOGIN " + to_base64("bob")) == "334");
  CHECK(dialog.say(to_base64("x")) == "");
}

TEST_CASE("SUB-21, SUB-25: the state rules of AUTH and its malformed exchanges, each with its code") {
  struct Row {
    std::string before;
    std::string line;
    const char* code;
    const char* why;
  };
  const std::string nul(1, '\0');
  const std::vector<Row> rows = {
      {"", "AUTH PLAIN " + good, "503 5.5.1", "no EHLO"},
      {"HELO c", "AUTH PLAIN " + good, "503 5.5.1", "no extensions"},
      {"EHLO c;MAIL FROM:<a@x.example>", "AUTH PLAIN " + good, "503 5.5.1", "in a transaction"},
      {"EHLO c", "AUTH", "501 5.5.4", "no mechanism"},
      {"EHLO c", "AUTH CRAM-MD5", "504 5.5.4", "another mechanism"},
      {"EHLO c", "AUTH PLAIN =", "501 5.5.2", "an empty response"},
      {"EHLO c", "AUTH PLAIN !!!!", "501 5.5.2", "no base64"},
      {"EHLO c", "AUTH PLAIN " + to_base64("ann"), "501 5.5.2", "no NUL"},
      {"EHLO c", "AUTH PLAIN " + to_base64(nul + "ann" + nul), "501 5.5.2", "no password"},
      {"EHLO c", "AUTH PLAIN " + to_base64(nul + nul + "x"), "501 5.5.2", "no name"},
      {"EHLO c", "AUTH PLAIN " + to_base64(nul + "a" + nul + "b" + nul), "501 5.5.2", "one NUL more"},
      {"EHLO c", "AUTH PLAIN " + to_base64(nul + std::string(256, 'n') + nul + "x"), "501 5.5.2", "a long name"},
      {"EHLO c;AUTH PLAIN", "*", "501 5.7.0", "cancelled"},
      {"EHLO c;AUTH LOGIN", "*", "501 5.7.0", "cancelled"},
      {"EHLO c;AUTH LOGIN;YW5u", "*", "501 5.7.0", "cancelled"},
      {"EHLO c;AUTH PLAIN", "", "501 5.5.2", "an empty line"},
      {"EHLO c;AUTH LOGIN", "", "501 5.5.2", "an empty name"},
      {"EHLO c;AUTH LOGIN;YW5u", "", "501 5.5.2", "an empty password"},
      {"EHLO c;AUTH LOGIN", "QUIT", "334", "a base64 word is a name, whatever it spells"},
      {"EHLO c;AUTH PLAIN", "MAIL FROM:<a@x.example>", "501 5.5.2", "no command runs inside an exchange"},
      {"EHLO c;AUTH PLAIN", "GET / HTTP/1.1", "501 5.5.2", "nor is it looked at as anything else"},
      {"EHLO c;AUTH PLAIN", "\x01", "501 5.5.2", "a control character"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    Dialog dialog;
    for (const auto line : split(row.before, ';')) {
      if (!line.empty()) dialog.say(line);
    }
    CHECK(dialog.say(row.line) == row.code);
    CHECK(dialog.last.action == Action::none);
    CHECK(dialog.session.user().empty());
  }
}

TEST_CASE("SUB-33: acting as another is looked up, and 535 however right the password is") {
  const std::string nul(1, '\0');
  Dialog dialog;
  dialog.greeted().say("AUTH PLAIN " + to_base64("bob" + nul + "ann" + nul + "secret"));
  CHECK(dialog.last.action == Action::check_login);
  CHECK(dialog.session.acts_as_another());
  CHECK(dialog.code(dialog.session.end_of_login(LoginVerdict::right)) == "535 5.7.8");
  CHECK(dialog.session.user().empty());
  dialog.say("AUTH PLAIN " + good);
  CHECK(dialog.code(dialog.session.end_of_login(LoginVerdict::right)) == "235 2.7.0");
}

TEST_CASE("SUB-25: what nobody can judge is 454, is no wrong login, and cannot be tried for ever") {
  Dialog dialog;
  dialog.greeted();
  for (int i = 1; i <= 10; ++i) {
    dialog.say("AUTH PLAIN " + good);
    CHECK(dialog.code(dialog.session.end_of_login(LoginVerdict::unavailable)) == (i < 10 ? "454 4.7.0" : "421 4.7.0"));
  }
  CHECK(dialog.last.action == Action::close);
}

TEST_CASE(
    "SUB-25: 535 for a wrong password, 454 when nobody can say, which counts for no wrong one, and 421 in the end") {
  Dialog dialog;
  dialog.greeted();
  for (int i = 0; i < 9; ++i) {
    dialog.say("AUTH PLAIN " + good);
    CHECK(dialog.code(dialog.session.end_of_login(LoginVerdict::unavailable)) == "454 4.7.0");
  }
  for (const char* code : {"535 5.7.8", "535 5.7.8", "421 4.7.0"}) {
    dialog.say("AUTH PLAIN " + good);
    CHECK(dialog.code(dialog.session.end_of_login(LoginVerdict::wrong)) == code);
    CHECK(dialog.session.user().empty());
  }
  CHECK(dialog.last.action == Action::close);
}

TEST_CASE("SUB-25: a second AUTH after a good one is 503 5.5.1") {
  Dialog dialog;
  dialog.greeted().say("AUTH PLAIN " + good);
  dialog.session.end_of_login(LoginVerdict::right);
  CHECK(dialog.say("AUTH PLAIN " + good) == "503 5.5.1");
  CHECK(dialog.session.user() == "ann");
}

TEST_CASE("a response that is too long is 500 5.5.6 and ends the exchange") {
  Dialog dialog;
  dialog.greeted().say("AUTH PLAIN");
  CHECK(dialog.code(dialog.session.line_too_long()) == "500 5.5.6");
  CHECK_FALSE(dialog.session.is_secret_next());
  CHECK(dialog.say("NOOP") == "250 2.0.0");
}

namespace {
std::string to_xtext(std::string_view octets) {
  std::string text;
  for (const char c : octets) {
    const std::string hex = to_hex(std::string(1, c));
    const bool plain = c > ' ' && c < 0x7f && c != '+' && c != '=';
    text += plain ? std::string(1, c) : "+";
    for (const char digit : plain ? std::string() : hex)
      text += digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit;
  }
  return text;
}
}  // namespace

TEST_CASE("xtext: there and back for every octet, and what is none") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(from_xtext(to_xtext(all)) == all);
  CHECK(to_xtext("a+b=c d") == "a+2Bb+3Dc+20d");
  for (const char* bad : {"+", "+4", "+4g", "+4a", "a b", "a=b", "+-1", "\x80"}) {
    CAPTURE(bad);
    CHECK_FALSE(from_xtext(bad).has_value());
  }
}

}  // namespace smtp_auth_test
