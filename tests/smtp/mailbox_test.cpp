// SPDX-License-Identifier: Apache-2.0
#include "smtp/mailbox.h"

#include <doctest/doctest.h>

namespace smtp_mailbox_test {

using namespace hoplock::smtp;

namespace {
std::string as_sent(std::string_view text) {
  const auto parsed = Mailbox::parse(text);
  if (const auto* bad = std::get_if<BadMailbox>(&parsed)) {
    return bad->kind == BadMailbox::Kind::syntax     ? "syntax"
           : bad->kind == BadMailbox::Kind::too_long ? "too long"
                                                     : "bad domain";
  }
  return std::get<Mailbox>(parsed).path();
}
}  // namespace

TEST_CASE("SUB-27, SUB-28, MX-15: what is a mailbox, and how it is sent onward") {
  struct Row {
    std::string text;
    const char* sent;
    const char* why;
  };
  const Row rows[] = {
      {"", "<>", "the null sender"},
      {"a@example.org", "<a@example.org>", ""},
      {"MiXed.Case@EXAMPLE.Org", "<MiXed.Case@example.org>", "the local part's case is the receiver's business"},
      {"o'brien+tag=x!#$%&*/?^`{|}~-_@example.org", "<o'brien+tag=x!#$%&*/?^`{|}~-_@example.org>", "every atext"},
      {"\"x@evil.example\"@c.example", "<\"x@evil.example\"@c.example>", "the last @ outside quotes divides"},
      {"\"a b\"@c.example", "<\"a b\"@c.example>", "a quoted blank"},
      {"\"a\\\"b\\\\\"@c.example", "<\"a\\\"b\\\\\"@c.example>", "quoted pairs are kept as received"},
      {"\"\"@c.example", "<\"\"@c.example>", "RFC 5321 allows it"},
      {"\">\"@c.example", "<\">\"@c.example>", ""},
      {"@a,@b:u@c.example", "<u@c.example>", "source route"},
      {"@[192.0.2.1],@[IPv6:2001:db8::1]:u@c.example", "<u@c.example>", "source route by literals"},
      {"postmaster", "<postmaster>", ""},
      {"PostMaster", "<PostMaster>", ""},
      {"u@[192.0.2.1]", "<u@[192.0.2.1]>", ""},
      {"u@[IPv6:2001:db8::1]", "<u@[IPv6:2001:db8::1]>", ""},
      {"u@[x400:c=de]", "<u@[x400:c=de]>", "a general literal"},
      {"u@localhost", "<u@localhost>", "one label"},
      {"u@_x.example_.org", "<u@_x.example_.org>", "underscores live"},
      {"u@\xce\xb4\xce\xbf\xce\xba\xce\xb9\xce\xbc\xce\xae.example", "<u@xn--jxalpdlp.example>", "U-labels"},
      {"\xce\xb4@example.org", "<\xce\xb4@example.org>", "UTF-8 local part: parses, the session asks for SMTPUTF8"},
      {std::string(64, 'x') + "@example.org", nullptr, "the minimum that must be taken"},
      {"u", "syntax", "no domain"},
      {"u@", "syntax", ""},
      {"@example.org", "syntax", "no local part"},
      {"@a:", "syntax", "a route to nothing"},
      {"@a,b:u@c.example", "syntax", "a route's hosts each have an @"},
      {"@:u@c.example", "syntax", ""},
      {"@a b:u@c.example", "syntax", ""},
      {"a..b@example.org", "syntax", "empty atom"},
      {".a@example.org", "syntax", ""},
      {"a.@example.org", "syntax", ""},
      {"a b@example.org", "syntax", "a blank outside quotes"},
      {"a@b@example.org", "syntax", ""},
      {"a\\b@example.org", "syntax", ""},
      {"\"a@example.org", "syntax", "quote not closed"},
      {"\"a\"b@example.org", "syntax", ""},
      {"\"a\\\"@example.org", "syntax", "the closing quote is quoted"},
      {"u@example..org", "syntax", ""},
      {"u@example.org.", "syntax", "no trailing dot in mail"},
      {"u@.", "syntax", "the root"},
      {"u@*.example.org", "syntax", ""},
      {"u@-host.test", "syntax", "a label begins with a hyphen"},
      {"u@host-.test", "syntax", "a label ends with one"},
      {"u@a.-b.test", "syntax", ""},
      {"u@a.test-", "syntax", ""},
      {"u@a-b.test", "<u@a-b.test>", "one inside"},
      {"u@exa mple.org", "syntax", ""},
      {"u@[192.0.2.256]", "syntax", ""},
      {"u@[2001:db8::1]", "syntax", "IPv6 needs its tag"},
      {"u@[IPv6:192.0.2.1]", "syntax", ""},
      {"u@[]", "syntax", ""},
      {"u@[192.0.2.1", "syntax", ""},
      {"\xff@example.org", "syntax", "no UTF-8"},
      {"u@\xff.example", "bad domain", "no UTF-8, so no U-label"},
      {std::string(513, 'x') + "@example.org", "too long", ""},
      {"u@" + std::string(64, 'x') + ".example", "syntax", "a label of 64"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CAPTURE(row.why);
    CHECK(as_sent(row.text) == (row.sent == nullptr ? "<" + row.text + ">" : row.sent));
  }
}

TEST_CASE("a mailbox's parts and kinds") {
  const auto plain = std::get<Mailbox>(Mailbox::parse("a.b@Example.org"));
  CHECK(plain.local() == "a.b");
  CHECK(plain.domain().text() == "example.org");
  CHECK(plain.domain_text() == "example.org");
  CHECK_FALSE(plain.is_null());
  CHECK_FALSE(plain.is_literal());
  CHECK_FALSE(plain.is_bare_postmaster());
  CHECK_FALSE(plain.has_utf8_local());
  CHECK(plain == std::get<Mailbox>(Mailbox::parse(plain.text())));

  const Mailbox null;
  CHECK(null.is_null());
  CHECK(null.display() == "<>");
  CHECK(null.path() == "<>");
  CHECK(null.domain().is_root());

  const auto literal = std::get<Mailbox>(Mailbox::parse("u@[192.0.2.1]"));
  CHECK(literal.is_literal());
  CHECK(literal.domain().is_root());
  CHECK(literal.domain_text() == "[192.0.2.1]");

  CHECK(std::get<Mailbox>(Mailbox::parse("POSTMASTER")).is_bare_postmaster());
  CHECK(std::get<Mailbox>(Mailbox::parse("\xce\xb4@example.org")).has_utf8_local());
}

}  // namespace smtp_mailbox_test
