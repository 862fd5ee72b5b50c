// SPDX-License-Identifier: Apache-2.0
#include "tests/reports/ledger_world.h"

namespace hoplock::reports::test::reports_ledger_count_test {

using tlsrpt::ResultType;

TEST_CASE(
    "RPT-09, RPT-11: policies are elements of their own, one session with two defects is one failure with two "
    "details") {
  World world;
  const ReportKey org = key(d1, "example.org");
  const auto sts = sts_policy("example.org");
  const auto dane = dane_policy("mx.example.org");
  world.count(org, {success(dane), success(sts)}, 3);
  world.count(org, {success(dane), failure(sts, {failure_of(ResultType::certificate_expired),
                                                 failure_of(ResultType::certificate_host_mismatch)})});

  const auto account = world.account(org);
  CHECK(account.state == ReportState::collecting);
  CHECK(account.sessions == 4);  // not eight: both policies met the same sessions
  CHECK(account.failures == 1);
  const auto elements = world.elements(org);
  REQUIRE(elements.size() == 2);
  CHECK(elements[0].policy == dane);
  CHECK(elements[0].successes == 4);
  CHECK(elements[0].failures == 0);
  CHECK(elements[0].details.empty());
  CHECK(elements[1].policy == sts);
  CHECK(elements[1].successes == 3);
  CHECK(elements[1].failures == 1);
  CHECK(elements[1].details.size() == 2);
}

TEST_CASE("RPT-11: a policy text that changed during the day is an element of its own") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))}, 2);
  world.count(org, {success(sts_policy("example.org", "STSv1;changed"))}, 5);
  const auto elements = world.elements(org);
  REQUIRE(elements.size() == 2);
  CHECK(elements[0].successes + elements[1].successes == 7);
  CHECK(elements[0].successes != elements[1].successes);
}

TEST_CASE("what is read back is what was counted, whatever it holds") {
  World world;
  const ReportKey org = key(d1, "example.org");
  tlsrpt::Failure whole = failure_of(ResultType::validation_failure);
  whole.sending_ip = Ip::parse("2001:db8::1").value();
  whole.receiving_ip = Ip::parse("2001:db8::25").value();
  whole.receiving_helo = "mx \"quoted\" é";
  whole.reason = "sts-mx-mismatch";
  whole.information = "https://example.net/why";
  tlsrpt::Failure bare;
  bare.type = ResultType::sts_policy_fetch_error;
  bare.sessions = 1;
  world.count(org, {failure(sts_policy("example.org"), {whole, bare})});
  const auto elements = world.elements(org);
  REQUIRE(elements.size() == 1);
  CHECK(elements[0].details.size() == 2);
  CHECK(std::count(elements[0].details.begin(), elements[0].details.end(), whole) == 1);
  CHECK(std::count(elements[0].details.begin(), elements[0].details.end(), bare) == 1);
}

TEST_CASE("RPT-29: sessions of two days and of two domains do not mix") {
  World world;
  const auto policy = sts_policy("example.org");
  LedgerCounts counts;
  counts.add(key(d1, "example.org"), {success(policy)});
  counts.add(key(d2, "example.org"), {success(policy)});
  counts.add(key(d2, "example.org"), {success(policy)});
  counts.add(key(d2, "example.com"), {success(policy)});
  add_counts(*world.tx, counts);
  CHECK(world.account(key(d1, "example.org")).sessions == 1);
  CHECK(world.account(key(d2, "example.org")).sessions == 2);
  CHECK(world.account(key(d2, "example.com")).sessions == 1);
}

TEST_CASE("RPT-30: counters outlive the process") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {failure(sts_policy("example.org"), {failure_of(ResultType::certificate_expired)})});
  const auto id = preview_report(*world.tx, org, submitter())->id;
  world.reopen();
  world.count(org, {failure(sts_policy("example.org"), {failure_of(ResultType::certificate_expired)})});
  const auto elements = world.elements(org);
  REQUIRE(elements.size() == 1);
  CHECK(elements[0].failures == 2);
  REQUIRE(elements[0].details.size() == 1);
  CHECK(elements[0].details[0].sessions == 2);
  CHECK(preview_report(*world.tx, org, submitter())->id == id);
}

TEST_CASE("what a transaction that is rolled back counted is not counted") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))});
  world.db->execute("BEGIN");
  world.count(org, {failure(dane_policy("mx.example.org"), {failure_of(ResultType::tlsa_invalid)})});
  world.db->execute("ROLLBACK");
  CHECK(world.account(org).sessions == 1);
  CHECK(world.elements(org).size() == 1);
}

TEST_CASE("counts of several deliveries are written as one, and an empty classification is nothing") {
  World world;
  const ReportKey org = key(d1, "example.org");
  LedgerCounts one;
  one.add(org, {});
  CHECK(one.empty());
  one.add(org, {failure(dane_policy("mx.example.org"), {failure_of(ResultType::tlsa_invalid)})});
  LedgerCounts all;
  all.add(one);
  all.add(one);
  add_counts(*world.tx, all);
  CHECK(world.account(org).sessions == 2);
  CHECK(world.account(org).failures == 2);
  CHECK(world.elements(org)[0].details[0].sessions == 2);
}

TEST_CASE("RPT-34: details are capped and merged, counts stay exact") {
  World world;
  const ReportKey org = key(d1, "example.org");
  const int many = static_cast<int>(tlsrpt::Limits().details) + 500;
  LedgerCounts counts;
  world.db->execute("BEGIN");
  for (int i = 0; i < many; ++i) {
    LedgerCounts one;
    one.add(org, {failure(dane_policy("mx.example.org"),
                          {failure_of(ResultType::tlsa_invalid, "mx" + std::to_string(i) + ".example.org")})});
    add_counts(*world.tx, one);
  }
  world.db->execute("COMMIT");
  const auto elements = world.elements(org);
  REQUIRE(elements.size() == 1);
  CHECK(elements[0].failures == static_cast<std::uint64_t>(many));
  CHECK(elements[0].details.size() == tlsrpt::Limits().details + 1);
  CHECK(elements[0].details[0].reason == "other");
  CHECK(elements[0].details[0].sessions == 500);
  const auto built = build_report(*world.tx, org, submitter());
  REQUIRE(built);
  CHECK(tlsrpt::gunzip(built->gzip, 10'000'000));
}

TEST_CASE("RPT-34: policies are capped by number and by size, sessions are counted without their text from there on") {
  World world;
  const ReportKey org = key(d1, "example.org");
  SUBCASE("number") {
    for (int i = 0; i < 150; ++i) world.count(org, {success(sts_policy("example.org", std::to_string(i)))});
    const auto elements = world.elements(org);
    CHECK(elements.size() == 101);
    std::uint64_t sum = 0;
    for (const auto& one : elements) sum += one.successes;
    CHECK(sum == 150);
  }
  SUBCASE("size") {
    for (int i = 0; i < 20; ++i)
      world.count(org, {success(sts_policy("example.org", std::string(60'000, 'a') + std::to_string(i)))});
    const auto elements = world.elements(org);
    REQUIRE(elements.size() == 9);  // eight whole ones in 500,000 octets
    CHECK(elements[0].policy.text.empty());
    CHECK(elements[0].successes == 12);
  }
}

TEST_CASE("RPT-34: once a day holds very many details, each account may add only some more") {
  World world;
  world.db->execute("INSERT INTO tlsrpt_day (day, octets, details) VALUES (" +
                    std::to_string(d1.time_since_epoch().count()) + ", 0, 300000)");
  for (int i = 0; i < 80; ++i) {
    const auto detail = failure_of(ResultType::tlsa_invalid, "mx" + std::to_string(i) + ".example.org");
    world.count(key(d1, "example.org"), {failure(dane_policy("mx.example.org"), {detail})});
    world.count(key(d2, "example.org"), {failure(dane_policy("mx.example.org"), {detail})});
  }
  const auto tight = world.elements(key(d1, "example.org"));
  REQUIRE(tight.size() == 1);
  CHECK(tight[0].failures == 80);
  CHECK(tight[0].details.size() == 49);
  CHECK(world.elements(key(d2, "example.org"))[0].details.size() == 80);
}

TEST_CASE("RPT-48: sixty domains that fill the day with details leave another domain's report its own") {
  World world;
  world.db->execute("BEGIN");
  const auto take_all = [&](const std::string& domain, int many) {
    LedgerCounts counts;
    for (int i = 0; i < many; ++i)
      counts.add(key(d1, domain), {failure(dane_policy("mx." + domain),
                                           {failure_of(ResultType::tlsa_invalid, std::to_string(i) + "." + domain)})});
    add_counts(*world.tx, counts);
  };
  for (int i = 0; i < 60; ++i) take_all("d" + std::to_string(i) + ".example", 6000);
  take_all("example.org", 500);
  world.db->execute("COMMIT");
  const auto elements = world.elements(key(d1, "example.org"));
  REQUIRE(elements.size() == 1);
  CHECK(elements[0].failures == 500);
  CHECK(elements[0].details.size() == 500);
  for (const auto& detail : elements[0].details) CHECK(detail.reason != "other");
}

}  // namespace hoplock::reports::test::reports_ledger_count_test
