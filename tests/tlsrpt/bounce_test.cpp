// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/bounce.h"

#include <doctest/doctest.h>

namespace tlsrpt_bounce_test {

using namespace hoplock::tlsrpt;

namespace {

const std::string id = "2025-03-01.example.org.a1b2c3d4e5f6@relay.test";

// As Postfix writes it; `action`: the field of that name.
std::string notice(const std::string& action, const std::string& fields) {
  return "From: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered Mail Returned to Sender\r\n"
         "Message-Id: <20250302043100.1@mx.example.org>\r\nContent-Type: multipart/report; "
         "report-type=delivery-status;\r\n"
         "\tboundary=\"B1\"\r\n\r\n--B1\r\nContent-Type: text/plain\r\n\r\nSubject: none\r\nMessage-ID: "
         "<x@y>\r\n--B1\r\n"
         "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
         "Final-Recipient: rfc822; box@inner.example.org\r\nAction: " +
         action + "\r\n" + fields +
         "\r\n--B1\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: Report Domain: example.org\r\n Submitter: "
         "relay.test\r\n"
         " Report-ID: <" +
         id + ">\r\nMessage-ID: <0K7Q2M9X4T.tlsrpt@relay.test>\r\n\r\n--B1--\r\n";
}

}  // namespace

TEST_CASE("parse_bounce: a failure says which mail, which report and what its server said") {
  const auto said =
      parse_bounce(notice("failed", "Status: 5.7.1\r\nDiagnostic-Code: smtp; 550 5.7.1 no\r\n attachments\r\n"));
  REQUIRE(said);
  CHECK(*said == Bounce{"0K7Q2M9X4T.tlsrpt@relay.test", id, "550 5.7.1 no attachments"});
  CHECK(parse_bounce(notice("Failed", "Status: 5.1.1\r\n"))->why == "5.1.1");
  CHECK(parse_bounce(notice("failed", ""))->why == "it came back");
  CHECK(parse_bounce(notice("failed", "Diagnostic-Code: smtp; 550 \x1b[2J\xc3\xa4\r\n"))->why == "550 ?[2J??");
}

TEST_CASE("parse_bounce: what tells of no failure, or of no report, says nothing") {
  CHECK_FALSE(parse_bounce(""));
  CHECK_FALSE(parse_bounce(notice("delayed", "Status: 4.4.1\r\n")));
  CHECK_FALSE(parse_bounce(notice("delivered", "Status: 2.0.0\r\n")));
  const std::string away = "Subject: Away: Re: Report-ID: <" + id + ">\r\nMessage-ID: <1.tlsrpt@relay.test>\r\n\r\n";
  CHECK_FALSE(parse_bounce(away + "Action: failed\r\n"));
  std::string other = notice("failed", "");
  other.replace(other.find("Report-ID"), 9, "Another-X");
  CHECK_FALSE(parse_bounce(other));
  CHECK_FALSE(parse_bounce(std::string(most_of_bounce, 'x') + "\r\n" + notice("failed", "")));
}

}  // namespace tlsrpt_bounce_test
