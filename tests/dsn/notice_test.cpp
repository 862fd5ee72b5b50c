// SPDX-License-Identifier: Apache-2.0
#include "dsn/notice.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "dsn/explain.h"
#include "dsn/wrap.h"
#include "tests/dsn/samples.h"

namespace dsn_notice_test {

using namespace hoplock;
using namespace hoplock::dsn;
using namespace hoplock::dsn::samples;

namespace {
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("DSN-03, DSN-04, DSN-05, DSN-06, DSN-07, DSN-16: a notice of failure, octet by octet") {
  Notice some = notice(refused());
  some.envid = "QQ+2B314";
  some.recipients[0].orcpt = "rfc822;Bob+2Bx@partner.example";
  CHECK(whole(some, headers()) ==
        "From: \"Mail Delivery System\" <postmaster@relay.example.net>\r\n"
        "To: <ann@contoso.com>\r\n"
        "Date: Sat, 21 Nov 2026 10:00:03 +0000\r\n"
        "Subject: Undeliverable mail: your message was not delivered\r\n"
        "Message-ID: <0D5K2M7QZ3.failed.1@relay.example.net>\r\n"
        "In-Reply-To: <plans.1@contoso.com>\r\n"
        "References: <plans.1@contoso.com>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"=_hoplock-5f2e9a7c31d0\"\r\n"
        "\r\n"
        "This is a report about a message, in parts that need MIME to be read.\r\n"
        "\r\n"
        "--=_hoplock-5f2e9a7c31d0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        "This is the mail relay at relay.example.net.\r\n"
        "\r\n"
        "Your message could not be delivered to the addresses below. We have\r\n"
        "given up and will not try again.\r\n"
        "\r\n"
        "<bob@partner.example>\r\n"
        "    The server mx1.partner.example[192.0.2.1] said: 550 5.1.1\r\n"
        "    <bob@partner.example> no such user\r\n"
        "\r\n"
        "Your administrators find the message in our log under 0D5K2M7QZ3.\r\n"
        "\r\n"
        "--=_hoplock-5f2e9a7c31d0\r\n"
        "Content-Type: message/delivery-status\r\n"
        "\r\n"
        "Reporting-MTA: dns; relay.example.net\r\n"
        "Original-Envelope-Id: QQ+314\r\n"
        "Arrival-Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
        "X-Hoplock-Queue-ID: 0D5K2M7QZ3\r\n"
        "\r\n"
        "Original-Recipient: rfc822;Bob+x@partner.example\r\n"
        "Final-Recipient: rfc822; bob@partner.example\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx1.partner.example\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 <bob@partner.example> no such user\r\n"
        "Last-Attempt-Date: Sat, 21 Nov 2026 10:00:02 +0000\r\n"
        "\r\n"
        "--=_hoplock-5f2e9a7c31d0\r\n"
        "Content-Type: text/rfc822-headers\r\n"
        "\r\n" +
            message.substr(0, message.find("\r\n\r\n") + 2) + "\r\n--=_hoplock-5f2e9a7c31d0--\r\n");
}

TEST_CASE("DSN-07: what we decided ourselves names no remote server and invents no reply") {
  const std::string text = whole(notice(tlsa_mismatch()), headers());
  CHECK_FALSE(has(text, "Remote-MTA"));
  CHECK_FALSE(has(text, "Diagnostic-Code"));
  CHECK(has(text, "Status: 4.7.323\r\n"));
  CHECK(has(text, "X-Hoplock-Reason: 450 4.7.323 tlsa-invalid"));
}

TEST_CASE("a TLSA mismatch is told as what it nearly always is: a certificate renewed without its record") {
  const std::string text = whole(notice(tlsa_mismatch()), headers());
  CHECK(has(text, "Most likely the certificate was renewed without its TLSA record."));
  CHECK(has(text, "The server mx1.partner.example[192.0.2.1] was not given the message"));
  CHECK(explain(tlsa_mismatch())[0].ends_with("The rule that governs this delivery is DANE."));
}

TEST_CASE("every reason that refuses a hop is explained to people, with what would have to be mended") {
  for (const char* reason :
       {"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
        "validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error",
        "sts-policy-invalid", "sts-webpki-invalid", "mx-not-in-policy", "requiretls-not-supported", "connect-timeout",
        "connect-refused", "connection-lost", "dns-failure"}) {
    Recipient recipient = tlsa_mismatch();
    recipient.reason = hop::parse_reason(reason);
    REQUIRE(recipient.reason);
    CAPTURE(reason);
    REQUIRE(explain(recipient).size() == 2);
    CHECK(explain(recipient)[1].size() > 20);
  }
  Recipient recipient = tlsa_mismatch();
  recipient.reason.reset();
  for (const char* status : {"5.1.10", "5.1.2", "5.4.4"}) {
    recipient.status = status;
    CHECK(explain(recipient).size() == 2);
  }
  CHECK(explain(refused()).empty());
}

// net::verdict() has a certificate that is not yet valid as certificate-not-trusted.
TEST_CASE("RPT-21: a certificate that is not yet valid is told of as not trusted, never as expired") {
  Recipient recipient = tlsa_mismatch();
  recipient.reason = hop::Reason::certificate_expired;
  CHECK(has(explain(recipient)[0], "has expired"));
  CHECK_FALSE(has(explain(recipient)[0], "not yet valid"));
  recipient.reason = hop::Reason::certificate_not_trusted;
  CHECK(has(explain(recipient)[0], "not trusted"));
  CHECK(has(explain(recipient)[0], "not yet valid"));
}

// The recipient's administrators were told to repair their name servers.
TEST_CASE("DNS-04: what our own resolver is the cause of is not laid at the recipient's door") {
  Recipient recipient = refused();
  recipient.by = Recipient::By::us;
  recipient.reason = hop::Reason::dns_failure;
  recipient.reply = "451 4.4.3 dns-failure: example.org: the look-up of MX failed: timed out after 20s";
  CHECK(explain(recipient)[1].starts_with("The recipient's administrators must repair "));
  recipient.reply =
      "451 4.4.3 dns-failure: example.org: our own DNSSEC validation does not work: . SOA is not secure (timed out "
      "after 20s)";
  REQUIRE(explain(recipient).size() == 2);
  CHECK(explain(recipient)[0].ends_with("the fault is not the recipient's."));
  CHECK(explain(recipient)[1].starts_with("Our administrators must mend them"));
}

TEST_CASE("DSN-09: a notice of delay says until when it is tried, to people and to programs") {
  Notice some = notice(tlsa_mismatch());
  some.action = Action::delayed;
  some.retry_until = at("2026-11-26T10:00:00Z");
  const std::string text = whole(some, headers());
  CHECK(has(text, "Action: delayed\r\n"));
  CHECK(has(text, "Will-Retry-Until: Thu, 26 Nov 2026 10:00:00 +0000\r\n"));
  CHECK(has(text, "you need not send it again"));
}

TEST_CASE("DSN-11: a notice of relaying carries the status and words of the server that took it") {
  Notice some = notice(refused());
  some.action = Action::relayed;
  some.recipients[0].status = "2.1.5";
  some.recipients[0].reply = "250 2.0.0 taken";
  const std::string text = whole(some, headers());
  CHECK(has(
      text,
      "Action: relayed\r\nStatus: 2.1.5\r\nRemote-MTA: dns; mx1.partner.example\r\nDiagnostic-Code: smtp; 250 2.0.0"));
}

TEST_CASE("DSN-04, DSN-05: fields that were not given do not appear") {
  const std::string text = whole(notice(refused()), headers());
  CHECK_FALSE(has(text, "Original-Envelope-Id"));
  CHECK_FALSE(has(text, "Original-Recipient"));
}

TEST_CASE("DSN-12: the whole message goes back between head and tail, as it is") {
  Content content = headers();
  content.what = Return::message;
  const Text text = compose(notice(refused()), content);
  CHECK(text.between == Text::Between::message);
  CHECK(text.head.ends_with("\r\n--=_hoplock-5f2e9a7c31d0\r\nContent-Type: message/rfc822\r\n\r\n"));
  CHECK(text.tail == "\r\n--=_hoplock-5f2e9a7c31d0--\r\n");
  CHECK(text.octets == Content::Octets::seven_bit);
}

TEST_CASE("DSN-13: an 8-bit message goes back as 8bit and never encoded; 8-bit headers alone are quoted-printable") {
  const std::string latin = "Subject: caf\xe9 = \r\nFrom: a@b\r\n\r\nbody\xe9\r\n";
  Content content = headers(latin);
  content.octets = Content::Octets::eight_bit;
  content.what = Return::message;
  const Text text = compose(notice(refused()), content);
  CHECK(text.octets == Content::Octets::eight_bit);
  CHECK(text.head.ends_with("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
  CHECK_FALSE(has(text.head, "base64"));
  content.what = Return::headers;
  const Text only = compose(notice(refused()), content);
  CHECK(only.octets == Content::Octets::seven_bit);
  CHECK(only.head.ends_with(
      "Content-Transfer-Encoding: quoted-printable\r\n\r\nSubject: caf=E9 =3D=20\r\nFrom: a@b\r\n"));
}

TEST_CASE("SUB-08: a lone CR or LF in a returned header (BODY=BINARYMIME) is quoted, it cannot end the notice early") {
  for (const Script script : {Script::ascii, Script::utf8}) {
    Notice some = notice(refused());
    some.script = script;
    const Text text = compose(some, headers("Subject: x\n.\r\nX: a\rb\r\n\r\nbody\r\n"));
    CHECK(text.head.ends_with("quoted-printable\r\n\r\nSubject: x=0A.\r\nX: a=0Db\r\n"));
  }
}

TEST_CASE("RTLS-10: nothing of a message that asked for REQUIRETLS goes back where that cannot be promised") {
  Content content = headers();
  content.what = Return::nothing;
  const std::string text = whole(notice(refused()), content);
  CHECK_FALSE(has(text, "the plans"));
  CHECK(text.ends_with("\r\n--=_hoplock-5f2e9a7c31d0--\r\n"));
}

TEST_CASE("RTLS-10: a notice that is redacted is the one that returns nothing, octet for octet") {
  Content content = headers();
  content.what = Return::nothing;
  const std::string nothing = whole(notice(refused()), content);
  CHECK_FALSE(has(nothing, "plans.1@contoso.com"));
  CHECK(redacted(whole(notice(refused()), headers())) == nothing);
  CHECK(redacted(nothing) == nothing);
  const std::string long_id = "Message-ID: <" + std::string(500, 'x') + "@contoso.com>\r\n\r\n";
  CHECK(redacted(whole(notice(refused()), headers(long_id))) == nothing);
  Notice utf8 = notice(refused());
  utf8.script = Script::utf8;
  utf8.to = "\xce\xb4@contoso.com";
  CHECK(redacted(whole(utf8, headers())) == whole(utf8, content));
  for (const char* tricky :
       {"X: --=_hoplock-5f2e9a7c31d0\r\n\r\n", "References: a\r\n b\r\n\r\n", "Subject: caf\xe9\r\n\r\n", "\r\nx"}) {
    CAPTURE(tricky);
    CHECK(redacted(whole(notice(refused()), headers(tricky))) == nothing);
  }
  for (const char* none : {"", "\r\n\r\n", "Subject: x\r\n\r\nbody\r\n",
                           "A: boundary=\"b\"\r\n\r\n--b\r\n\r\n--b--\r\n", "A: boundary=\"b"}) {
    CAPTURE(none);
    CHECK_FALSE(redacted(none));
  }
}

TEST_CASE("a server's words cannot make fields, parts or control characters of their own") {
  Notice some = notice(refused());
  some.recipients[0].reply =
      "550 5.1.1 no\r\nBcc: x@evil.example\r\n\r\n--=_hoplock-5f2e9a7c31d0\r\n\x1b[31m\x07 caf\xc3\xa9";
  some.recipients[0].host = "mx1.partner.example[192.0.2.1]";
  const std::string text = whole(some, headers());
  CHECK_FALSE(has(text, "\r\nBcc:"));
  CHECK_FALSE(has(text, "\x1b"));
  std::size_t delimiters = 0;
  for (std::size_t i = 0; (i = text.find("\r\n--=_hoplock-5f2e9a7c31d0", i)) != std::string::npos; ++i) ++delimiters;
  CHECK(delimiters == 4);
  CHECK(std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

TEST_CASE("a returned header is cut in whole lines, and one that never ends is bounded") {
  const std::string endless = "Subject: x\r\n" + std::string(100'000, 'y');
  CHECK(has(whole(notice(refused()), headers(endless)), "text/rfc822-headers\r\n\r\nSubject: x\r\n\r\n--"));
  std::string many;
  while (many.size() < 100'000) many += "X-Field: value\r\n";
  const Text text = compose(notice(refused()), headers(many));
  CHECK(text.head.size() < most_header + 4096);
  CHECK(text.head.ends_with("X-Field: value\r\n"));
  CHECK(has(whole(notice(refused()), headers("\r\nno header")), "text/rfc822-headers\r\n\r\n\r\n--"));
}

TEST_CASE("a Message-ID that is none is not referred to") {
  for (const char* id : {"no brackets", "<a b@c>", "<\xc3\xa4@c>", "<>"}) {
    const std::string text = "Message-ID: " + std::string(id) + "\r\n\r\nx\r\n";
    CAPTURE(id);
    CHECK_FALSE(has(whole(notice(refused()), headers(text)), "In-Reply-To"));
  }
}

TEST_CASE("an address with blanks in quotes stays as it is, one beyond ASCII is written in RFC 6533's notation") {
  Notice some = notice(refused());
  some.recipients[0].address = "\"a  b\"@partner.example";
  CHECK(has(whole(some, headers()), "Final-Recipient: rfc822; \"a  b\"@partner.example\r\n"));
  some.recipients[0].address = "j\xc3\xb6rg@partner.example";
  CHECK(has(whole(some, headers()), "Final-Recipient: utf-8; j\\x{F6}rg@partner.example\r\n"));
}

TEST_CASE("no line of a notice is longer than 998 octets, whatever it is made of") {
  Notice some = notice(refused());
  some.recipients[0].reply = "550 " + std::string(3000, 'x');
  some.recipients[0].address = std::string(500, 'l') + "@partner.example";
  const std::string text = whole(some, headers("Subject: " + std::string(5000, 'z') + "\r\n\r\n"));
  std::size_t line = 0, longest = 0;
  for (const char c : text) {
    line = c == '\n' ? 0 : line + 1;
    longest = std::max(longest, line);
  }
  CHECK(longest <= 999);
}

}  // namespace dsn_notice_test
