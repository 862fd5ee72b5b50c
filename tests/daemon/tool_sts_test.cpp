// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <sstream>

#include "daemon/system.h"
#include "daemon/tool/check_view.h"
#include "daemon/tool/sts_view.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/policies.h"
#include "tests/control/controlled.h"
#include "tests/daemon/tool_run.h"
#include "tests/support/fake_policies.h"

namespace daemon_tool_sts_test {

using namespace hoplock;
using control::test::Controlled;
using daemon::test::run_tool;
using daemon::test::Said;
using queue::test::at;
using queue::test::name;
namespace json = boost::json;
namespace tool = daemon::tool;

namespace {

Said run(std::vector<std::string> words) { return run_tool(std::move(words), at(7200)); }

store::PolicyRow good_row() {
  store::PolicyRow row;
  row.domain = name("good.test");
  row.freshness.held = mtasts::Held{"7", at(0), Seconds(86400)};
  row.text = support::policy("enforce", "*.good.test");
  row.checked = row.due = at(0);
  return row;
}

store::PolicyRow failed_row() {
  store::PolicyRow row;
  row.domain = name("failed.test");
  row.freshness.failures = {2, at(60), "8"};
  row.problem = hop::Refusal{hop::Reason::sts_policy_fetch_error, "status \x1b[2J404"};
  row.checked = row.due = at(60);
  return row;
}

// A directory with the database of a daemon that is stopped.
struct Stage {
  explicit Stage(const std::vector<store::PolicyRow>& rows) {
    config = dir.write("hoplock.yaml",
                       "hostname: relay.example.net\ndata_dir: .\ntls: {ca_file: \"\"}\n"
                       "dns: {trust_anchor: \"\", root_hints: \"\"}\n");
    support::Loop loop;
    disk::Options options;
    options.directory = dir.path();
    options.migrations = store_sqlite::mail_migrations();
    for (const auto& more : store_sqlite::policy_migrations()) options.migrations.push_back(more);
    const auto disk = std::move(disk::Disk::open(loop.executor(), options).value());
    auto fill = [rows](disk::Tx& tx) -> Result<> {
      for (const auto& row : rows) store_sqlite::put_policy(tx, row);
      return {};
    };
    loop.run(disk->run(disk::Durability::durable, std::move(fill))).value();
  }
  Said ask(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--config", config});
    return run(std::move(words));
  }
  support::TempDirectory dir;
  std::string config;
};

std::string text(const json::value& value) { return value.is_null() ? "null" : std::string(value.as_string()); }

}  // namespace

TEST_CASE("sts list: what is kept, with the daemon stopped") {
  const Stage stage({good_row(), failed_row()});
  const auto list = stage.ask({"--json", "sts", "list"}).data().as_array();
  REQUIRE(list.size() == 2);
  const auto& failed = list[0].as_object();
  CHECK(text(failed.at("domain")) == "failed.test");
  CHECK(text(failed.at("id")) == "null");
  CHECK(text(failed.at("mode")) == "null");
  CHECK(text(failed.at("expires")) == "null");
  CHECK(text(failed.at("checked")) == to_rfc3339(at(60)));
  CHECK(text(failed.at("error")).find("sts-policy-fetch-error: ") == 0);
  const auto& good = list[1].as_object();
  CHECK(text(good.at("id")) == "7");
  CHECK(text(good.at("mode")) == "enforce");
  CHECK(good.at("max_age").as_int64() == 86400);
  CHECK(text(good.at("fetched")) == to_rfc3339(at(0)));
  CHECK(text(good.at("expires")) == to_rfc3339(at(86400)));
  CHECK(text(good.at("error")) == "null");
  const auto said = stage.ask({"sts", "list"});
  CHECK(said.code == 0);
  CHECK(said.says("in 22h"));
  CHECK_MESSAGE(!said.says("\x1b"), "nothing raw reaches the terminal");
}

TEST_CASE("sts list: of nothing") {
  const Stage stage({});
  auto said = stage.ask({"--json", "sts", "list"});
  CHECK(said.code == 0);
  CHECK(said.out == "[]\n");
  CHECK(stage.ask({"sts", "list"}).out == "no policies\n");
  const support::TempDirectory empty;
  said = run({"--config", empty.write("hoplock.yaml", "hostname: relay.example.net\ndata_dir: .\n"), "sts", "list"});
  CHECK(said.code != 0);
}

TEST_CASE("sts show: one policy word for word, and what became of the last fetch") {
  const Stage stage({good_row(), failed_row()});
  const auto good = stage.ask({"--json", "sts", "show", "GOOD.test"}).data().as_object();
  CHECK(text(good.at("policy")) == support::policy("enforce", "*.good.test"));
  CHECK(json::serialize(good.at("mx")) == R"(["*.good.test"])");
  CHECK(good.at("failures").is_null());
  const auto failed = stage.ask({"--json", "sts", "show", "failed.test"}).data().as_object();
  CHECK(failed.at("policy").is_null());
  CHECK(failed.at("failures").as_object().at("count").as_int64() == 2);
  CHECK(text(failed.at("failures").as_object().at("id")) == "8");
  CHECK(stage.ask({"sts", "show", "good.test"}).says("\n  mx: *.good.test\n"));
  const auto said = stage.ask({"sts", "show", "failed.test"});
  CHECK(said.says("no policy was ever fetched"));
  CHECK(said.says("2 times"));
  CHECK(stage.ask({"sts", "show", "other.test"}).code == daemon::no);
  CHECK(stage.ask({"sts", "show", "..", "--json"}).code == daemon::usage);
}

TEST_CASE("sts refresh: needs the daemon, and tells what became of it") {
  const Stage stage({});
  const auto said = stage.ask({"sts", "refresh", "good.test"});
  CHECK(said.code == daemon::unavailable);
  CHECK(said.out.empty());
  Controlled relay;
  const auto config = relay.dir.write("hoplock.yaml",
                                      "hostname: relay.example.net\ndata_dir: .\ntls: {ca_file: \"\"}\n"
                                      "dns: {trust_anchor: \"\", root_hints: \"\"}\n");
  const auto told = relay.apart([&] { return run({"--config", config, "sts", "refresh", "Good.test"}); });
  CHECK(told.code == daemon::ok);
  CHECK(told.says("good.test: refreshed: testing, id 7, until "));
  route::PolicyEvent news;
  news.action = route::PolicyEvent::Action::refreshed;
  news.domain = name("good.test");
  news.id = "7";
  news.mode = mtasts::Mode::enforce;
  news.max_age = Seconds(86400);
  news.expires = at(86400);
  CHECK(tool::to_text(news, at(0)) ==
        "good.test: refreshed: enforce, id 7, until " + to_rfc3339(at(86400)).substr(0, 19) + "Z (in 1d)");
  CHECK(text(tool::to_json(news).at("action")) == "refreshed");
  news.action = route::PolicyEvent::Action::failed;
  news.error = "sts-policy-fetch-error: blocked";
  CHECK(tool::to_text(news, at(0)) == "good.test: failed: sts-policy-fetch-error: blocked");
}

TEST_CASE("check: the policy, its match and what is only observed, to programs and to people") {
  probe::Finding finding;
  finding.domain = finding.expanded = name("good.test");
  probe::Sts sts;
  sts.texts = {"v=STSv1; id=7;"};
  sts.id = "7";
  sts.policy = mtasts::parse_policy(support::policy("testing", "other.test")).value();
  finding.sts = sts;
  probe::Host host;
  host.host = "mx.good.test";
  hop::Connect plan;
  plan.policy = hop::Policy::sts_testing;
  host.plan = plan;
  host.in_policy = false;
  probe::Probe probe;
  probe.ip = Ip::parse("192.0.2.1").value();
  probe.tls = "TLSv1.3";
  probe.observed =
      hop::Observation{hop::Policy::sts_testing, hop::Refusal{hop::Reason::mx_not_in_policy, "only other"}};
  host.probes = {probe};
  finding.hosts = {host};
  const auto data = tool::to_json(finding, probe::Verdict::sts_testing);
  CHECK(json::serialize(data.at("mta_sts")) ==
        R"({"txt":"v=STSv1; id=7;","id":"7","mode":"testing","mx":["other.test"],"max_age":86400,"error":null})");
  const auto& mx = data.at("mx").as_array()[0].as_object();
  CHECK(mx.at("in_policy") == json::value(false));
  const auto& observed = mx.at("probes").as_array()[0].as_object().at("observed").as_object();
  CHECK(text(observed.at("result")) == "mx-not-in-policy");
  std::ostringstream out, err;
  tool::print({out, err, std::nullopt, at(0)}, finding, probe::Verdict::sts_testing);
  for (const char* part : {"MTA-STS: testing for other.test (id 7, max_age 86400)", "v=STSv1; id=7;", "not named",
                           "mx-not-in-policy: only other", "should name every MX host"})
    CHECK_MESSAGE(out.str().find(part) != std::string::npos, part, "\n", out.str());
}

}  // namespace daemon_tool_sts_test
