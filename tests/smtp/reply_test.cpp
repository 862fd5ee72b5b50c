// SPDX-License-Identifier: Apache-2.0
#include "smtp/reply.h"

#include <doctest/doctest.h>

#include <vector>

#include "smtp/capabilities.h"

namespace smtp_reply_test {

using namespace hoplock::smtp;

namespace {
// All replies in `octets` fed `step` at a time, as "code status text;", "!" at a malformed one.
std::string replies(std::string_view octets, std::size_t step) {
  ReplyParser parser;
  std::string seen;
  while (!octets.empty()) {
    parser.feed(octets.substr(0, step));
    octets.remove_prefix(std::min(step, octets.size()));
    for (;;) {
      const auto reply = parser.next();
      if (!reply) return seen + "!";
      if (!*reply) break;
      seen += std::to_string((*reply)->code) + "|" + ((*reply)->status ? (*reply)->status->text() : "") + "|" +
              (*reply)->text + ";";
    }
  }
  return seen;
}

Capabilities capabilities(std::string text) { return Capabilities::parse(Reply(250, std::nullopt, std::move(text))); }
}  // namespace

TEST_CASE("EnhancedStatus: the form of RFC 3463 and nothing around it") {
  CHECK(EnhancedStatus::parse("5.7.1")->text() == "5.7.1");
  CHECK(EnhancedStatus::parse("4.7.323") == EnhancedStatus{4, 7, 323});
  for (const char* bad : {"", "5", "5.7", "5.7.", "3.0.0", "1.0.0", "5.7.1 ", "5.7.1234", "5.1234.1", "5..1", "55.1.1",
                          "5.1.1.1", "5.a.1"}) {
    CAPTURE(bad);
    CHECK_FALSE(EnhancedStatus::parse(bad));
  }
}

TEST_CASE("SUB-21: a reply of several lines carries its codes on each") {
  CHECK(Reply(550, EnhancedStatus{5, 7, 1}, "no\nnever").to_wire() == "550-5.7.1 no\r\n550 5.7.1 never\r\n");
  CHECK(Reply(354, std::nullopt, "go").to_wire() == "354 go\r\n");
  CHECK(Reply(250, std::nullopt, "").to_wire() == "250 \r\n");
}

TEST_CASE("ReplyParser: whole replies at every split, bare LF let pass") {
  struct Row {
    std::string octets;
    const char* seen;
    const char* why;
  };
  const Row rows[] = {
      {"220 mx ESMTP\r\n", "220||mx ESMTP;", ""},
      {"250-mx\r\n250-SIZE 1\r\n250 DSN\r\n250 2.1.0 ok\r\n", "250||mx\nSIZE 1\nDSN;250|2.1.0|ok;",
       "two replies in a row"},
      {"550-5.1.1 no\r\n550 5.1.1 such\r\n", "550|5.1.1|no\nsuch;", "the code is taken off each line"},
      {"550-5.1.1 no\r\n550 5.7.1 such\r\n", "550|5.1.1|no\n5.7.1 such;", "another code on a later line is text"},
      {"550 2.1.1 odd\r\n", "550||2.1.1 odd;", "a code of another class is text"},
      {"250\r\n", "250||;", "no text at all"},
      {"250 2.0.0\r\n", "250|2.0.0|;", ""},
      {"421 bye\n", "421||bye;", "bare LF"},
      {"250-a\n250 b\r\n", "250||a\nb;", ""},
      {"250 a", "", "no end yet"},
      {"hello\r\n", "!", "no code"},
      {"25 x\r\n", "!", ""},
      {"\r\n", "!", ""},
      {"150 x\r\n", "!", "1yz is not SMTP"},
      {"650 x\r\n", "!", ""},
      {"2500 x\r\n", "!", ""},
      {"250_x\r\n", "!", ""},
      {"250-a\r\n550 b\r\n", "!", "codes differ"},
      {"250 a\r\nSSH-2.0\r\n", "250||a;!", ""},
  };
  for (const Row& row : rows) {
    for (std::size_t step = 1; step <= row.octets.size(); ++step) {
      CAPTURE(row.octets);
      CAPTURE(row.why);
      CAPTURE(step);
      CHECK(replies(row.octets, step) == row.seen);
    }
  }
}

TEST_CASE("ReplyParser: bounded in lines, in octets and for a line without an end; an error stays an error") {
  std::string many;
  for (int i = 0; i < 200; ++i) many += "250-x\r\n";
  CHECK(replies(many.substr(0, many.size() - 7) + "250 x\r\n", 4096).size() > 4);
  CHECK(replies(many + "250 x\r\n", 4096) == "!");
  CHECK(replies("250 " + std::string(5000, 'x') + "\r\n", 4096) ==
        "250||" + std::string(ReplyParser::max_line, 'x') + ";");
  CHECK(replies(std::string(70'000, '2'), 4096) == "!");
  std::string big;
  for (int i = 0; i < 20; ++i) big += "250-" + std::string(4000, 'x') + "\r\n";
  CHECK(replies(big, 4096) == "!");
  ReplyParser parser;
  parser.feed("what\r\n250 ok\r\n");
  CHECK_FALSE(parser.next().has_value());
  CHECK_FALSE(parser.next().has_value());
}

TEST_CASE("SUB-10: octets behind a reply are visible, so that nothing injected before the handshake survives it") {
  ReplyParser parser;
  parser.feed("220 go ahead\r\n");
  REQUIRE(parser.next().has_value());
  CHECK_FALSE(parser.has_leftover());
  parser.feed("220 go ahead\r\n250-evil");
  REQUIRE(parser.next().has_value());
  CHECK(parser.has_leftover());
  parser.feed("\r\n");
  REQUIRE(parser.next().has_value());
  CHECK(parser.has_leftover());
}

TEST_CASE("one_line: printable, one line, bounded, whatever the server said") {
  CHECK(Reply(550, EnhancedStatus{5, 1, 1}, "no such\nuser").one_line() == "550 5.1.1 no such user");
  CHECK(Reply(550, std::nullopt, "a\x1b[31m\r\tb\x7f\xff\xc2\x9b ok \xc3\xa4").one_line() ==
        "550 a?[31m b??? ok \xc3\xa4");
  CHECK(Reply(550, std::nullopt, std::string(2000, 'x')).one_line(20) == "550 xxxxxxxxxxxxxxxx");
  CHECK(Reply(550, std::nullopt, "\xc3\xa4\xc3\xa4").one_line(7) == "550 \xc3\xa4");
  CHECK(Reply(250, std::nullopt, "").one_line() == "250");
}

TEST_CASE("a reply without a usable enhanced code has the default of its class") {
  CHECK(Reply(550, std::nullopt, "x").status_or_default().text() == "5.0.0");
  CHECK(Reply(451, std::nullopt, "x").status_or_default().text() == "4.0.0");
  CHECK(Reply(250, EnhancedStatus{2, 6, 0}, "x").status_or_default().text() == "2.6.0");
}

TEST_CASE("Capabilities: keywords in any case, the greeting line is none, unknown ones are passed over") {
  const auto all = capabilities(
      "mx.example STARTTLS\nSIZE "
      "52428800\npipelining\n8BITMIME\nBINARYMIME\nStartTLS\nENHANCEDSTATUSCODES\nCHUNKING\nDSN\nSMTPUTF8\nREQUIRETLS\n"
      "AUTH PLAIN login\nAUTH=LOGIN XOAUTH2\nX-FOO bar\n");
  CHECK(all.extended);
  CHECK(all.size);
  CHECK(all.size_limit == 52428800);
  CHECK((all.pipelining && all.eight_bit_mime && all.binary_mime && all.starttls && all.enhanced_status_codes));
  CHECK((all.chunking && all.dsn && all.smtputf8 && all.require_tls));
  CHECK(all.auth == std::vector<std::string>{"PLAIN", "LOGIN", "XOAUTH2"});
  CHECK(all.offers_auth("plain"));
  CHECK_FALSE(all.offers_auth("NTLM"));
  CHECK_FALSE(capabilities("mx.example STARTTLS").starttls);
  CHECK_FALSE(capabilities("mx\nSTARTTLSX\nXSTARTTLS").starttls);
  CHECK_FALSE(Capabilities::parse(Reply(502, std::nullopt, "mx\nSTARTTLS")).extended);
}

TEST_CASE("Capabilities: SIZE without a number, of 0 or of nonsense sets no limit") {
  for (const char* text : {"mx\nSIZE", "mx\nSIZE 0", "mx\nSIZE many", "mx\nSIZE 99999999999999999999999"}) {
    const auto peer = capabilities(text);
    CHECK(peer.size);
    CHECK_FALSE(peer.size_limit);
    CHECK(peer.takes(UINT64_MAX));
  }
  CHECK(capabilities("mx\nSIZE 10").takes(10));
  CHECK_FALSE(capabilities("mx\nSIZE 10").takes(11));
}

}  // namespace smtp_reply_test
