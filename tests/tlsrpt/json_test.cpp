// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/json.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "tests/support/report_reader.h"

namespace tlsrpt_json_test {

using namespace hoplock;
using namespace hoplock::tlsrpt;
namespace json = boost::json;

namespace {
dns::Name name(std::string_view text) { return dns::Name::parse(text).value(); }

Report full() {
  Report report;
  report.organization = "Relay & S\xc3\xb6hne";
  report.contact = "tls@relay.example";
  report.id = "2025-03-01.d.ex.1@relay.example";
  report.begin = parse_rfc3339("2025-03-01T00:00:00Z").value();
  report.end = parse_rfc3339("2025-03-01T23:59:59Z").value();
  Sessions sts;
  sts.policy = {PolicyType::sts,
                {"version: STSv1", "mode: testing", "mx: *.mx.ex", "max_age: 86400"},
                name("d.ex"),
                {"*.mx.ex", "mx.ex"}};
  sts.failures = 303;
  Failure failure;
  failure.type = ResultType::certificate_expired;
  failure.sending_ip = Ip::parse("2001:DB8::0:1").value();
  failure.receiving_host = "a.mx.ex";
  failure.receiving_helo = "mail \"x\"";
  failure.receiving_ip = Ip::parse("::ffff:203.0.113.56").value();
  failure.information = "https://relay.example/why";
  failure.reason = "X509_V_ERR_CERT_HAS_EXPIRED";
  failure.sessions = 100;
  Failure bare;
  bare.type = ResultType::sts_policy_fetch_error;
  bare.reason = "404";
  bare.sessions = 203;
  sts.details = {failure, bare};
  Sessions tlsa;
  tlsa.policy = {PolicyType::tlsa, {"3 1 1 abcd"}, name("mx.p"), {}};
  tlsa.successes = 5326;
  report.policies = {sts, tlsa};
  return report;
}

std::string broken(std::string_view from, std::string_view to) {
  std::string text = to_json(full());
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}
}  // namespace

TEST_CASE("RPT-15, RPT-17, RPT-18: the report as RFC 8460 section 4.4 writes it, octet by octet") {
  CHECK(to_json(full()) ==
        "{\"organization-name\":\"Relay & S\xc3\xb6hne\","
        "\"date-range\":{\"start-datetime\":\"2025-03-01T00:00:00Z\",\"end-datetime\":\"2025-03-01T23:59:59Z\"},"
        "\"contact-info\":\"tls@relay.example\",\"report-id\":\"2025-03-01.d.ex.1@relay.example\",\"policies\":["
        "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: testing\",\"mx: "
        "*.mx.ex\",\"max_age: 86400\"],"
        "\"policy-domain\":\"d.ex\",\"mx-host\":[\"*.mx.ex\",\"mx.ex\"]},"
        "\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-count\":303},"
        "\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"2001:db8::1\","
        "\"receiving-mx-hostname\":\"a.mx.ex\",\"receiving-mx-helo\":\"mail "
        "\\\"x\\\"\",\"receiving-ip\":\"203.0.113.56\","
        "\"failed-session-count\":100,\"additional-information\":\"https://relay.example/why\","
        "\"failure-reason-code\":\"X509_V_ERR_CERT_HAS_EXPIRED\"},"
        "{\"result-type\":\"sts-policy-fetch-error\",\"failed-session-count\":203,\"failure-reason-code\":\"404\"}]},"
        "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 abcd\"],\"policy-domain\":\"mx.p\"},"
        "\"summary\":{\"total-successful-session-count\":5326,\"total-failure-session-count\":0}}]}");
}

TEST_CASE("RPT-15: mx-host stands with sts only, and not as an empty array") {
  Report report = full();
  report.policies[1].policy.mx_host = {"mx.p"};
  report.policies[0].policy.mx_host.clear();
  CHECK(to_json(report).find("\"mx-host\"") == std::string::npos);
}

TEST_CASE("RPT-17: what is written is read back as the same value, and written again as the same octets") {
  const std::string text = to_json(full());
  const auto read = parse_report(text);
  REQUIRE(read.has_value());
  CHECK(to_json(*read) == text);
  Report expected = full();
  expected.policies[0].details[0].receiving_ip = Ip::parse("203.0.113.56").value();
  CHECK(*read == expected);
}

TEST_CASE("RPT-17: text of foreign origin leaves the file I-JSON") {
  Report report = full();
  report.policies[0].policy.text = {std::string("a\0b", 3), "\xff\xfe",   "\xef\xbf\xbf", "\xef\xb7\x90",
                                    "\xf0\x9f\xbf\xbe",     "\t\"\\\x7f", "\xed\xa0\x80"};
  const std::string text = to_json(report);
  CHECK(text.find("a\\u0000b") != std::string::npos);
  const auto read = parse_report(text);
  REQUIRE(read.has_value());
  const std::string bad = "\xef\xbf\xbd";
  CHECK(read->policies[0].policy.text ==
        std::vector<std::string>{std::string("a\0b", 3), bad + bad, bad, bad, bad, "\t\"\\\x7f", bad + bad + bad});
}

TEST_CASE("RPT-17: the reader refuses whatever the writer would not write") {
  CHECK(parse_report(to_json(full())).has_value());
  struct Row {
    const char* from;
    const char* to;
    const char* why;
  };
  const Row rows[] = {
      {"{\"organization-name\"", "{\"x\":1,\"organization-name\"", "an unknown member"},
      {"{\"policy-type\"", "{\"x\":1,\"policy-type\"", "an unknown member deeper"},
      {"{\"result-type\"", "{\"policy-type\":\"sts\",\"result-type\"", "a member in the wrong place"},
      {"\"report-id\":\"2025-03-01.d.ex.1@relay.example\",", "", "a member missing"},
      {"\"report-id\":", "\"report-id\":\"x\",\"report-id\":", "a member twice"},
      {"\"failed-session-count\":100", "\"failed-session-count\":\"100\"", "a count as text"},
      {"\"failed-session-count\":100", "\"failed-session-count\":100.0", "a count with a fraction"},
      {"\"failed-session-count\":100", "\"failed-session-count\":-1", "a negative count"},
      {"\"failed-session-count\":100", "\"failed-session-count\":9007199254740992", "2^53"},
      {"total-successful-session-count\":0,", "total-successful-session-count\":null,", "no count"},
      {"[\"*.mx.ex\",\"mx.ex\"]", "\"*.mx.ex\"", "mx-host as text"},
      {"[\"*.mx.ex\",\"mx.ex\"]", "[]", "an empty array"},
      {"[\"*.mx.ex\",\"mx.ex\"]", "[\"\"]", "an empty pattern"},
      {"\"policy-domain\":\"mx.p\"", "\"policy-domain\":\"mx.p\",\"mx-host\":[\"mx.p\"]", "mx-host with tlsa"},
      {"\"policy-domain\":\"mx.p\"", "\"policy-domain\":\"MX.p\"", "a name in upper case"},
      {"\"policy-domain\":\"mx.p\"", "\"policy-domain\":\"m\xc3\xbc.p\"", "a U-label"},
      {"\"sts\"", "\"mta-sts\"", "an unknown policy-type"},
      {"\"certificate-expired\"", "\"expired\"", "an unknown result-type"},
      {"2025-03-01T00:00:00Z", "2025-03-01T00:00:00+00:00", "an offset"},
      {"2025-03-01T00:00:00Z", "2025-03-01T00:00:00.000Z", "a fraction"},
      {"2001:db8::1", "2001:DB8::1", "not as RFC 5952 writes it"},
      {"2001:db8::1", "[2001:db8::1]", "brackets"},
      {"\"receiving-ip\":\"203.0.113.56\"", "\"receiving-ip\":\"\"", "an empty text"},
      {"\"policies\":[", "\"policies\":{", "no JSON"},
      {"{\"organization-name\"", "[{\"organization-name\"", "no JSON either"},
      {"\"404\"", "\"\xff\"", "no UTF-8"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK_FALSE(parse_report(broken(row.from, row.to)).has_value());
  }
  for (const char* text : {"", "null", "[]", "{}", "{\"policies\":[]}"}) CHECK_FALSE(parse_report(text).has_value());
  CHECK(parse_report("  " + broken("\"report-id\"", "\n \"report-id\" ")).has_value());
}

TEST_CASE("RPT-17: counts are numbers, 0 among them, and dates those of the day") {
  const json::value value = json::parse(to_json(full()));
  const auto& summary = value.at("policies").at(0).at("summary");
  CHECK(summary.at("total-successful-session-count").as_int64() == 0);
  CHECK(summary.at("total-failure-session-count").as_int64() == 303);
  CHECK(value.at("policies").at(1).as_object().count("failure-details") == 0);
}

}  // namespace tlsrpt_json_test
