// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/ledger.h"

#include "tests/reports/ledger_world.h"
#include "tests/support/report_reader.h"

namespace hoplock::reports::test::reports_ledger_test {

using tlsrpt::ResultType;

namespace {

std::string json_of(const BuiltReport& built) { return tlsrpt::gunzip(built.gzip, 10'000'000).value(); }

std::vector<std::string> texts(const std::vector<ReportKey>& keys) {
  std::vector<std::string> all;
  for (const auto& one : keys) all.push_back(tlsrpt::to_text(one.day) + " " + one.domain.text());
  return all;
}
using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("RPT-30: a report is built once and is the same octets ever after") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))}, 3);
  const auto before = tlsrpt::to_json(preview_report(*world.tx, org, submitter()).value());
  CHECK_FALSE(stored_report(*world.tx, org));
  const auto built = build_report(*world.tx, org, submitter());
  REQUIRE(built);
  CHECK(json_of(*built) == before);
  CHECK(built->policies == 1);
  CHECK(built->sessions == 3);
  CHECK(built->failures == 0);
  CHECK(world.account(org).state == ReportState::built);
  CHECK_FALSE(preview_report(*world.tx, org, submitter()));

  world.reopen();
  const auto again = build_report(*world.tx, org, submitter("Another name since"));
  REQUIRE(again);
  CHECK(again->gzip == built->gzip);
  CHECK(again->report_id == built->report_id);
  CHECK(again->file_name == built->file_name);
  CHECK(stored_report(*world.tx, org)->gzip == built->gzip);
  CHECK_FALSE(build_report(*world.tx, key(d2, "example.org"), submitter()));  // RPT-31: no sessions, no report
}

TEST_CASE("RPT-29, RPT-33: a report covers one UTC day, and its names agree") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))});
  const auto built = build_report(*world.tx, org, submitter()).value();
  const auto report = tlsrpt::parse_report(json_of(built)).value();
  CHECK(to_rfc3339(report.begin) == "2025-03-01T00:00:00.000Z");
  CHECK(to_rfc3339(report.end) == "2025-03-01T23:59:59.000Z");
  CHECK(report.contact == "postmaster@example.net");
  CHECK(report.id == built.report_id);
  CHECK(built.file_name.starts_with("example.net!example.org!1740787200!1740873599!"));
}

TEST_CASE("two domains' reports of one day, and one domain's of two days, have ids of their own") {
  World world;
  for (const ReportKey& one : {key(d1, "example.org"), key(d2, "example.org"), key(d1, "example.com")})
    world.count(one, {success(sts_policy("example.org"))});
  const auto a = build_report(*world.tx, key(d1, "example.org"), submitter())->report_id;
  const auto b = build_report(*world.tx, key(d2, "example.org"), submitter())->report_id;
  const auto c = build_report(*world.tx, key(d1, "example.com"), submitter())->report_id;
  CHECK(a != b);
  CHECK(a != c);
}

TEST_CASE(
    "RPT-30: a session that ends after its day's report was built is counted for the next day, not lost and not "
    "twice") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))});
  const auto built = build_report(*world.tx, org, submitter()).value();
  world.count(org, {failure(sts_policy("example.org"), {failure_of(ResultType::certificate_expired)})});
  CHECK(stored_report(*world.tx, org)->gzip == built.gzip);
  CHECK(world.account(org).sessions == 1);
  CHECK(world.account(key(d2, "example.org")).failures == 1);
  finish_report(*world.tx, org, ReportState::sent, "");
  build_report(*world.tx, key(d2, "example.org"), submitter());
  world.count(org, {success(sts_policy("example.org"))});
  CHECK(world.account(key(d3, "example.org")).sessions == 1);
}

TEST_CASE("RPT-32: a report's time is fixed once, and comes before the attempt") {
  World world;
  for (const ReportKey& one : {key(d1, "b.example"), key(d1, "a.example"), key(d2, "a.example")})
    world.count(one, {success(sts_policy("a.example"))});
  CHECK(texts(unplanned_reports(*world.tx, d2, 10)) == Texts{"2025-03-01 b.example", "2025-03-01 a.example"});
  CHECK(unplanned_reports(*world.tx, d2, 1).size() == 1);
  CHECK(unplanned_reports(*world.tx, d1, 10).empty());  // the day is not over

  plan_report(*world.tx, key(d1, "a.example"), at(d2, 1800));
  plan_report(*world.tx, key(d1, "b.example"), at(d2, 900));
  plan_report(*world.tx, key(d1, "a.example"), at(d2, 9999));
  CHECK(world.account(key(d1, "a.example")).state == ReportState::due);
  CHECK(world.account(key(d1, "a.example")).due == at(d2, 1800));
  CHECK(world.account(key(d1, "a.example")).since == at(d2, 1800));
  CHECK(unplanned_reports(*world.tx, d2, 10).empty());

  CHECK(due_reports(*world.tx, at(d2, 0), 10).keys.empty());
  CHECK(due_reports(*world.tx, at(d2, 0), 10).next == at(d2, 900));
  CHECK(texts(due_reports(*world.tx, at(d2, 1000), 10).keys) == Texts{"2025-03-01 b.example"});
  CHECK(due_reports(*world.tx, at(d2, 1000), 10).next == at(d2, 1800));
  CHECK(texts(due_reports(*world.tx, at(d2, 5000), 10).keys) == Texts{"2025-03-01 b.example", "2025-03-01 a.example"});
  CHECK_FALSE(due_reports(*world.tx, at(d2, 5000), 10).next);
}

TEST_CASE("a day that is due still collects") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))});
  plan_report(*world.tx, org, at(d2, 0));
  world.count(org, {success(sts_policy("example.org"))});
  CHECK(world.account(org).sessions == 2);
}

TEST_CASE("RPT-43: rounds of sending, per destination, survive a restart; what is over is not due") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))});
  plan_report(*world.tx, org, at(d2, 0));
  build_report(*world.tx, org, submitter());
  put_report_destination(*world.tx, org,
                         {"mailto:b@example.org", ReportDestination::State::waiting, 1, at(d2, 60), "451 later"});
  put_report_destination(*world.tx, org,
                         {"https://example.org/r", ReportDestination::State::waiting, 0, std::nullopt, ""});
  put_report_destination(*world.tx, org,
                         {"https://example.org/r", ReportDestination::State::failed, 1, std::nullopt, "404"});
  postpone_report(*world.tx, org, {at(d2, 0), at(d2, 60)}, "451 later");
  world.reopen();
  const auto all = report_destinations(*world.tx, org);
  REQUIRE(all.size() == 2);
  CHECK(all[0].rua == "https://example.org/r");
  CHECK(all[0].state == ReportDestination::State::failed);
  CHECK(all[0].error == "404");
  CHECK(all[1].next == at(d2, 60));
  CHECK(world.account(org).attempts == 1);
  CHECK(world.account(org).since == at(d2, 0));
  CHECK(texts(due_reports(*world.tx, at(d2, 60), 10).keys) == Texts{"2025-03-01 example.org"});

  finish_report(*world.tx, org, ReportState::sent, "");
  CHECK(due_reports(*world.tx, at(d3, 0), 10).keys.empty());
  CHECK(world.account(org).state == ReportState::sent);
  CHECK(world.account(org).attempts == 2);
  postpone_report(*world.tx, org, {at(d2, 0), at(d3, 0)}, "too late");
  CHECK(due_reports(*world.tx, at(d3, 0), 10).keys.empty());
  CHECK(stored_report(*world.tx, org));
}

TEST_CASE("an operator hurries: today's too, what failed tries again with the same octets, what is sent stays sent") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))});
  CHECK_FALSE(send_report_now(*world.tx, key(d2, "example.org"), at(d1, 5)));
  REQUIRE(send_report_now(*world.tx, org, at(d1, 5)));
  CHECK(world.account(org).state == ReportState::due);
  CHECK(world.account(org).since == at(d1, 5));
  const auto built = build_report(*world.tx, org, submitter()).value();
  put_report_destination(*world.tx, org,
                         {"mailto:a@example.org", ReportDestination::State::failed, 9, std::nullopt, "no"});
  put_report_destination(*world.tx, org,
                         {"mailto:b@example.org", ReportDestination::State::waiting, 2, at(d3, 0), "later"});
  finish_report(*world.tx, org, ReportState::failed, "no");
  REQUIRE(send_report_now(*world.tx, org, at(d2, 7)));
  CHECK(world.account(org).state == ReportState::built);
  CHECK(world.account(org).since == at(d2, 7));
  CHECK(world.account(org).attempts == 0);
  for (const auto& one : report_destinations(*world.tx, org)) {
    CHECK(one.state == ReportDestination::State::waiting);
    CHECK_FALSE(one.next);
  }
  CHECK(build_report(*world.tx, org, submitter())->gzip == built.gzip);
  finish_report(*world.tx, org, ReportState::sent, "");
  CHECK_FALSE(send_report_now(*world.tx, org, at(d2, 8)));
}

TEST_CASE("a skipped account keeps its counts, and comes back to life when somebody wants its report after all") {
  World world;
  const ReportKey org = key(d1, "example.org");
  world.count(org, {success(sts_policy("example.org"))});
  plan_report(*world.tx, org, at(d2, 0));
  finish_report(*world.tx, org, ReportState::skipped, "no record");
  CHECK(world.account(org).error == "no record");
  CHECK(world.account(org).attempts == 0);
  CHECK(preview_report(*world.tx, org, submitter()));
  REQUIRE(send_report_now(*world.tx, org, at(d2, 9)));
  CHECK(world.account(org).state == ReportState::due);
  CHECK(build_report(*world.tx, org, submitter())->sessions == 1);
}

TEST_CASE("list: by day and domain, in pages") {
  World world;
  for (const ReportKey& one : {key(d2, "b.example"), key(d1, "c.example"), key(d2, "a.example"), key(d1, "b.example")})
    world.count(one, {success(sts_policy("a.example"))});
  const auto listed = [&](const ReportSelection& selection) {
    std::vector<ReportKey> keys;
    for (const auto& one : list_accounts(*world.tx, selection)) keys.push_back(one.key);
    return texts(keys);
  };
  ReportSelection all;
  CHECK(listed(all) ==
        Texts{"2025-03-01 b.example", "2025-03-01 c.example", "2025-03-02 a.example", "2025-03-02 b.example"});
  all.limit = 2;
  all.after = key(d1, "b.example");
  CHECK(listed(all) == Texts{"2025-03-01 c.example", "2025-03-02 a.example"});
  ReportSelection some;
  some.day = d2;
  CHECK(listed(some) == Texts{"2025-03-02 a.example", "2025-03-02 b.example"});
  some.domain = name("b.example");
  CHECK(listed(some) == Texts{"2025-03-02 b.example"});
  some.day.reset();
  CHECK(listed(some) == Texts{"2025-03-01 b.example", "2025-03-02 b.example"});
}

TEST_CASE("RPT-45: what is older than it is kept goes, with all its rows") {
  World world;
  world.count(key(d1, "a.example"), {failure(dane_policy("mx.a.example"), {failure_of(ResultType::tlsa_invalid)})});
  world.count(key(d1, "b.example"), {success(sts_policy("b.example"))});
  world.count(key(d2, "a.example"), {success(sts_policy("a.example"))});
  build_report(*world.tx, key(d1, "b.example"), submitter());
  put_report_destination(*world.tx, key(d1, "b.example"),
                         {"mailto:r@b.example", ReportDestination::State::accepted, 1, {}, ""});
  CHECK_FALSE(prune_reports(*world.tx, d2, PruneReports::ended, 10));
  CHECK(list_accounts(*world.tx, ReportSelection{}).size() == 3);  // nobody has been told of them yet
  finish_report(*world.tx, key(d1, "b.example"), ReportState::sent, "");
  CHECK_FALSE(prune_reports(*world.tx, d2, PruneReports::ended, 10));
  CHECK(list_accounts(*world.tx, ReportSelection{}).size() == 2);
  CHECK(prune_reports(*world.tx, d2, PruneReports::all, 1));
  CHECK_FALSE(prune_reports(*world.tx, d2, PruneReports::all, 10));
  CHECK(list_accounts(*world.tx, ReportSelection{}).size() == 1);
  CHECK(world.db->integer("SELECT count(*) FROM tlsrpt_detail") == 0);
  CHECK(world.db->integer("SELECT count(*) FROM tlsrpt_element") == 1);
  CHECK(world.db->integer("SELECT count(*) FROM tlsrpt_report") == 0);
  CHECK(world.db->integer("SELECT count(*) FROM tlsrpt_destination") == 0);
  CHECK(world.db->integer("SELECT count(*) FROM tlsrpt_day") == 1);
}

}  // namespace hoplock::reports::test::reports_ledger_test
