// SPDX-License-Identifier: Apache-2.0
// Reports as others write and send them.
#include "tlsrpt/foreign.h"

#include <doctest/doctest.h>

#include "base/ascii.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"
#include "tlsrpt/mail.h"

namespace tlsrpt_foreign_test {

using namespace hoplock;
using namespace hoplock::tlsrpt;

namespace {

// After what large senders really write: a member that no RFC knows, mx-host as one text, an empty one, a date with a fraction, a count
// in quotes, a result type of their own.
constexpr std::string_view loose =
    R"({"organization-name":"Big Mail Inc.","date-range":{"start-datetime":"2025-03-01T00:00:00.000Z",
"end-datetime":"2025-03-01T23:59:59Z"},"contact-info":"","report-id":"2025-03-01T00:00:00Z_contoso.com","x-version":2,
"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1"],"policy-domain":"contoso.com","mx-host":"*.mail.contoso.com"},
"summary":{"total-successful-session-count":7,"total-failure-session-count":"3"},
"failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"mx.contoso.com",
"receiving-ip":"198.51.100.1","failed-session-count":2},{"result-type":"odd-thing","failed-session-count":1}]}]})";

Report read(std::string_view octets) {
  auto report = read_foreign(octets);
  REQUIRE_MESSAGE(report.has_value(), report.error().detail);
  return *report;
}
std::string complaint(std::string_view octets) {
  const auto report = read_foreign(octets);
  return report ? "" : report.error().detail;
}

}  // namespace

TEST_CASE("a report as others write it is read, what is odd about it passed over or told") {
  const Report report = read(loose);
  CHECK(report.organization == "Big Mail Inc.");
  CHECK(day_of(report.begin) == parse_day("2025-03-01").value());
  REQUIRE(report.policies.size() == 1);
  CHECK(report.policies[0].policy.mx_host == std::vector<std::string>{"*.mail.contoso.com"});
  CHECK(report.policies[0].successes == 7);
  CHECK(report.policies[0].failures == 3);
  REQUIRE(report.policies[0].details.size() == 2);
  CHECK(report.policies[0].details[0].type == ResultType::certificate_expired);
  CHECK(report.policies[0].details[0].receiving_ip->text() == "198.51.100.1");
  CHECK(report.policies[0].details[1].type == ResultType::validation_failure);
  CHECK(report.policies[0].details[1].reason == "odd-thing");
}

TEST_CASE("gzipped, with a byte order mark, or in the mail that our own sender makes, it is the same report") {
  const Report plain = read(loose);
  CHECK(read(gzip(loose)) == plain);
  CHECK(read("\xef\xbb\xbf" + std::string(loose)) == plain);
  Mail mail;
  mail.submitter = Submitter::make("Relay", "tls@relay.test", "tlsrpt@relay.test").value();
  mail.from = "tlsrpt@relay.test";
  mail.to = "box@contoso.com";
  mail.domain = dns::Name::parse("contoso.com").value();
  mail.day = parse_day("2025-03-01").value();
  mail.report_id = "1@relay.test";
  mail.file_name = "a!b!1!2.json.gz";
  mail.json_gz = gzip(loose);
  mail.message_id = "1@relay.test";
  std::string octets = to_message(mail);
  CHECK(read(octets) == plain);
  std::erase(octets, '\r');  // as an mbox or a web mailer saves it
  CHECK(read(octets) == plain);
  // forwarded as an attachment
  CHECK(read("From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: "
             "text/plain\r\n\r\nsee\r\n--q\r\nContent-Type: message/rfc822\r\n\r\n" +
             octets + "\r\n--q--\r\n") == plain);
}

TEST_CASE("what is no report is refused in a sentence, and a bomb costs no more than its bound") {
  CHECK(complaint("") != "");
  CHECK(complaint("hello").find("neither") != std::string::npos);
  CHECK(complaint("{}").find("no policies") != std::string::npos);
  CHECK(complaint("{\"policies\":").find("no JSON") != std::string::npos);
  CHECK(complaint(gzip(std::string(most_foreign_octets + 1, ' '))).find("larger") != std::string::npos);
  CHECK(complaint(gzip(loose).substr(0, 100)).find("whole") != std::string::npos);
  std::string deep = "{\"policies\":";
  for (int i = 0; i < 1000; ++i) deep += "[";
  CHECK(complaint(deep) != "");
  CHECK(complaint("Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!") != "");
  std::string nested = "x";
  for (int i = 0; i < 200; ++i) nested = "Content-Type: message/rfc822\r\n\r\n" + nested;
  CHECK(complaint(nested).find("neither") != std::string::npos);
}

}  // namespace tlsrpt_foreign_test
