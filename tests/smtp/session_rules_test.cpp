// SPDX-License-Identifier: Apache-2.0
// The receiving session: addresses, limits, what ends it, and that every reply has its enhanced code.
#include <doctest/doctest.h>

#include <vector>

#include "base/ascii.h"
#include "smtp/session.h"
#include "tests/smtp/relay.h"

namespace smtp_session_rules_test {

using namespace hoplock;
using namespace hoplock::smtp;
using test::code_of;
using test::options;

namespace {

struct Dialog {
  Session session;
  Facts facts;
  Action action = Action::none;

  explicit Dialog(SessionOptions some = options(), Relay relay = Relay::allowed)
      : session(std::move(some), relay, Channel::clear) {
    code("EHLO c.example");
  }
  std::string code(std::string_view line) {
    const Answer answer = session.take(line, facts);
    action = answer.action;
    return code_of(answer.reply);
  }
  std::vector<std::string> recipients() const {
    std::vector<std::string> all;
    for (const auto& one : session.envelope().recipients) all.push_back(one.mailbox.text());
    return all;
  }
};

}  // namespace

TEST_CASE(
    "SUB-16: a pipelined group gets a reply for each command, in order; DATA without a recipient leads to no message") {
  Dialog dialog;
  std::string codes;
  for (const char* line : {"MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "RCPT TO:<@@>", "DATA"})
    codes += dialog.code(line) + ";";
  CHECK(codes == "250 2.1.0;250 2.1.5;501 5.1.3;354;");
  CHECK(dialog.recipients() == std::vector<std::string>{"b@example.com"});
  dialog.session.end_of_data(EndOfData{});
  codes.clear();
  for (const char* line : {"MAIL FROM:<a@example.org>", "RCPT TO:<c@[192.0.2.1]>", "RCPT TO:<d>", "DATA"})
    codes += dialog.code(line) + ";";
  CHECK(codes == "250 2.1.0;550 5.1.3;501 5.1.3;554 5.5.1;");
  CHECK(dialog.action == Action::none);
}

TEST_CASE("SUB-17: BODY is kept with the envelope; values that nobody knows are 501 5.5.4") {
  Dialog dialog;
  for (const char* bad : {"BODY", "BODY=BINARY", "BODY=9BIT", "BODY=7BIT BODY=7BIT"}) {
    CHECK(dialog.code(std::string("MAIL FROM:<a@example.org> ") + bad) == "501 5.5.4");
  }
  CHECK(dialog.code("MAIL FROM:<a@example.org> BODY=8bitmime") == "250 2.1.0");
  CHECK(dialog.session.envelope().body == Body::eight_bit_mime);
  CHECK(dialog.code("RSET") == "250 2.0.0");
  CHECK(dialog.session.envelope().body == Body::seven_bit);
  CHECK(dialog.code("MAIL FROM:<a@example.org> BODY=7BIT") == "250 2.1.0");
  CHECK(dialog.session.envelope().body == Body::seven_bit);
}

TEST_CASE("SUB-26: the null sender and <postmaster> in any case are accepted, also where relaying is refused") {
  for (const Relay relay : {Relay::allowed, Relay::refused}) {
    SessionOptions narrow = options();
    narrow.senders = {*dns::Name::parse("contoso.com")};
    Dialog dialog(narrow, relay);
    CHECK(dialog.code("MAIL FROM:<>") == "250 2.1.0");
    CHECK(dialog.code("RCPT TO:<postmaster>") == "250 2.1.5");
    CHECK(dialog.code("RCPT TO:<PostMaster>") == "250 2.1.5");
    CHECK(dialog.code("RCPT TO:<Postmaster@RELAY.example.net>") == "250 2.1.5");
    CHECK(dialog.code("DATA") == "354");
    CHECK(dialog.recipients() == std::vector<std::string>{"admin@ops.example"});
    CHECK(dialog.session.envelope().sender.is_null());
  }
}

TEST_CASE(
    "SUB-01, SUB-26: a stranger's mail to <postmaster> makes no notice of success to whomever it names as sender") {
  for (const Relay relay : {Relay::allowed, Relay::refused}) {
    const bool ours = relay == Relay::allowed;
    Dialog dialog(options(), relay);
    dialog.code("MAIL FROM:<victim@example.org> RET=FULL");
    CHECK(dialog.code("RCPT TO:<postmaster> NOTIFY=SUCCESS,FAILURE") == "250 2.1.5");
    CHECK(dialog.code("RCPT TO:<postmaster> NOTIFY=SUCCESS") == "250 2.1.5");
    CHECK(dialog.code("RCPT TO:<postmaster> NOTIFY=DELAY") == "250 2.1.5");
    const auto& all = dialog.session.envelope().recipients;
    REQUIRE(all.size() == 3);
    CHECK(all[0].notify == (ours ? notify_success | notify_failure : notify_failure));
    CHECK(all[1].notify == (ours ? notify_success : notify_never));
    CHECK(all[2].notify == notify_delay);
  }
}

TEST_CASE(
    "RPT-40: bounces to the sender of reports are taken from anybody and are to be discarded; other mail to it is "
    "mail") {
  SessionOptions some = options();
  some.report_sender = std::get<Mailbox>(Mailbox::parse("tlsrpt@relay.example.net"));
  Dialog stranger(some, Relay::refused);
  CHECK(stranger.code("MAIL FROM:<>") == "250 2.1.0");
  CHECK(stranger.code("RCPT TO:<tlsrpt@RELAY.example.net>") == "250 2.1.5");
  CHECK(stranger.session.envelope().recipients.at(0).then == Recipient::Then::discard);
  CHECK(stranger.code("RCPT TO:<tlsrpt@other.example>") == "550 5.7.1");
  CHECK(stranger.code("DATA") == "354");
  EndOfData end;
  end.stored = EndOfData::Stored::discarded;
  CHECK(stranger.session.end_of_data(end).reply.one_line() == "250 2.0.0 Ok: discarded");
  CHECK(stranger.code("MAIL FROM:<someone@example.org>") == "250 2.1.0");
  CHECK(stranger.code("RCPT TO:<tlsrpt@relay.example.net>") == "550 5.7.1");
  Dialog ours(some);
  ours.code("MAIL FROM:<someone@example.org>");
  CHECK(ours.code("RCPT TO:<tlsrpt@relay.example.net>") == "250 2.1.5");
  CHECK(ours.session.envelope().recipients.at(0).then == Recipient::Then::relay);
  Dialog without(options(), Relay::refused);
  without.code("MAIL FROM:<>");
  CHECK(without.code("RCPT TO:<tlsrpt@relay.example.net>") == "550 5.7.1");
}

TEST_CASE("RPT-40: where reports are sent in the postmaster's name, bounces to it are the postmaster's mail") {
  SessionOptions some = options();
  for (const char* from : {"postmaster@relay.example.net", "admin@example.net"}) {
    CAPTURE(from);
    some.report_sender = std::get<Mailbox>(Mailbox::parse(from));
    some.postmaster = std::get<Mailbox>(Mailbox::parse("admin@example.net"));
    Dialog dialog(some);
    dialog.code("MAIL FROM:<>");
    CHECK(dialog.code("RCPT TO:<" + std::string(from) + ">") == "250 2.1.5");
    CHECK(dialog.session.envelope().recipients.at(0).then == Recipient::Then::relay);
  }
}

TEST_CASE("SUB-27: source routes are stripped, quoted local parts and case kept, the domain is the real one") {
  Dialog dialog;
  dialog.code("MAIL FROM:<@hop.example:Me@Example.ORG>");
  CHECK(dialog.session.envelope().sender.text() == "Me@example.org");
  for (const char* line :
       {"RCPT TO:<@a,@b:u@c.example>", "RCPT TO:<\"x@evil.example\"@c.example>", "RCPT TO:<MiXed@c.example>"}) {
    CHECK(dialog.code(line) == "250 2.1.5");
  }
  CHECK(dialog.recipients() ==
        std::vector<std::string>{"u@c.example", "\"x@evil.example\"@c.example", "MiXed@c.example"});
  for (const auto& one : dialog.session.envelope().recipients) CHECK(one.mailbox.domain().text() == "c.example");
}

TEST_CASE("SUB-28: the 101st recipient of 100 gets 452 4.5.3, the first 100 stay, and it is no error of the client's") {
  SessionOptions few = options();
  few.recipients = 100;
  Dialog dialog(few);
  dialog.code("MAIL FROM:<a@example.org>");
  for (int i = 0; i < 100; ++i) CHECK(dialog.code("RCPT TO:<u" + std::to_string(i) + "@example.com>") == "250 2.1.5");
  for (int i = 0; i < 200; ++i) CHECK(dialog.code("RCPT TO:<v" + std::to_string(i) + "@example.com>") == "452 4.5.3");
  CHECK(dialog.code("DATA") == "354");
  CHECK(dialog.recipients().size() == 100);
}

TEST_CASE("SUB-28: the longest local part, domain and path of RFC 5321 are accepted, far longer ones refused") {
  Dialog dialog;
  const std::string local(64, 'l'), label(63, 'd');
  const std::string domain = label + "." + label + "." + label + "." + std::string(61, 'd');
  CHECK(dialog.code("MAIL FROM:<" + local + "@" + domain + ">") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<" + local + "@" + domain + ">") == "250 2.1.5");
  CHECK(dialog.code("RCPT TO:<" + std::string(600, 'l') + "@example.com>") == "501 5.1.3");
  CHECK(dialog.code("RCPT TO:<u@" + domain + "d>") == "501 5.1.3");
  CHECK(dialog.code("RSET") == "250 2.0.0");
  CHECK(dialog.code("MAIL FROM:<" + std::string(600, 'l') + "@example.com>") == "501 5.1.7");
}

TEST_CASE("SUB-23: without SMTPUTF8 a UTF-8 local part is 550 5.6.7 as a sender and 553 5.6.7 as a recipient") {
  Dialog dialog;
  CHECK(dialog.code("MAIL FROM:<\xce\xb4@example.com>") == "550 5.6.7");
  CHECK(dialog.code("MAIL FROM:<a@example.com>") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<\xce\xb4@example.com>") == "553 5.6.7");
}

TEST_CASE("MX-15: a U-label domain becomes A-labels; one that does not convert is 5.1.2, as a sender's 5.1.8") {
  Dialog dialog;
  CHECK(dialog.code("MAIL FROM:<a@\xc2\xad\xcc\x80.example>") == "550 5.1.8");
  CHECK(dialog.code("MAIL FROM:<a@example.com>") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<b@\xce\xb4\xce\xbf\xce\xba\xce\xb9\xce\xbc\xce\xae.example>") == "250 2.1.5");
  CHECK(dialog.recipients() == std::vector<std::string>{"b@xn--jxalpdlp.example"});
  CHECK(dialog.code("RCPT TO:<b@\xcc\x80x.example>") == "550 5.1.2");
}

TEST_CASE("MX-17: a recipient at an address literal is refused with 5.1.3") {
  Dialog dialog;
  dialog.code("MAIL FROM:<a@[192.0.2.1]>");
  for (const char* line : {"RCPT TO:<b@[192.0.2.1]>", "RCPT TO:<b@[IPv6:2001:db8::1]>"})
    CHECK(dialog.code(line) == "550 5.1.3");
}

TEST_CASE("senders: only the listed domains and the null sender may be used; *.domain is what lies below it") {
  SessionOptions narrow = options();
  narrow.senders = {*dns::Name::parse("contoso.com"), *dns::Name::parse("*.fabrikam.com")};
  struct Row {
    const char* path;
    const char* code;
  };
  for (const Row& row :
       {Row{"<a@contoso.com>", "250 2.1.0"}, Row{"<a@CONTOSO.com>", "250 2.1.0"}, Row{"<>", "250 2.1.0"},
        Row{"<a@x.y.fabrikam.com>", "250 2.1.0"}, Row{"<a@fabrikam.com>", "550 5.7.1"},
        Row{"<a@sub.contoso.com>", "550 5.7.1"}, Row{"<a@evilcontoso.com>", "550 5.7.1"},
        Row{"<\"a@contoso.com\"@evil.example>", "550 5.7.1"}, Row{"<a@[192.0.2.1]>", "550 5.7.1"}}) {
    CAPTURE(row.path);
    CHECK(Dialog(narrow).code(std::string("MAIL FROM:") + row.path) == row.code);
  }
}

TEST_CASE("the hundredth unknown or failing command is answered 421 and ends the session; good ones do not count") {
  Dialog dialog;
  for (int i = 0; i < 99; ++i) {
    CHECK(dialog.code(i % 2 == 0 ? "FOO" : "RCPT TO:<a@b.example>").starts_with("50"));
    CHECK(dialog.code("NOOP") == "250 2.0.0");
  }
  CHECK(dialog.action == Action::none);
  CHECK(dialog.code("FOO") == "421 4.7.0");
  CHECK(dialog.action == Action::close);
  Dialog longs;
  for (int i = 0; i < 99; ++i) CHECK(longs.session.line_too_long().reply.code == 500);
  CHECK(longs.session.line_too_long().action == Action::close);
}

TEST_CASE("an HTTP request ends the session at once, at any point, under any method; other noise is only unknown") {
  for (const char* line : {"GET / HTTP/1.1", "POST /x HTTP/1.0", "PRI * HTTP/2.0", "PROPFIND / HTTP/1.1",
                           "CONNECT mx:25 HTTP/1.1", "OPTIONS *", "NOOP / HTTP/1.1", "HELP / HTTP/1.1",
                           "EHLO / HTTP/1.1", "Host: relay.example.net", "Content-Length: 5"}) {
    CAPTURE(line);
    Dialog dialog;
    CHECK(dialog.code(line) == "421 4.7.0");
    CHECK(dialog.action == Action::close);
  }
  for (const char* line : {"HOST relay", "GET", "HTTP/1.1", ":", "\x16\x03\x01"}) {
    CAPTURE(line);
    Dialog dialog;
    CHECK(dialog.code(line) == "500 5.5.2");
    CHECK(dialog.action == Action::none);
  }
  Dialog dialog;  // a path too long for a line, then the header that must follow
  CHECK(dialog.session.line_too_long().action == Action::none);
  CHECK(dialog.code("Host: relay.example.net") == "421 4.7.0");
}

TEST_CASE("messages of a connection are limited: the next MAIL is 421 and the end") {
  SessionOptions few = options();
  few.messages = 2;
  Dialog dialog(few);
  for (int i = 0; i < 2; ++i) {
    CHECK(dialog.code("MAIL FROM:<>") == "250 2.1.0");
    CHECK(dialog.code("RCPT TO:<b@example.com>") == "250 2.1.5");
    CHECK(dialog.code("DATA") == "354");
    dialog.session.end_of_data(EndOfData{});
  }
  CHECK(dialog.code("MAIL FROM:<>") == "421 4.7.0");
  CHECK(dialog.action == Action::close);
}

TEST_CASE("a recipient that is named twice is kept once, in its first place") {
  Dialog dialog;
  dialog.code("MAIL FROM:<>");
  for (const char* to : {"b@example.com", "a@example.com", "b@EXAMPLE.com", "B@example.com"}) {
    CHECK(dialog.code(std::string("RCPT TO:<") + to + ">") == "250 2.1.5");
  }
  CHECK(dialog.code("DATA") == "354");
  CHECK(dialog.recipients() == std::vector<std::string>{"b@example.com", "a@example.com", "B@example.com"});
}

TEST_CASE("SUB-30: shutdown is 421 4.3.2, a time-out 421 4.4.2, too many connections 421 4.7.0") {
  Dialog dialog;
  CHECK(dialog.session.shutting_down().reply.to_wire().starts_with("421 4.3.2 relay.example.net "));
  CHECK(dialog.session.shutting_down().action == Action::close);
  CHECK(dialog.session.timed_out().reply.to_wire().starts_with("421 4.4.2 relay.example.net "));
  CHECK(Session::too_many_connections("relay.example.net").to_wire().starts_with("421 4.7.0 relay.example.net "));
  CHECK(Session::store_away("relay.example.net").to_wire().starts_with("421 4.3.2 relay.example.net "));
}

TEST_CASE("SUB-21: every 2xx, 4xx and 5xx line but banner, EHLO and HELO carries an enhanced code of its class") {
  std::vector<Reply> all;
  SessionOptions strict = options();
  strict.tls = TlsMode::required;
  SessionOptions few = options();
  few.recipients = 1;
  for (const SessionOptions& some : {options(), strict, few}) {
    for (const Relay relay : {Relay::allowed, Relay::refused}) {
      Session session(some, relay, Channel::clear);
      Facts facts;
      for (const char* line : {"MAIL FROM:<a@b.example>",
                               "EHLO c.example",
                               "FOO",
                               "EXPN x",
                               "HELP",
                               "VRFY x",
                               "NOOP",
                               "MAIL",
                               "MAIL FROM:<a@b.example> X",
                               "MAIL FROM:<a@b.example> BODY=X",
                               "MAIL FROM:<a@b.example> SIZE=999999999999",
                               "MAIL FROM:<x>",
                               "MAIL FROM:<a@b.example>",
                               "MAIL FROM:<a@b.example>",
                               "RCPT TO:<c@d.example>",
                               "RCPT TO:<e@d.example>",
                               "RCPT TO:<x>",
                               "RCPT TO:<x@[1.2.3.4]>",
                               "DATA x",
                               "DATA",
                               "RSET",
                               "DATA",
                               "STARTTLS x",
                               "STARTTLS",
                               "GET / HTTP/1.1",
                               "QUIT x",
                               "QUIT"}) {
        const Answer answer = session.take(line, facts);
        if (!std::string_view(line).starts_with("EHLO")) all.push_back(answer.reply);
      }
      for (const Answer& answer : {session.line_too_long(), session.bare_newline(), session.octets_after_starttls(),
                                   session.shutting_down(), session.timed_out(), session.end_of_data(EndOfData{})}) {
        all.push_back(answer.reply);
      }
      for (const Content content : {Content::bare_newline, Content::nul, Content::too_large, Content::loop}) {
        EndOfData end;
        end.content = content;
        all.push_back(session.end_of_data(end).reply);
      }
    }
  }
  all.push_back(Session::too_many_connections("h"));
  all.push_back(Session::store_away("h"));
  for (const Reply& reply : all) {
    const std::string wire = reply.to_wire();
    for (const std::string_view line : split(wire, '\n')) {
      if (line.empty() || reply.code == 354) continue;
      CAPTURE(line);
      REQUIRE(line.size() > 9);
      const auto status = EnhancedStatus::parse(line.substr(4, line.find(' ', 4) - 4));
      REQUIRE(status);
      CHECK(status->category == reply.code / 100);
      CHECK(line.ends_with("\r"));
    }
  }
}

}  // namespace smtp_session_rules_test
