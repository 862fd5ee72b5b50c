// SPDX-License-Identifier: Apache-2.0
// Hostile and malformed conversations, each with the replies that it must get: nothing runs that should not, nothing is lost, no
// reply is out of step. A row is what a client sends in one write behind the given point of a good conversation; QUIT follows it,
// so a session that is expected to live on says 221 in the end, and one that must end ("END") does not.
#include <doctest/doctest.h>

#include <vector>

#include "base/ascii.h"
#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"
#include "tests/support/test_ca.h"

namespace listener_battery_test {

using namespace hoplock;
using support::Intake;
using support::SmtpClient;

namespace {

enum class After { banner, ehlo, mail, rcpt, data };

struct Row {
  After after;
  std::string sent;
  const char* replies;  // codes, "END" where the session must end by itself
  const char* why;
};

std::string prefix(After after) {
  std::string text;
  if (after >= After::ehlo) text += "EHLO c.test\r\n";
  if (after >= After::mail) text += "MAIL FROM:<a@example.net>\r\n";
  if (after >= After::rcpt) text += "RCPT TO:<u@example.org>\r\n";
  if (after >= After::data) text += "DATA\r\n";
  return text;
}

// "250 2.1.0" or "354" of a reply's last line.
std::string code_of(const std::string& reply) {
  const auto line = reply.substr(reply.rfind('\n', reply.size() - 2) + 1);
  const std::string enhanced = line.substr(4, line.find(' ', 4) - 4);
  const bool has = enhanced.size() >= 5 && is_digit(enhanced[0]) && enhanced[1] == '.';
  return line.substr(0, 3) + (has ? " " + enhanced : "");
}

// All replies behind the prefix, joined by '|'.
std::string converse(SmtpClient& client, const Row& row) {
  client.send(prefix(row.after) + row.sent + "QUIT\r\n");
  std::vector<std::string> codes;
  try {
    while (codes.empty() || codes.back() != "221 2.0.0") codes.push_back(code_of(client.reply()));
  } catch (const std::exception&) {
    codes.emplace_back("END");
  }
  std::string joined;
  for (std::size_t i = static_cast<std::size_t>(row.after); i < codes.size(); ++i) {
    if (codes[i] != "221 2.0.0") joined += (joined.empty() ? "" : "|") + codes[i];
  }
  return joined;
}

std::string times(std::size_t count, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

const std::string nul(1, '\0');

std::vector<Row> command_rows() {
  const auto e = After::ehlo;
  return {
      {After::banner, "MAIL FROM:<a@example.net>\r\n", "503 5.5.1", "no EHLO"},
      {After::banner, "RCPT TO:<a@example.net>\r\n", "503 5.5.1", "no EHLO"},
      {After::banner, "DATA\r\n", "503 5.5.1", "no EHLO"},
      {After::banner, "BDAT 0 LAST\r\n", "503 5.5.1", "no EHLO"},
      {After::banner, "AUTH PLAIN AGEAYg==\r\n", "502 5.5.1", "no AUTH here"},
      {After::banner, "EHLO\r\n", "501 5.5.4", "no name"},
      {After::banner, "HELO\r\n", "501 5.5.4", "no name"},
      {After::banner, "EHLO a b\r\n", "501 5.5.4", "two names"},
      {After::banner, "EHLO " + std::string(256, 'a') + "\r\n", "501 5.5.4", "a long name"},
      {After::banner, "EHLO a\xc3\xa9\r\n", "501 5.5.4", "not ASCII"},
      {After::banner, "HELO " + std::string(255, 'a') + "\r\n", "250", "the longest name"},
      {After::banner, "\r\n", "500 5.5.2", "an empty line"},
      {After::banner, " EHLO c\r\n", "500 5.5.2", "a blank before"},
      {After::banner, "EHLO\tc\r\n", "500 5.5.2", "a tab is no blank"},
      {After::banner, "EHLO c\n", "500 5.5.2|END", "a lone LF"},
      {After::banner, "EHLO c\r", "500 5.5.2|END", "a lone CR"},
      {After::banner, "\nEHLO c\r\n", "500 5.5.2|END", "a lone LF first"},
      {After::banner, "EHLO c\r\r\n", "500 5.5.2|END", "CR CR LF"},
      {After::banner, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "421 4.7.0|END", "HTTP"},
      {After::banner, "POST / HTTP/1.0\r\n\r\nEHLO c\r\nMAIL FROM:<>\r\n", "421 4.7.0|END",
       "HTTP with mail in its body"},
      {After::banner, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "421 4.7.0|END", "HTTP/2"},
      {After::banner, "OPTIONS sip:x SIP/2.0\r\n", "421 4.7.0|END", "SIP"},
      {After::banner, "CONNECT x:25 HTTP/1.1\r\n", "421 4.7.0|END", "a proxy request"},
      {After::banner, "Content-Type: text/plain\r\n", "421 4.7.0|END", "a header field"},
      {After::banner, "SSH-2.0-x\r\n", "500 5.5.2", "SSH"},
      {After::banner, "USER a\r\n", "500 5.5.2", "POP3"},
      {After::banner, "a1 LOGIN x y\r\n", "500 5.5.2", "IMAP"},
      {After::banner, "LHLO c\r\n", "500 5.5.2", "LMTP"},
      {After::banner, nul + "\r\n", "500 5.5.2", "NUL"},
      {After::banner, "EHLO c" + nul + "\r\n", "500 5.5.2", "NUL in a name"},
      {After::banner, "\x16\x03\x01\x02\r\n", "500 5.5.2", "a TLS record where none is due"},
      {After::banner, std::string(2047, 'x') + "\r\n", "500 5.5.2", "a long line"},
      {After::banner, std::string(200000, 'x') + "\r\n", "500 5.5.2", "a very long line"},
      {After::banner, std::string(5000, 'x') + "\n", "500 5.5.2|END", "a long line that ends in a lone LF"},
      {After::banner, times(150, "x\r\n"), nullptr, "nothing but errors"},
      {e, "FOO\r\n", "500 5.5.2", "no such verb"},
      {e, "MAILFROM:<a@example.net>\r\n", "421 4.7.0|END", "a colon in a verb is a header field"},
      {e, "EXPN staff\r\n", "502 5.5.1", "not served"},
      {e, "SEND FROM:<a@example.net>\r\n", "502 5.5.1", "not served"},
      {e, "TURN\r\n", "502 5.5.1", "not served"},
      {e, "ETRN x\r\n", "502 5.5.1", "not served"},
      {e, "XCLIENT ADDR=127.0.0.1\r\n", "500 5.5.2", "not offered"},
      {e, "XFORWARD ADDR=127.0.0.1\r\n", "500 5.5.2", "not offered"},
      {e, "XEXCH50 10 2\r\n", "500 5.5.2", "not offered"},
      {e, "X-ANONYMOUSTLS\r\n", "500 5.5.2", "not offered"},
      {e, "X-EXPS GSSAPI\r\n", "500 5.5.2", "not offered"},
      {e, "BURL imap://x LAST\r\n", "500 5.5.2", "not offered"},
      {e, "VRFY\r\n", "501 5.5.4", "whom"},
      {e, "VRFY root\r\n", "252 2.0.0", "discloses nothing"},
      {e, "RSET x\r\n", "501 5.5.4", "takes nothing"},
      {e, "QUIT x\r\n", "501 5.5.4", "takes nothing"},
      {e, "STARTTLS x\r\n", "501 5.5.4", "takes nothing"},
      {e, "STARTTLS\r\nEHLO evil\r\n", "554 5.5.1|END", "commands behind STARTTLS"},
      {e, "NOOP\x7f\r\n", "500 5.5.2", "DEL"},
      {e, "NOOP\x1b[2J\r\n", "500 5.5.2", "an escape sequence"},
      {e, "noop\r\nNoOp x\r\nRSET\r\n", "250 2.0.0|250 2.0.0|250 2.0.0", "verbs in any case"},
      {e, "NOOP\r\nNOOP\nNOOP\r\n", "250 2.0.0|500 5.5.2|END", "good, then a lone LF"},
      {e, "EHLO again\r\nHELO again\r\n", "250|250", "EHLO twice"},
      {e, times(50, "NOOP\r\n"), nullptr, "a flood of good commands"},
  };
}

std::vector<Row> envelope_rows() {
  const auto e = After::ehlo, m = After::mail;
  const auto mail = [](const std::string& rest) { return "MAIL FROM:" + rest + "\r\n"; };
  const auto rcpt = [](const std::string& rest) { return "RCPT TO:" + rest + "\r\n"; };
  return {
      {e, "MAIL\r\n", "501 5.5.4", "no FROM"},
      {e, "MAIL FROM\r\n", "501 5.5.4", "no colon"},
      {e, "MAIL TO:<a@example.net>\r\n", "501 5.5.4", "the wrong word"},
      {e, mail(""), "501 5.5.4", "no path"},
      {e, mail("a@example.net"), "501 5.5.4", "no brackets"},
      {e, mail("<a@example.net"), "501 5.5.4", "an open bracket"},
      {e, mail("a@example.net>"), "501 5.5.4", "a closed bracket"},
      {e, mail("<<a@example.net>>"), "501 5.5.4", "two brackets"},
      {e, mail("  <a@example.net>"), "501 5.5.4", "two blanks"},
      {e, mail("<a@example.net>SIZE=1"), "501 5.5.4", "no blank before a parameter"},
      {e, mail("<a@example.net>  SIZE=1"), "501 5.5.4", "two blanks before a parameter"},
      {e, mail("<a@example.net> \"x\""), "501 5.5.4", "no keyword"},
      {e, mail("<a@example.net> SIZE"), "501 5.5.4", "no value"},
      {e, mail("<a@example.net> SIZE="), "501 5.5.4", "no value"},
      {e, mail("<a@example.net> SIZE=-1"), "501 5.5.4", "negative"},
      {e, mail("<a@example.net> SIZE=1k"), "501 5.5.4", "a unit"},
      {e, mail("<a@example.net> SIZE=0x10"), "501 5.5.4", "hexadecimal"},
      {e, mail("<a@example.net> SIZE=1 SIZE=1"), "501 5.5.4", "twice"},
      {e, mail("<a@example.net> SIZE=0"), "250 2.1.0", "unknown"},
      {e, mail("<a@example.net> SIZE=00000000000000000010"), "250 2.1.0", "the longest number"},
      {e, mail("<a@example.net> SIZE=000000000000000000010"), "501 5.5.4", "one digit more"},
      {e, mail("<a@example.net> SIZE=99999999999999999999"), "552 5.3.4", "above 64 bits"},
      {e, mail("<a@example.net> SIZE=18446744073709551615"), "552 5.3.4", "the largest number"},
      {e, mail("<a@example.net> SIZE=200001"), "552 5.3.4", "above the limit"},
      {e, mail("<a@example.net> SIZE=200000"), "250 2.1.0", "the limit"},
      {e, mail("<a@example.net> BODY=9BIT"), "501 5.5.4", "no such body"},
      {e, mail("<a@example.net> BODY"), "501 5.5.4", "no value"},
      {e, mail("<a@example.net> BODY=7BIT BODY=7BIT"), "501 5.5.4", "twice"},
      {e, mail("<a@example.net> body=8bitmime"), "250 2.1.0", "any case"},
      {e, mail("<a@example.net> AUTH"), "501 5.5.4", "no value"},
      {e, mail("<a@example.net> AUTH=<> AUTH=<>"), "501 5.5.4", "twice"},
      {e, mail("<a@example.net> AUTH=+zz"), "501 5.5.4", "no xtext"},
      {e, mail("<a@example.net> AUTH=<>"), "250 2.1.0", "nobody"},
      {e, mail("<a@example.net> BAR=1"), "555 5.5.4", "unknown"},
      {e, mail("<a@example.net> BY=120;R"), "555 5.5.4", "DELIVERBY is not offered"},
      {e, mail("<a@example.net> XOORG=x"), "555 5.5.4", "XOORG is not offered"},
      {e, mail("<a@example.net> =1"), "501 5.5.4", "no keyword"},
      {e, mail("<a@example.net> -X=1"), "501 5.5.4", "a bad keyword"},
      {e, mail("<a@example.net> X=a=b"), "501 5.5.4", "'=' in a value"},
      {e, mail("<a>"), "501 5.1.7", "no domain"},
      {e, mail("<@example.net>"), "501 5.1.7", "no local part"},
      {e, mail("<a@>"), "501 5.1.7", "an empty domain"},
      {e, mail("<a@b@example.net>"), "501 5.1.7", "two '@'"},
      {e, mail("<a b@example.net>"), "501 5.1.7", "a blank"},
      {e, mail("<.a@example.net>"), "501 5.1.7", "a dot first"},
      {e, mail("<a.@example.net>"), "501 5.1.7", "a dot last"},
      {e, mail("<a..b@example.net>"), "501 5.1.7", "two dots"},
      {e, mail("<a@example..net>"), "501 5.1.7", "an empty label"},
      {e, mail("<a@example.net.>"), "501 5.1.7", "a final dot"},
      {e, mail("<a@-example.net>"), "501 5.1.7", "a label begins with a hyphen"},
      {e, mail("<a@*.example.net>"), "501 5.1.7", "a wildcard"},
      {e, mail("<a@" + std::string(64, 'x') + ".net>"), "501 5.1.7", "a label of 64"},
      {e, mail("<a@" + times(64, "abc.") + "net>"), "501 5.1.7", "a name above 255"},
      {e, mail("<" + std::string(513, 'a') + "@example.net>"), "501 5.1.7", "a long local part"},
      {e, mail("<" + std::string(64, 'a') + "@example.net>"), "250 2.1.0", "a local part of 64"},
      {e, mail("<\"a@example.net>"), "501 5.5.4", "an open quote hides the bracket"},
      {e, mail("<\"a\\\"@example.net>"), "501 5.5.4", "an escaped quote does not end it"},
      {e, mail("<\"a\"b@example.net>"), "501 5.1.7", "text behind a quote"},
      {e, mail("<\"a>b\"@example.net>"), "250 2.1.0", "a bracket inside quotes"},
      {e, mail("<\"\"@example.net>"), "250 2.1.0", "an empty quote"},
      {e, mail("<a@[300.0.0.1]>"), "501 5.1.7", "no address"},
      {e, mail("<a@[IPv6:zz]>"), "501 5.1.7", "no IPv6 address"},
      {e, mail("<a@[192.0.2.1>"), "501 5.1.7", "an open literal"},
      {e, mail("<a@[]>"), "501 5.1.7", "an empty literal"},
      {e, mail("<a@[192.0.2.1]>"), "250 2.1.0", "a literal as sender"},
      {e, mail("<postmaster>"), "501 5.1.7", "postmaster alone is a recipient"},
      {e, mail("<@a.example:a@example.net>"), "250 2.1.0", "a source route"},
      {e, mail("<@a.example,:a@example.net>"), "501 5.1.7", "a broken source route"},
      {e, mail("<\xff@example.net>"), "501 5.1.7", "no UTF-8"},
      {e, mail("<\xc0\x80@example.net>"), "501 5.1.7", "overlong UTF-8"},
      {e, mail("<\xed\xa0\x80@example.net>"), "501 5.1.7", "a surrogate"},
      {e, mail("<a\x01@example.net>"), "500 5.5.2", "a control character"},
      {e, mail("<a" + nul + "@example.net>"), "500 5.5.2", "NUL"},
      {m, mail("<b@example.net>"), "503 5.5.1", "MAIL twice"},
      {m, "DATA\r\n", "503 5.5.1", "no recipient"},
      {m, "RCPT\r\n", "501 5.5.4", "no TO"},
      {m, rcpt(""), "501 5.5.4", "no path"},
      {m, rcpt("<>"), "501 5.1.3", "an empty path"},
      {m, rcpt("<u>"), "501 5.1.3", "no domain"},
      {m, rcpt("<u@>"), "501 5.1.3", "an empty domain"},
      {m, rcpt("<u@[192.0.2.1]>"), "550 5.1.3", "a literal"},
      {m, rcpt("<u@[IPv6:2001:db8::1]>"), "550 5.1.3", "an IPv6 literal"},
      {m, rcpt("<u@x-tag:foo]>"), "501 5.1.3", "half a literal"},
      {m, rcpt("<u@example.org> NOTIFY=PERHAPS"), nullptr, "no such notice"},
      {m, rcpt("<u@example.org> X=1"), "555 5.5.4", "unknown"},
      {m, rcpt("<u@example.org> SIZE=1"), "555 5.5.4", "of MAIL"},
      {m, rcpt("<|/bin/sh@example.org>"), "250 2.1.5", "a pipe is an address like others"},
      {m, rcpt("<../../etc/passwd@example.org>"), "501 5.1.3", "dots in a row"},
      {m, rcpt("</etc/passwd@example.org>"), "250 2.1.5", "a path is an address like others"},
      {m, rcpt("<u@example.org>\n" + rcpt("<v@example.org>")), "500 5.5.2|END", "two commands by a lone LF"},
      {m, rcpt("<u@example.org>\r" + rcpt("<v@example.org>")), "500 5.5.2|END", "two commands by a lone CR"},
      {m, rcpt("<u@example.org>") + "DATA x\r\n", "250 2.1.5|501 5.5.4", "DATA takes nothing"},
      {m, rcpt("<a@[192.0.2.1]>") + "DATA\r\n", "550 5.1.3|554 5.5.1", "no recipient is left"},
      {m, rcpt("<@>") + rcpt("<u@example.org>") + "RSET\r\nDATA\r\n", "501 5.1.3|250 2.1.5|250 2.0.0|503 5.5.1",
       "RSET"},
      {m, times(5, rcpt("<u@example.org>")), "250 2.1.5|250 2.1.5|250 2.1.5|452 4.5.3|452 4.5.3", "too many"},
      {m, "EHLO x\r\n" + rcpt("<u@example.org>"), "250|503 5.5.1", "EHLO ends the transaction"},
      {m, "HELO x\r\n" + rcpt("<u@example.org>"), "250|503 5.5.1", "so does HELO"},
      {m, "STARTTLS\r\n" + rcpt("<u@example.org>"), "554 5.5.1|END", "STARTTLS inside a transaction, octets behind it"},
  };
}

std::vector<Row> content_rows() {
  const auto d = After::data, r = After::rcpt;
  const std::string head = "Subject: x\r\n\r\n", dot = "\r\n.\r\n";
  const auto bdat = [](const std::string& octets, const std::string& last = "") {
    return "BDAT " + std::to_string(octets.size()) + last + "\r\n" + octets;
  };
  const std::string smuggled = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nx";
  std::vector<Row> rows = {
      {d, ".\r\n", "250 2.0.0", "an empty message"},
      {d, "\r\n.\r\n", "250 2.0.0", "a message of an empty line"},
      {d, head + dot, "250 2.0.0", "no body"},
      {d, head + "..\r\n...\r\n.x" + dot, "250 2.0.0", "dots"},
      {d, head + std::string(150000, 'x') + dot, "250 2.0.0", "one line of 150,000 octets"},
      {d, head + std::string(250000, 'x') + dot, "552 5.3.4", "too large"},
      {d, times(50, "Received: x\r\n") + head + dot, "250 2.0.0", "fifty hops"},
      {d, times(51, "Received: x\r\n") + head + dot, "554 5.4.6", "a loop"},
      {d, times(6, "Received: from x by relay.test with SMTP; x\r\n") + head + dot, "554 5.4.6", "our own loop"},
      {d, times(60, "received : x\r\n") + head + dot, nullptr, "fields with a blank before the colon"},
      {d, "no header at all" + dot, "250 2.0.0", "no header"},
      {d, ": x\r\n" + head + dot, "250 2.0.0", "a field without a name"},
      {d, std::string(100000, 'A') + ": x\r\n" + dot, "250 2.0.0", "a name of 100,000 octets"},
      {d, "Message-ID: " + std::string(100000, 'A') + "\r\n" + dot, "250 2.0.0", "a Message-ID of 100,000 octets"},
      {d, times(5000, "X: y\r\n") + dot, "250 2.0.0", "5,000 fields"},
      {d, "Subject: x\r\n" + times(5000, " folded\r\n") + dot, "250 2.0.0", "a field of 5,000 lines"},
      {d, head + "\xff\xfe\x80" + dot, "250 2.0.0", "8-bit octets that nobody announced"},
      {d, head + "QUIT\r\nRSET\r\nEHLO x" + dot, "250 2.0.0", "commands are content"},
      {d, head + "x" + dot + "RCPT TO:<v@example.org>\r\n", "250 2.0.0|503 5.5.1", "the transaction is over"},
      {r, "BDAT\r\n", "501 5.5.4|END", "how many"},
      {r, "BDAT LAST\r\n", "501 5.5.4|END", "how many"},
      {r, "BDAT x LAST\r\n", "501 5.5.4|END", "how many"},
      {r, "BDAT -5\r\nHELLO", "501 5.5.4|END", "negative"},
      {r, "BDAT 0x5\r\nHELLO", "501 5.5.4|END", "hexadecimal"},
      {r, "BDAT 5.0\r\nHELLO", "501 5.5.4|END", "a fraction"},
      {r, "BDAT +5\r\nHELLO", "501 5.5.4|END", "a sign"},
      {r, "BDAT 36893488147419103232\r\nx", "501 5.5.4|END", "above 64 bits"},
      {r, "BDAT 5 last\r\nabc\r\n", "250 2.0.0", "any case"},
      {r, "BDAT 5 FIRST\r\nQUIT\n", "501 5.5.4", "a bad word, its octets passed over"},
      {r, "BDAT 5 LAST LAST\r\nQUIT\n", "501 5.5.4", "twice"},
      {r, "BDAT 5LAST\r\nQUIT\n", "501 5.5.4|END", "no blank"},
      {r, "BDAT\t5 LAST\r\nQUIT\n", "500 5.5.2|500 5.5.2|END", "a tab: no such verb, and a lone LF"},
      {r, bdat("", " LAST"), "250 2.0.0", "an empty message"},
      {r, bdat("") + bdat("") + bdat("", " LAST"), "250 2.0.0|250 2.0.0|250 2.0.0", "empty chunks"},
      {r, bdat(head + "." + "\r\n") + bdat("x\r\n", " LAST"), "250 2.0.0|250 2.0.0", "a dot ends nothing"},
      {r, bdat(head) + "DATA\r\n" + bdat("", " LAST"), "250 2.0.0|503 5.5.1|250 2.0.0", "DATA inside"},
      {r, bdat(head) + "RCPT TO:<v@example.org>\r\n" + bdat("", " LAST"), "250 2.0.0|503 5.5.1|250 2.0.0",
       "RCPT inside"},
      {r, bdat(head) + "MAIL FROM:<>\r\n" + bdat("", " LAST"), "250 2.0.0|503 5.5.1|250 2.0.0", "MAIL inside"},
      {r, bdat(head) + "NOOP\r\n" + bdat("", " LAST"), "250 2.0.0|250 2.0.0|250 2.0.0", "NOOP inside"},
      {r, bdat(head) + "RSET\r\n" + bdat("x\r\n", " LAST"), "250 2.0.0|250 2.0.0|503 5.5.1", "RSET inside"},
      {r, bdat(head) + "EHLO x\r\n" + bdat("x\r\n", " LAST"), "250 2.0.0|250|503 5.5.1", "EHLO inside"},
      {r, bdat(head, " LAST") + bdat("x", " LAST"), "250 2.0.0|503 5.5.1", "after the last"},
      {r, bdat("x\ny") + bdat("z") + bdat("", " LAST"), "554 5.6.0|503 5.5.1|503 5.5.1", "a lone LF"},
      {r, bdat("x\ry", " LAST"), "554 5.6.0", "a lone CR"},
      {r, bdat("x\r", " LAST"), "554 5.6.0", "a CR at the end"},
      {r, bdat("x\r") + bdat("y\r\n", " LAST"), "250 2.0.0|554 5.6.0", "a CR that the next chunk leaves alone"},
      {r, bdat("x\r") + bdat("\ny", " LAST"), "250 2.0.0|250 2.0.0", "a CRLF across chunks"},
      {r, bdat(nul, " LAST"), "554 5.6.0", "NUL"},
      {r, bdat(std::string(150000, 'x')) + bdat(std::string(150000, 'x'), " LAST"), "250 2.0.0|552 5.3.4", "too large"},
      {r, bdat(times(51, "Received: x\r\n"), " LAST"), "554 5.4.6", "a loop"},
      {r, bdat("x\r\n.\r\n" + smuggled, " LAST"), "250 2.0.0", "a terminator of DATA inside"},
      {r, bdat("GET / HTTP/1.1\r\n\r\n", " LAST"), "250 2.0.0", "HTTP as content"},
      {After::mail, bdat("QUIT\r\n", " LAST"), "503 5.5.1", "no recipient"},
      {After::mail, bdat("QUIT\r\n") + "RCPT TO:<u@example.org>\r\n", "503 5.5.1|503 5.5.1", "nor any later"},
      {After::mail, bdat("QUIT\r\n") + "DATA\r\nRSET\r\nMAIL FROM:<>\r\n", "503 5.5.1|503 5.5.1|250 2.0.0|250 2.1.0",
       "RSET"},
      {After::ehlo, bdat("QUIT\r\n") + bdat("QUIT\r\n", " LAST"), "503 5.5.1|503 5.5.1", "no transaction"},
      {After::banner, bdat("EHLO x\r\n") + "NOOP\r\n", "503 5.5.1|250 2.0.0", "no EHLO"},
  };
  for (const std::string& end :
       {std::string("\n.\n"), std::string("\n.\r\n"), std::string("\r.\r"), std::string("\r\n.\n"),
        std::string("\r\n.\r"), std::string("\n.\r"), std::string("\r.\r\n"), std::string("\r\n.\r\r\n"),
        "\r\n" + nul + ".\r\n", "\r\n." + nul + "\r\n", std::string("\r\n.\n\r\n"), std::string("\r\r\n.\r\r\n")}) {
    rows.push_back(
        {d, head + "body" + end + smuggled + dot, "554 5.6.0", "a lookalike of the end, and a mail behind it"});
    rows.push_back({r, bdat(head + "body" + end + smuggled + "\r\n", " LAST"), "554 5.6.0", "the same by BDAT"});
  }
  return rows;
}

std::vector<Row> login_rows() {
  const auto e = After::ehlo;
  const auto b64 = [](const std::string& text) { return to_base64(text); };
  return {
      {After::banner, "AUTH PLAIN AGEAYg==\r\n", "503 5.5.1", "no EHLO"},
      {After::banner, "HELO c\r\nAUTH PLAIN AGEAYg==\r\n", "250|503 5.5.1", "HELO has no extensions"},
      {After::mail, "AUTH PLAIN AGEAYg==\r\n", "503 5.5.1", "in a transaction"},
      {e, "AUTH\r\n", "501 5.5.4", "no mechanism"},
      {e, "AUTH GSSAPI\r\n", "504 5.5.4", "not offered"},
      {e, "AUTH NTLM TlRMTVNTUAAB\r\n", "504 5.5.4", "not offered"},
      {e, "AUTH XOAUTH2 dXNlcj0=\r\n", "504 5.5.4", "not offered"},
      {e, "AUTH EXTERNAL =\r\n", "504 5.5.4", "not offered"},
      {e, "AUTH ANONYMOUS\r\n", "504 5.5.4", "not offered"},
      {e, "AUTH PLAIN\r\n*\r\n", "334|501 5.7.0", "cancelled"},
      {e, "AUTH LOGIN\r\n*\r\n", "334|501 5.7.0", "cancelled"},
      {e, "AUTH LOGIN\r\nYQ==\r\n*\r\n", "334|334|501 5.7.0", "cancelled late"},
      {e, "AUTH PLAIN\r\n\r\n", "334|501 5.5.2", "an empty answer"},
      {e, "AUTH PLAIN\r\n====\r\n", "334|501 5.5.2", "nothing but padding"},
      {e, "AUTH PLAIN\r\nAGEA YgA=\r\n", "334|501 5.5.2", "a blank in base64"},
      {e, "AUTH PLAIN AGEAYg=\r\n", "501 5.5.2", "padding is missing"},
      {e, "AUTH PLAIN AGEAYh==\r\n", "501 5.5.2", "bits behind the end"},
      {e, "AUTH PLAIN " + b64("a") + "\r\n", "501 5.5.2", "no NUL"},
      {e, "AUTH PLAIN " + b64(nul + nul) + "\r\n", "501 5.5.2", "empty name and password"},
      {e, "AUTH PLAIN " + b64("root" + nul + "ann" + nul + "secret") + "\r\n", "535 5.7.8", "acting as somebody else"},
      {e, "AUTH PLAIN\r\nMAIL FROM:<a@example.net>\r\n", "334|501 5.5.2", "a command is no answer"},
      {e, "AUTH PLAIN\r\nSTARTTLS\r\n", "334|501 5.5.2", "nor is this one"},
      {e, "AUTH PLAIN\r\n" + std::string(3000, 'A') + "\r\n", "334|500 5.5.6", "too long"},
      {e, "AUTH PLAIN\r\n" + std::string(3000, 'A') + "\r\nNOOP\r\n", "334|500 5.5.6|250 2.0.0", "and then a command"},
      {e, "AUTH PLAIN\r\nAGEA\nYg==\r\n", "334|500 5.5.2|END", "a lone LF"},
      {e, "AUTH PLAIN\r\nAGEA" + nul + "\r\n", "334|501 5.5.2", "NUL"},
      {e, "AUTH PLAIN " + b64(nul + "eve" + nul + "x") + "\r\n", "535 5.7.8", "an unknown user"},
      {e, "AUTH PLAIN " + b64(nul + "ann" + nul + "x") + "\r\n", "535 5.7.8", "a wrong password"},
      {e, "AUTH PLAIN " + b64(nul + "ann" + nul + std::string(1000, 'x')) + "\r\n", "535 5.7.8", "a very long one"},
      {e, "AUTH PLAIN " + b64(nul + "ANN" + nul + "secret") + "\r\n", "535 5.7.8", "another user"},
      {e, times(4, "AUTH PLAIN " + b64(nul + "ann" + nul + "x") + "\r\n"), "535 5.7.8|535 5.7.8|421 4.7.0|END",
       "guessing"},
      {e, "AUTH PLAIN " + b64(nul + "ann" + nul + "secret") + "\r\nAUTH PLAIN AGEAYg==\r\n", "235 2.7.0|503 5.5.1",
       "twice"},
      {e, "AUTH PLAIN " + b64(nul + "ann" + nul + "secret") + "\r\nSTARTTLS\r\n", "235 2.7.0|503 5.5.1", "TLS twice"},
      {e, "MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n", "250 2.1.0|550 5.7.1|554 5.5.1",
       "no login"},
      {e, "MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nBDAT 6 LAST\r\nQUIT\r\n",
       "250 2.1.0|550 5.7.1|554 5.5.1", "by BDAT"},
  };
}

listener::Options small() {
  auto options = Intake::usual();
  options.limits.message_size = 200000;
  options.limits.recipients = 3;
  options.limits.failed_login = std::chrono::milliseconds(1);
  return options;
}

std::size_t rows_run = 0;

template <class Connect>
void run(Intake& intake, const std::vector<Row>& rows, Connect connect) {
  for (const Row& row : rows) {
    const std::string shown = row.sent.substr(0, 100);
    CAPTURE(row.why);
    CAPTURE(shown);
    const auto client = connect();
    const std::string replies = converse(*client, row);
    if (row.replies != nullptr) CHECK(replies == row.replies);
    ++rows_run;
  }
  // nobody smuggled anything, and the next client is served
  for (const auto& one : intake.stored()) {
    CHECK(one.envelope.sender == "a@example.net");
    CHECK(one.recipients == std::vector<std::string>{"u@example.org"});
  }
}

}  // namespace

TEST_CASE(
    "SUB-04, SUB-05, SUB-06, SUB-08, SUB-19, SUB-21: hostile and malformed conversations each get their replies") {
  Intake intake(small());
  const auto connect = [&] {
    auto client = std::make_unique<SmtpClient>(intake.port());
    client->reply();
    return client;
  };
  run(intake, command_rows(), connect);
  run(intake, envelope_rows(), connect);
  run(intake, content_rows(), connect);
  CHECK(rows_run >= 200);
  intake.wait_idle();
  auto last = connect();
  last->command("EHLO c.test");
  CHECK(last->deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
}

TEST_CASE(
    "SUB-24, SUB-25: hostile logins inside TLS each get their replies, and a client without one may relay nothing") {
  support::TempDir dir;
  auto options = small();
  options.addresses[0].allow.clear();
  options.addresses[0].users_file =
      dir.write("users", "ann:$y$j75$.Q2rTUkrdj1iCyRdxVVvV/$VTHKzUZhIBqAGnMVdZ8TOhOU8U/.svN6nHv7tBDk9F6\n");
  Intake intake(options);
  run(intake, login_rows(), [&] {
    auto client = std::make_unique<SmtpClient>(intake.port());
    client->greet();
    client->start_tls();
    return client;
  });
  CHECK(intake.stored().empty());
}

}  // namespace listener_battery_test
