// SPDX-License-Identifier: Apache-2.0
// BDAT: the session's side (order, codes, what is passed over) and the decoder's (what of it is content).
#include <doctest/doctest.h>

#include <vector>

#include "smtp/chunk_decoder.h"
#include "smtp/session.h"
#include "tests/smtp/relay.h"

namespace smtp_bdat_test {

using namespace hoplock;
using namespace hoplock::smtp;
using test::code_of;
using test::options;

namespace {

struct Dialog {
  Session session{options(), Relay::allowed, Channel::clear};
  Answer last;

  std::string code(const Answer& answer) {
    last = answer;
    const Reply& reply = answer.reply;
    return reply.code == 0 ? "" : code_of(reply);
  }
  std::string say(std::string_view line) { return code(session.take(line, Facts{})); }
  Dialog& in_transaction() {
    say("EHLO c.example");
    say("MAIL FROM:<a@example.org>");
    say("RCPT TO:<b@example.com>");
    return *this;
  }
};

EndOfData stored(std::string id = {}) {
  EndOfData end;
  end.id = std::move(id);
  return end;
}

struct Decoded {
  std::string out;
  Content content;
  std::uint64_t size;
};

Decoded decode(std::string_view octets, std::size_t step, BareNewline mode = BareNewline::reject,
               std::uint64_t limit = 1000) {
  ChunkDecoder decoder(mode, limit);
  Decoded got;
  while (!octets.empty()) {
    decoder.feed(octets.substr(0, step), got.out);
    octets.remove_prefix(std::min(step, octets.size()));
  }
  decoder.finish(got.out);
  got.content = decoder.content();
  got.size = decoder.size();
  return got;
}

}  // namespace

TEST_CASE("SUB-18: one 250 a chunk, BDAT 0 LAST ends the message, and DATA stays available for the next one") {
  Dialog dialog;
  dialog.in_transaction();
  CHECK(dialog.say("BDAT 10") == "");
  CHECK(dialog.last.action == Action::receive_chunk);
  CHECK(dialog.session.chunk().octets == 10);
  CHECK(dialog.session.is_receiving());
  CHECK(dialog.code(dialog.session.end_of_chunk(stored())) == "250 2.0.0");
  CHECK(dialog.say("bdat 0 last") == "");
  CHECK(dialog.session.chunk().last);
  const Answer end = dialog.session.end_of_chunk(stored("4Xy0aB12"));
  CHECK(end.reply.to_wire() == "250 2.0.0 Ok: queued as 4Xy0aB12\r\n");
  CHECK_FALSE(dialog.session.is_receiving());
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "250 2.1.0");
  CHECK(dialog.say("RCPT TO:<b@example.com>") == "250 2.1.5");
  CHECK(dialog.say("DATA") == "354");
}

TEST_CASE("SUB-20: DATA and RCPT after BDAT, and BDAT after LAST, are 503 5.5.1") {
  Dialog dialog;
  dialog.in_transaction();
  dialog.say("BDAT 5");
  dialog.session.end_of_chunk(stored());
  CHECK(dialog.say("DATA") == "503 5.5.1");
  CHECK(dialog.say("RCPT TO:<c@example.com>") == "503 5.5.1");
  CHECK(dialog.say("BDAT 5 LAST") == "");
  dialog.session.end_of_chunk(stored("4Xy0aB12"));
  CHECK(dialog.say("BDAT 5 LAST") == "503 5.5.1");
  CHECK(dialog.last.action == Action::discard_chunk);
}

TEST_CASE("SUB-19, SUB-21: a refused BDAT has its octets passed over, and its fellows fail with 503 until RSET") {
  struct Row {
    const char* before;
    const char* bdat;
    const char* code;
    const char* why;
  };
  for (const Row& row : std::vector<Row>{
           {"", "BDAT 6", "503 5.5.1", "no EHLO"},
           {"EHLO c.example", "BDAT 6", "503 5.5.1", "no MAIL"},
           {"EHLO c.example;MAIL FROM:<a@example.org>", "BDAT 6", "503 5.5.1", "no RCPT"},
           {"EHLO c.example;MAIL FROM:<a@example.org>;RCPT TO:<@>", "BDAT 6", "554 5.5.1", "no good RCPT"},
           {"HELO c.example;MAIL FROM:<a@example.org>;RCPT TO:<b@example.com>", "BDAT 6", "503 5.5.1", "no extension"},
           {"EHLO c.example;MAIL FROM:<a@example.org>;RCPT TO:<b@example.com>", "BDAT 6 LATS", "501 5.5.4", "syntax"},
           {"EHLO c.example;MAIL FROM:<a@example.org>;RCPT TO:<b@example.com>", "BDAT 6 LAST x", "501 5.5.4", "syntax"},
           {"EHLO c.example;MAIL FROM:<a@example.org>;RCPT TO:<b@example.com>", "BDAT 6 \x01", "500 5.5.2", "control"},
       }) {
    CAPTURE(row.why);
    Dialog dialog;
    std::string_view before = row.before;
    while (!before.empty()) {
      dialog.say(before.substr(0, before.find(';')));
      before.remove_prefix(
          std::min(before.size(), before.find(';') == before.npos ? before.size() : before.find(';') + 1));
    }
    CHECK(dialog.say(row.bdat) == row.code);
    CHECK(dialog.last.action == Action::discard_chunk);
    CHECK(dialog.session.chunk().octets == 6);
    CHECK_FALSE(dialog.session.is_receiving());
    CHECK(dialog.say("BDAT 7") == "503 5.5.1");
    CHECK(dialog.last.action == Action::discard_chunk);
    CHECK(dialog.session.chunk().octets == 7);
    CHECK(dialog.say("DATA") == "503 5.5.1");
    CHECK(dialog.say("RSET") == "250 2.0.0");
    dialog.in_transaction();
    CHECK(dialog.say("BDAT 5 LAST") == "");
  }
}

TEST_CASE("SUB-19: after a failed chunk MAIL waits for RSET, after a failed last chunk it does not") {
  EndOfData full;
  full.stored = EndOfData::Stored::full;
  Dialog dialog;
  dialog.in_transaction();
  dialog.say("BDAT 10");
  CHECK(dialog.code(dialog.session.end_of_chunk(full)) == "452 4.3.1");
  CHECK_FALSE(dialog.session.is_receiving());
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "503 5.5.1");
  CHECK(dialog.say("BDAT 10 LAST") == "503 5.5.1");
  CHECK(dialog.last.action == Action::discard_chunk);
  dialog.in_transaction();
  dialog.say("BDAT 10 LAST");
  CHECK(dialog.code(dialog.session.end_of_chunk(full)) == "452 4.3.1");
  CHECK(dialog.say("MAIL FROM:<a@example.org>") == "250 2.1.0");
}

TEST_CASE("SUB-19: a BDAT that does not say how much follows ends the session: its content must not run as commands") {
  for (const char* line : {"BDAT", "BDAT x", "BDAT -1", "BDAT LAST", "BDAT 99999999999999999999999", "BDAT 5LAST",
                           "BDAT  5", "BDAT 5\x01"}) {
    CAPTURE(line);
    Dialog dialog;
    dialog.in_transaction();
    const std::string code = dialog.say(line);
    CHECK((code == "501 5.5.4" || code == "500 5.5.2"));
    CHECK(dialog.last.action == Action::close);
  }
}

TEST_CASE("SUB-13, SUB-19: where STARTTLS must come first, BDAT is 530 5.7.0 and its octets are passed over") {
  SessionOptions some = options();
  some.tls = TlsMode::required;
  Session session(some, Relay::allowed, Channel::clear);
  session.take("EHLO c.example", Facts{});
  const Answer answer = session.take("BDAT 6 LAST", Facts{});
  CHECK(answer.reply.code == 530);
  CHECK(answer.action == Action::discard_chunk);
  CHECK(session.chunk().octets == 6);
}

TEST_CASE("SUB-08, SUB-09: what BDAT carries is kept octet by octet, dots and all, in any split") {
  const std::string content = "Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\nno line end";
  for (std::size_t step = 1; step <= content.size(); ++step) {
    CAPTURE(step);
    const Decoded got = decode(content, step);
    CHECK(got.out == content);
    CHECK(got.content == Content::good);
    CHECK(got.size == content.size());
  }
}

TEST_CASE("SUB-08: a lone CR or LF and a NUL make BDAT content unfit as they do in DATA, in any split") {
  struct Row {
    std::string content;
    Content found;
    std::string normalized;
  };
  for (const Row& row : std::vector<Row>{
           {"x\n.\r\ny\r\n", Content::bare_newline, "x\r\n.\r\ny\r\n"},
           {"x\ry\r\n", Content::bare_newline, "x\r\ny\r\n"},
           {"x\r\r\n", Content::bare_newline, "x\r\n\r\n"},
           {"x\r", Content::bare_newline, "x\r\n"},
           {"\n", Content::bare_newline, "\r\n"},
           {"x\r\n\n\r", Content::bare_newline, "x\r\n\r\n\r\n"},
           {"\r\n\r\n", Content::good, "\r\n\r\n"},
       }) {
    for (std::size_t step = 1; step <= row.content.size(); ++step) {
      CAPTURE(row.content);
      CAPTURE(step);
      CHECK(decode(row.content, step).content == row.found);
      const Decoded repaired = decode(row.content, step, BareNewline::normalize);
      CHECK(repaired.content == Content::good);
      CHECK(repaired.out == row.normalized);
      CHECK(repaired.size == row.normalized.size());
    }
  }
  const std::string nul("a\0b\r\n", 5);
  CHECK(decode(nul, 2).content == Content::nul);
  CHECK(decode(nul, 2, BareNewline::normalize).content == Content::nul);
}

TEST_CASE("SUB-15: chunks that add up to more than the limit are too large, exactly the limit passes") {
  CHECK(decode(std::string(1000, 'x'), 7).content == Content::good);
  const Decoded over = decode(std::string(1001, 'x'), 7);
  CHECK(over.content == Content::too_large);
  CHECK(over.size == 1001);
}

TEST_CASE("SUB-25: AUTH= of MAIL is parsed and counts for nothing; malformed or repeated it is 501 5.5.4") {
  struct Row {
    const char* parameters;
    const char* code;
  };
  for (const Row& row : std::vector<Row>{{"AUTH=<>", "250 2.1.0"},
                                         {"AUTH=ceo+40x.ex", "250 2.1.0"},
                                         {"AUTH=ceo@x.ex", "250 2.1.0"},
                                         {"auth=ceo+2Btag@x.ex SIZE=5 BODY=8BITMIME", "250 2.1.0"},
                                         {"AUTH=+3C+3E", "501 5.5.4"},
                                         {"AUTH=a+2@x.ex", "501 5.5.4"},
                                         {"AUTH=a+2b@x.ex", "501 5.5.4"},
                                         {"AUTH", "501 5.5.4"},
                                         {"AUTH=", "501 5.5.4"},
                                         {"AUTH=nobody", "501 5.5.4"},
                                         {"AUTH=<> AUTH=<>", "501 5.5.4"}}) {
    CAPTURE(row.parameters);
    Dialog dialog;
    dialog.say("EHLO c.example");
    CHECK(dialog.say("MAIL FROM:<a@example.org> " + std::string(row.parameters)) == row.code);
  }
}

}  // namespace smtp_bdat_test
