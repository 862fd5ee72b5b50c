// SPDX-License-Identifier: Apache-2.0
// RFC 3461: what MAIL and RCPT may say about notices, taken strictly, and passed on as it came.
#include "smtp/dsn.h"

#include <doctest/doctest.h>

#include "smtp/compose.h"
#include "smtp/line_buffer.h"
#include "smtp/session.h"
#include "tests/smtp/relay.h"

namespace smtp_dsn_test {

using namespace hoplock;
using namespace hoplock::smtp;
using test::code_of;
using test::options;

namespace {

struct Dialog {
  Session session{options(), Relay::allowed, Channel::clear};
  std::string code(std::string_view line) { return code_of(session.take(line, Facts{}).reply); }
};

Capabilities peer(const char* keywords) {
  return Capabilities::parse(Reply(250, std::nullopt, std::string("peer.example\n") + keywords));
}

}  // namespace

TEST_CASE("SUB-22: xtext is printable ASCII but for + and =, and + with two upper-case digits") {
  struct Row {
    const char* text;
    std::optional<std::string> value;
    const char* why;
  };
  const Row rows[] = {
      {"QQ314159", "QQ314159", "plain"},
      {"a+2Bb+3Dc", "a+b=c", "what xtext must encode"},
      {"a+20b", "a b", "a space"},
      {"", "", "nothing is nothing"},
      {"a+2bb", std::nullopt, "lower-case digits"},
      {"a+2", std::nullopt, "one digit"},
      {"a+", std::nullopt, "no digit"},
      {"a=b", std::nullopt, "a bare ="},
      {"a b", std::nullopt, "a bare space"},
      {"a\tb", std::nullopt, "a control character"},
      {"a\xc3\xa4", std::nullopt, "not ASCII"},
      {"a+0D+0Ab", std::nullopt, "a line end would be a field of its own in a notice"},
      {"a+00", std::nullopt, "a NUL"},
      {"a+C3+A4", std::nullopt, "octets that no ASCII field can hold"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    CHECK(decode_xtext(row.text) == row.value);
  }
}

TEST_CASE("SUB-22: NOTIFY, RET, ENVID and ORCPT are taken strictly, and valid ones change no reply") {
  const std::string longest_envid(100, 'e'), longest_orcpt = "rfc822;" + std::string(493, 'o');
  Dialog dialog;
  CHECK(dialog.session.take("EHLO c.example", Facts{}).reply.to_wire().find("250-DSN\r\n") != std::string::npos);
  struct Row {
    std::string parameters;
    const char* code;
    const char* why;
  };
  const Row mail[] = {
      {"RET=FULL", "250 2.1.0", "valid"},
      {"ret=hdrs ENVID=QQ+2B1 SIZE=10", "250 2.1.0", "any case, any order"},
      {"ENVID=" + longest_envid, "250 2.1.0", "as long as it may be"},
      {"ENVID=" + longest_envid + "e", "501 5.5.4", "longer"},
      {"RET=BODY", "501 5.5.4", "an unknown word"},
      {"RET", "501 5.5.4", "no value"},
      {"RET=FULL RET=FULL", "501 5.5.4", "twice"},
      {"ENVID=a ENVID=a", "501 5.5.4", "twice"},
      {"ENVID", "501 5.5.4", "no value"},
      {"ENVID=a+0A", "501 5.5.4", "a line end"},
      {"ENVID=a+zz", "501 5.5.4", "no xtext"},
  };
  for (const Row& row : mail) {
    CAPTURE(row.parameters);
    CAPTURE(row.why);
    CHECK(dialog.code("MAIL FROM:<a@example.org> " + row.parameters) == row.code);
    dialog.code("RSET");
  }
  const Row rcpt[] = {
      {"NOTIFY=NEVER", "250 2.1.5", "alone"},
      {"NOTIFY=SUCCESS,FAILURE,DELAY", "250 2.1.5", "all three"},
      {"notify=delay", "250 2.1.5", "any case"},
      {"ORCPT=rfc822;b+2Bc@example.com", "250 2.1.5", "valid"},
      {"ORCPT=x400;/c+3Dus/", "250 2.1.5", "another type of address"},
      {"ORCPT=" + longest_orcpt, "250 2.1.5", "as long as it may be"},
      {"ORCPT=" + longest_orcpt + "o", "501 5.5.4", "longer"},
      {"NOTIFY=NEVER,FAILURE", "501 5.5.4", "NEVER stands alone"},
      {"NOTIFY=", "501 5.5.4", "empty"},
      {"NOTIFY", "501 5.5.4", "no value"},
      {"NOTIFY=SUCCESS,", "501 5.5.4", "an empty word"},
      {"NOTIFY=ALWAYS", "501 5.5.4", "an unknown word"},
      {"NOTIFY=DELAY NOTIFY=DELAY", "501 5.5.4", "twice"},
      {"ORCPT=b@example.com", "501 5.5.4", "no type"},
      {"ORCPT=rfc822;", "501 5.5.4", "no address"},
      {"ORCPT=rfc822;a+0D+0AX:y", "501 5.5.4", "a field injected"},
      {"ORCPT=r(;a", "501 5.5.4", "the type is no atom"},
      {"ORCPT=rfc822;a ORCPT=rfc822;a", "501 5.5.4", "twice"},
      {"RET=FULL", "555 5.5.4", "a parameter of MAIL"},
  };
  for (const Row& row : rcpt) {
    CAPTURE(row.parameters);
    CAPTURE(row.why);
    CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
    CHECK(dialog.code("RCPT TO:<b@example.com> " + row.parameters) == row.code);
    dialog.code("RSET");
  }
}

TEST_CASE("SUB-22: after HELO there are no parameters") {
  Dialog dialog;
  dialog.code("HELO c.example");
  CHECK(dialog.code("MAIL FROM:<a@example.org> RET=FULL") == "555 5.5.4");
  CHECK(dialog.code("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<b@example.com> NOTIFY=NEVER") == "555 5.5.4");
}

TEST_CASE("DSN-10, DSN-11: the parameters go to a peer that offers DSN exactly as they came, and to no other") {
  Dialog dialog;
  dialog.code("EHLO c.example");
  CHECK(dialog.code("MAIL FROM:<a@example.org> RET=HDRS ENVID=QQ+2B1") == "250 2.1.0");
  CHECK(dialog.code("RCPT TO:<b@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B+2Bc@Example.com") == "250 2.1.5");
  CHECK(dialog.code("RCPT TO:<c@example.com>") == "250 2.1.5");
  const Envelope& envelope = dialog.session.envelope();
  CHECK(compose(envelope, peer("DSN\nPIPELINING"))[0].wire ==
        "MAIL FROM:<a@example.org> RET=HDRS ENVID=QQ+2B1\r\n"
        "RCPT TO:<b@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B+2Bc@Example.com\r\n"
        "RCPT TO:<c@example.com>\r\nDATA\r\n");
  CHECK(compose(envelope, peer("PIPELINING"))[0].wire ==
        "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n");
  dialog.code("RSET");
  CHECK(dialog.session.envelope().ret == Ret::unset);
  CHECK(dialog.session.envelope().envid.empty());
}

TEST_CASE("SUB-28, SUB-22: the longest parameters fit a line beside the longest address") {
  Dialog dialog;
  dialog.code("EHLO c.example");
  CHECK(dialog.code("MAIL FROM:<a@example.org> RET=HDRS ENVID=" + std::string(100, 'e')) == "250 2.1.0");
  const std::string line = "RCPT TO:<" + std::string(512, 'l') + "@" + std::string(60, 'd') +
                           ".example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;" + std::string(493, 'o');
  CHECK(line.size() + 2 <= LineBuffer::max_line);
  CHECK(dialog.code(line) == "250 2.1.5");
}

}  // namespace smtp_dsn_test
