// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <sstream>

#include "config/check.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/tlsrpt_view.h"
#include "daemon/tool/tool.h"
#include "store_sqlite/ledger.h"
#include "tests/daemon/tool_run.h"
#include "tests/reports/ledger_world.h"
#include "tests/support/report_reader.h"
#include "tests/support/temp_directory.h"

namespace daemon_tool_tlsrpt_test {

using namespace hoplock;
using daemon::test::run_tool;
using daemon::test::Said;
using namespace hoplock::reports::test;
namespace json = boost::json;
namespace tool = daemon::tool;

namespace {

// A directory with the database of a daemon that is stopped, and two days in it.
struct Stage {
  Stage() {
    config = dir.write("hoplock.yaml",
                       "hostname: relay.example.net\ndata_dir: .\ntls: {ca_file: \"\"}\n"
                       "tls_rpt: {organization: Us, from: tlsrpt@example.net, contact: postmaster@example.net}\n"
                       "dns: {trust_anchor: \"\", root_hints: \"\"}\n");
  }
  void fill() {
    auto db = disk::Database::open(dir.file("queue.db"), disk::Access::read_write).value();
    disk::migrate(db, store_sqlite::ledger_migrations()).value();
    disk::Tx tx(db);
    store::LedgerCounts counts;
    counts.add(key(d1, "a.example"), {success(sts_policy("a.example"))});
    counts.add(key(d1, "b.example"),
               {failure(dane_policy("mx.b.example"), {failure_of(tlsrpt::ResultType::tlsa_invalid)})});
    counts.add(key(d2, "a.example"), {success(sts_policy("a.example"))});
    store_sqlite::add_counts(tx, counts);
    store_sqlite::plan_report(tx, key(d1, "a.example"), at(d2, 1800));
    const auto by = daemon::submitter(config::load(config).config).value();
    sent = tlsrpt::gunzip(store_sqlite::build_report(tx, key(d1, "a.example"), by)->gzip, 1'000'000).value();
    store_sqlite::put_report_destination(
        tx, key(d1, "a.example"),
        {"mailto:r@a.example", store::ReportDestination::State::accepted, 1, std::nullopt, ""});
    store_sqlite::finish_report(tx, key(d1, "a.example"), store::ReportState::sent, "");
    store_sqlite::plan_report(tx, key(d1, "b.example"), at(d2, 7200));
  }
  Said ask(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--config", config});
    return run_tool(std::move(words), at(d2, 3600));
  }
  support::TempDirectory dir;
  std::string config;
  std::string sent;
};

std::string text(const json::value& value) { return value.is_null() ? "null" : std::string(value.as_string()); }

}  // namespace

TEST_CASE("tlsrpt read: a file that cannot be read is 74, one that is no report 1, and 74 goes first") {
  Stage stage;
  const std::string none = stage.dir.write("none", "hello"), nowhere = stage.dir.file("nowhere");
  const std::string folder = stage.dir.path().string();
  CHECK(stage.ask({"tlsrpt", "read", none}).code == daemon::no);
  CHECK(stage.ask({"tlsrpt", "read", nowhere}).code == daemon::io_error);
  CHECK(stage.ask({"tlsrpt", "read", folder}).code == daemon::io_error);
  CHECK(stage.ask({"tlsrpt", "read", nowhere, none}).code == daemon::io_error);
  CHECK(stage.ask({"partner", "import", nowhere}).code == daemon::io_error);
  CHECK(stage.ask({"partner", "import", folder}).code == daemon::io_error);
  CHECK(stage.ask({"partner", "import", none}).code == daemon::usage);
}

TEST_CASE("tlsrpt list: days, domains, sessions, failures and states, with the daemon stopped") {
  Stage stage;
  stage.fill();
  const auto all = stage.ask({"--json", "tlsrpt", "list"}).data().as_array();
  REQUIRE(all.size() == 3);
  const auto& sent = all[0].as_object();
  CHECK(text(sent.at("day")) == "2025-03-01");
  CHECK(text(sent.at("domain")) == "a.example");
  CHECK(text(sent.at("state")) == "sent");
  CHECK(sent.at("sessions").as_int64() == 1);
  CHECK(sent.at("failures").as_int64() == 0);
  CHECK(text(sent.at("due")) == "null");
  CHECK(text(sent.at("report_id")).starts_with("2025-03-01.a.example."));
  CHECK(text(sent.at("destinations").as_array().at(0).as_object().at("state")) == "accepted");
  const auto& waiting = all[1].as_object();
  CHECK(text(waiting.at("state")) == "due");
  CHECK(waiting.at("failures").as_int64() == 1);
  CHECK(text(waiting.at("due")) == to_rfc3339(at(d2, 7200)));
  CHECK(text(all[2].as_object().at("state")) == "collecting");
  const auto said = stage.ask({"tlsrpt", "list"});
  CHECK(said.code == 0);
  CHECK(said.says("in 1h"));
  CHECK(stage.ask({"--json", "tlsrpt", "list", "--day", "2025-03-02"}).data().as_array().size() == 1);
  CHECK(stage.ask({"--json", "tlsrpt", "list", "--domain", "A.example"}).data().as_array().size() == 2);
  CHECK(stage.ask({"tlsrpt", "list", "--day", "yesterday"}).code == daemon::usage);
}

TEST_CASE("tlsrpt show: what was sent octet by octet, and of another day what would be sent now") {
  Stage stage;
  stage.fill();
  const auto sent = stage.ask({"tlsrpt", "show", "--day", "2025-03-01", "--domain", "a.example"});
  CHECK(sent.code == 0);
  CHECK(sent.out == stage.sent);
  CHECK(stage.ask({"tlsrpt", "show", "--day", "2025-03-01", "--domain", "a.example", "--json"}).out == stage.sent);

  const auto open = stage.ask({"tlsrpt", "show", "--day", "2025-03-02", "--domain", "a.example"});
  const auto report = tlsrpt::parse_report(open.out).value();
  CHECK(report.organization == "Us");
  CHECK(report.contact == "postmaster@example.net");
  CHECK(tlsrpt::to_text(tlsrpt::day_of(report.begin)) == "2025-03-02");
  CHECK(report.policies.at(0).successes == 1);
}

TEST_CASE("tlsrpt show: a whole day is a report a line, or an array") {
  Stage stage;
  stage.fill();
  const auto day = stage.ask({"tlsrpt", "show", "--day", "2025-03-01"});
  CHECK(day.out.starts_with(stage.sent + "\n{"));
  const auto array = stage.ask({"--json", "tlsrpt", "show", "--day", "2025-03-01"}).data().as_array();
  CHECK(array.size() == 2);
}

TEST_CASE("tlsrpt show: of nothing it is exit 1, without a day it is a question") {
  Stage stage;
  CHECK(stage.ask({"tlsrpt", "list"}).code != 0);  // no database yet
  stage.fill();
  auto said = stage.ask({"tlsrpt", "show", "--day", "2025-03-01", "--domain", "other.example"});
  CHECK(said.code == daemon::no);
  CHECK(said.out.empty());
  CHECK(said.err.find("other.example") != std::string::npos);
  said = stage.ask({"--json", "tlsrpt", "show", "--day", "2024-01-01"});
  CHECK(said.code == daemon::no);
  CHECK(said.out == "[]\n");
  CHECK(stage.ask({"tlsrpt", "show"}).code == daemon::usage);
  CHECK(stage.ask({"tlsrpt", "show", "--day", "2025-02-30"}).code == daemon::usage);
  CHECK(stage.ask({"tlsrpt", "show", "--day", "2025-03-01", "--domain", ".."}).code == daemon::usage);
}

TEST_CASE("RPT-33: a contact of another domain than the sender's is a configuration error") {
  support::TempDirectory dir;
  const auto config =
      dir.write("hoplock.yaml",
                "hostname: relay.example.net\ndata_dir: .\ntls: {ca_file: \"\"}\n"
                "tls_rpt: {contact: postmaster@example.org}\ndns: {trust_anchor: \"\", root_hints: \"\"}\n");
  std::ostringstream out, err;
  CHECK(tool::run({"--config", config, "config", "check"}, {out, err, std::nullopt, at(d1, 0)}) ==
        daemon::config_error);
  CHECK((out.str() + err.str()).find("hoplock.yaml:4:") != std::string::npos);
}

TEST_CASE("check shows the record that asks for reports, and what of it is usable") {
  probe::Finding finding;
  finding.domain = name("a.example");
  dns::Answer answer;
  answer.status = dns::Status::records;
  answer.records = {std::string("v=TLSRPTv1; rua=mailto:r@a.example,ftp://a.example/x")};
  finding.reporting = probe::reporting_of(name("a.example"), answer);
  const auto good = tool::reporting_to_json(*finding.reporting);
  CHECK(text(good.at("txt")) == "v=TLSRPTv1; rua=mailto:r@a.example,ftp://a.example/x");
  CHECK(json::serialize(good.at("rua")) == R"(["mailto:r@a.example"])");
  CHECK(good.at("ignored").as_array().size() == 1);
  CHECK(text(good.at("error")) == "null");
  std::ostringstream out, err;
  tool::print_reporting({out, err, std::nullopt, at(d1, 0)}, finding);
  CHECK(out.str().find("TLS reports: to mailto:r@a.example\n") == 0);
  CHECK(out.str().find("Not used: ftp://a.example/x") != std::string::npos);

  answer.records = {std::string("v=TLSRPTv1;")};
  const auto bad = tool::reporting_to_json(probe::reporting_of(name("a.example"), answer));
  CHECK(bad.at("rua").is_null());
  CHECK(text(bad.at("error")) != "null");

  answer.status = dns::Status::no_name;
  answer.records.clear();
  const auto none = tool::reporting_to_json(probe::reporting_of(name("a.example"), answer));
  CHECK(none.at("txt").is_null());
  CHECK(none.at("error").is_null());

  answer.status = dns::Status::failed;
  answer.why = "SERVFAIL";
  const auto failed = probe::reporting_of(name("a.example"), answer);
  CHECK(failed.failed);
  CHECK(text(tool::reporting_to_json(failed).at("error")).find("SERVFAIL") != std::string::npos);
}

}  // namespace daemon_tool_tlsrpt_test
