// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/report.h"

#include <doctest/doctest.h>

#include "tlsrpt/json.h"
#include "tlsrpt/tally.h"

namespace tlsrpt_report_test {

using namespace hoplock;
using namespace hoplock::tlsrpt;

namespace {
dns::Name name(std::string_view text) { return dns::Name::parse(text).value(); }
const Day day = parse_day("2025-03-01").value();

Sessions sts(std::uint64_t good, std::uint64_t bad, std::vector<std::string> text = {"version: STSv1"}) {
  return {{PolicyType::sts, std::move(text), name("d.ex"), {"*.mx.ex"}}, good, bad, {}};
}
Failure failure(ResultType type, std::string host, std::uint64_t sessions) {
  Failure one;
  one.type = type;
  one.receiving_host = std::move(host);
  one.sessions = sessions;
  return one;
}
std::uint64_t sum_of(const std::vector<Failure>& details) {
  std::uint64_t sum = 0;
  for (const auto& one : details) sum += one.sessions;
  return sum;
}
}  // namespace

TEST_CASE("RPT-29: a day is one of UTC, from 00:00:00Z to 23:59:59Z") {
  CHECK(to_rfc3339(begin_of(day)) == "2025-03-01T00:00:00.000Z");
  CHECK(to_rfc3339(end_of(day)) == "2025-03-01T23:59:59.000Z");
  CHECK(day_of(parse_rfc3339("2025-03-01T23:59:59.999Z").value()) == day);
  CHECK(day_of(parse_rfc3339("2025-03-02T00:00:00.000Z").value()) == day + std::chrono::days{1});
  CHECK(day_of(parse_rfc3339("2025-03-30T01:30:00.000Z").value()) ==
        parse_day("2025-03-30"));  // Europe's summer time begins
  CHECK(to_text(day) == "2025-03-01");
  for (const char* bad :
       {"", "2025-3-1", "2025-02-30", "2025-03-01T00:00:00Z", "20250301", "2025-03-0x", "01-03-2025"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_day(bad));
  }
}

TEST_CASE("RPT-33: one domain and one id in contact, file name and Subject; the file name tells the day in seconds") {
  const auto submitter = Submitter::make("Relay", "tls@relay.example", "tlsrpt@RELAY.example");
  REQUIRE(submitter.has_value());
  CHECK(submitter->domain.text() == "relay.example");
  CHECK(file_name(*submitter, name("d.ex"), day, "1f3") == "relay.example!d.ex!1740787200!1740873599!1f3.json.gz");
  const std::string id = report_id(*submitter, name("d.ex"), day, "1f3");
  CHECK(id == "2025-03-01.d.ex.1f3@relay.example");
  CHECK(id == report_id(*submitter, name("d.ex"), day, "1f3"));
  CHECK(id != report_id(*submitter, name("d.ex"), day, "1f4"));
  CHECK(id != report_id(*submitter, name("e.ex"), day, "1f3"));
  CHECK_FALSE(Submitter::make("Relay", "tls@other.example", "tlsrpt@relay.example").has_value());
  CHECK_FALSE(Submitter::make("Relay", "tls", "tlsrpt@relay.example").has_value());
  CHECK_FALSE(Submitter::make("Relay", "tls@relay.example", "@relay.example").has_value());
}

TEST_CASE("RPT-11: sessions of one policy add up; another text, type or domain is another element") {
  Tally tally(name("d.ex"));
  tally.add(sts(2, 1));
  tally.add(sts(3, 0));
  tally.add(sts(0, 7, {"version: STSv1", "mode: testing"}));
  Sessions other = sts(1, 0);
  other.policy.domain = name("e.ex");
  tally.add(other);
  tally.add({{PolicyType::tlsa, {"3 1 1 ab"}, name("d.ex"), {}}, 10, 0, {}});
  const auto sum = tally.sum();
  REQUIRE(sum.size() == 4);
  CHECK(sum[0].policy.type == PolicyType::tlsa);
  CHECK(sum[1] == sts(5, 1));
  CHECK(sum[3] == sts(0, 7, {"version: STSv1", "mode: testing"}));
}

TEST_CASE("RPT-09: details of one kind add up, whatever differs in them is another detail") {
  Tally tally(name("d.ex"));
  Sessions one = sts(0, 1);
  one.details = {failure(ResultType::certificate_expired, "a.ex", 1),
                 failure(ResultType::certificate_host_mismatch, "a.ex", 1)};
  tally.add(one);
  tally.add(one);
  Sessions two = sts(0, 1);
  two.details = {failure(ResultType::certificate_expired, "b.ex", 1)};
  tally.add(two);
  for (const auto change : {0, 1, 2, 3, 4}) {
    Sessions three = sts(0, 0);
    three.details = {failure(ResultType::certificate_expired, "a.ex", 1)};
    Failure& detail = three.details[0];
    if (change == 0) detail.sending_ip = Ip::parse("192.0.2.1").value();
    if (change == 1) detail.receiving_ip = Ip::parse("192.0.2.1").value();
    if (change == 2) detail.receiving_helo = "x";
    if (change == 3) detail.reason = "x";
    if (change == 4) detail.information = "https://x.example/";
    tally.add(three);
  }
  const auto sum = tally.sum();
  REQUIRE(sum.size() == 1);
  CHECK(sum[0].failures == 3);
  CHECK(sum[0].details.size() == 8);
  CHECK(sum[0].details[0].sessions == 2);  // the largest counts come first
  CHECK(sum[0].details[1].sessions == 2);
  CHECK(sum_of(sum[0].details) == 10);
}

TEST_CASE("RPT-34: a million kinds of failure stay within a bounded report, and all counts are exact") {
  Tally tally(name("d.ex"));
  constexpr std::uint64_t kinds = 1'000'000;
  for (std::uint64_t i = 0; i < kinds; ++i) {
    Sessions one = sts(1, 1);
    const auto type = i % 2 == 0 ? ResultType::certificate_expired : ResultType::certificate_not_trusted;
    one.details = {failure(type, std::to_string(i) + std::string(240, 'x'), 1)};
    one.details[0].receiving_helo = std::string(100, 'h');
    one.details[0].reason = std::string(100, 'r');
    tally.add(one);
  }
  Report report{"o", "c@x.ex", "i@x.ex", begin_of(day), end_of(day), tally.sum()};
  REQUIRE(report.policies.size() == 1);
  CHECK(report.policies[0].successes == kinds);
  CHECK(report.policies[0].failures == kinds);
  const auto& details = report.policies[0].details;
  CHECK(details.size() == Limits().details + 2);
  CHECK(sum_of(details) == kinds);
  CHECK(details[0].reason == "other");
  CHECK(details[1].reason == "other");
  CHECK(details[0].receiving_host == "");
  CHECK(to_json(report).size() < 10'000'000);
}

TEST_CASE("RPT-34: policy texts that change with every session are bounded too, and counted exactly") {
  Tally tally(name("d.ex"));
  for (int i = 0; i < 1000; ++i) tally.add(sts(1, 2, {std::to_string(i), std::string(50'000, 'x')}));
  for (int i = 0; i < 1000; ++i) {
    tally.add({{PolicyType::tlsa, {"3 1 1 ab"}, name(std::to_string(i) + ".ex"), {}}, 1, 0, {}});
  }
  const auto sum = tally.sum();
  CHECK(sum.size() <= Limits().policies + 2);
  std::uint64_t good = 0, bad = 0;
  std::size_t octets = 0;
  for (const auto& one : sum) {
    good += one.successes;
    bad += one.failures;
    for (const auto& line : one.policy.text) octets += line.size();
  }
  CHECK(good == 2000);
  CHECK(bad == 2000);
  CHECK(octets <= Limits().policy_octets);
}

}  // namespace tlsrpt_report_test
