// SPDX-License-Identifier: Apache-2.0
#include "monitor/health.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/json.hpp>

namespace monitor_health_test {

using namespace hoplock;
using monitor::DaemonStatus;
using monitor::Problem;
using monitor::Survey;

namespace {

const Time t0 = from_millis(1'790'000'000'000);

DaemonStatus good() {
  DaemonStatus status;
  status.hostname = "relay.example.net";
  status.now = t0;
  status.listeners = 1;
  return status;
}

std::string names(const std::vector<Problem>& problems) {
  std::string all;
  for (const auto& one : problems) {
    const auto& known = monitor::problem_names;
    CHECK(std::find(known.begin(), known.end(), one.name) != known.end());  // else it would be in no metric
    all += std::string(one.name) + ";";
  }
  return all;
}

}  // namespace

TEST_CASE("a daemon of which nothing bad is known is healthy") {
  CHECK(monitor::problems(good(), nullptr, {}).empty());
  const Survey survey;
  CHECK(monitor::problems(good(), &survey, {}).empty());
  CHECK(monitor::to_text({}) == "ok\n");
  CHECK(monitor::to_json({}) == "{\"status\":\"ok\",\"problems\":[]}\n");
}

TEST_CASE("DNS-04: while our own validation does not work, health is red and says why") {
  DaemonStatus status = good();
  status.validation_failure = "our own DNSSEC validation does not work: . SOA is not secure (insecure answer)";
  const auto problems = monitor::problems(status, nullptr, {});
  CHECK(names(problems) == "dnssec;");
  CHECK(problems[0].text.find(". SOA is not secure") != std::string::npos);
}

TEST_CASE("nobody answers on port 53: that is told, and not that validation fails") {
  DaemonStatus status = good();
  status.validation_failure = "our own DNSSEC validation does not work: . SOA is not secure (timed out after 20s)";
  status.dns_silence = "nobody answered on port 53 (26 addresses of root servers were asked: no answer): open port 53";
  const auto problems = monitor::problems(status, nullptr, {});
  CHECK(names(problems) == "dns;");
  CHECK(problems[0].text.find("nobody answered on port 53") == 0);
}

TEST_CASE("a certificate of ours that has ended turns health red, one that will end does not") {
  DaemonStatus status = good();
  status.certificates = {{"listener", "relay.example.net", t0 + std::chrono::hours(1)}};
  CHECK(monitor::problems(status, nullptr, {}).empty());
  status.certificates.push_back({"client", "relay.example.net", t0});
  const auto problems = monitor::problems(status, nullptr, {});
  CHECK(names(problems) == "certificates;");
  CHECK(problems[0].text.find("client relay.example.net ended 2026-09-21; renew it") == 0);
  status.certificates = {{"client-ca", "old ca", t0, true}, {"client-ca", "ca", t0 + std::chrono::hours(1)}};
  CHECK(monitor::problems(status, nullptr, {}).empty());  // its successor takes the clients
}

TEST_CASE("BND-04: a log that takes no lines is a problem, told in its own words") {
  DaemonStatus status = good();
  status.log_problem = "the log cannot be written: No space left on device";
  const auto problems = monitor::problems(status, nullptr, {});
  CHECK(names(problems) == "log;");
  CHECK(problems[0].text == status.log_problem);
}

TEST_CASE("each thing that is wrong has its name, all of them together too") {
  const auto broken = [] { return fail(errc::io_error, "disk I/O error"); };
  const auto with = [](auto change) {
    DaemonStatus status = good();
    change(status);
    return names(monitor::problems(status, nullptr, {}));
  };
  CHECK(with([&](DaemonStatus& f) { f.store = broken(); }) == "store;");
  CHECK(with([&](DaemonStatus& f) { f.accepting = fail(errc::no_space_on_device, "full"); }) == "disk-space;");
  CHECK(with([&](DaemonStatus& f) { f.listeners = 0; }) == "listeners;");
  CHECK(with([&](DaemonStatus& f) { f.missing_listeners = {"cannot listen on 192.0.2.1:25: in use"}; }) ==
        "listeners;");
  CHECK(with([&](DaemonStatus& f) { f.places.full = true; }) == "connections;");
  CHECK(with([&](DaemonStatus& f) { f.descriptors = broken(); }) == "descriptors;");
  CHECK(with([&](DaemonStatus& f) { f.stalled = true; }) == "recovery;");
  CHECK(with([&](DaemonStatus& f) { f.damaged = {{store::Id{7}, t0}}; }) == "damaged;");
  Survey survey;
  survey.error = "file is not a database";
  CHECK(names(monitor::problems(good(), &survey, {})) == "survey;");
  DaemonStatus all = good();
  all.store = broken();
  all.stalled = true;
  all.validation_failure = "no";
  CHECK(names(monitor::problems(all, &survey, {})) == "dnssec;store;survey;recovery;");
}

TEST_CASE("fetches of policies that all fail are ours to mend, some are other people's") {
  CHECK(monitor::problems(good(), nullptr, {1, 100}).empty());
  CHECK(monitor::problems(good(), nullptr, {0, 4}).empty());
  CHECK(names(monitor::problems(good(), nullptr, {0, 5})) == "policies;");
}

TEST_CASE("a damaged message turns health red until it is removed, across restarts") {
  DaemonStatus status = good();
  Survey survey;
  survey.taken = t0;
  survey.damaged = {store::Id{41}};
  CHECK(names(monitor::problems(status, &survey, {})) == "damaged;");  // the one that an earlier daemon found
  status.damaged = {{store::Id{41}, t0 - Seconds(60)}, {store::Id{42}, t0 + Seconds(1)}};
  const auto both = monitor::problems(status, &survey, {});
  REQUIRE(names(both) == "damaged;");
  CHECK(both[0].text.starts_with("2 stored messages"));
  CHECK(both[0].text.find(store::Id{42}.text()) != std::string::npos);
  survey.taken = t0 + Seconds(60);  // looked again: they are gone
  survey.damaged.clear();
  CHECK(monitor::problems(status, &survey, {}).empty());
  survey.error = "cannot be opened";  // nobody knows
  CHECK(names(monitor::problems(status, &survey, {})) == "damaged;survey;");
}

TEST_CASE("health as text has a line a problem, as JSON a list, whatever a text holds") {
  DaemonStatus status = good();
  status.validation_failure = "one\r\ntwo \"three\" \x1b[31m";
  const auto problems = monitor::problems(status, nullptr, {});
  const std::string text = monitor::to_text(problems);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.starts_with("dnssec: one two \"three\" ?[31m"));
  const auto value = boost::json::parse(monitor::to_json(problems));
  CHECK(value.at("status").as_string() == "failed");
  CHECK(value.at("problems").at(0).at("problem").as_string() == "dnssec");
}

namespace {
DaemonStatus shared() {
  DaemonStatus status = good();
  monitor::ClusterStatus cluster;
  cluster.node = "relay-1";
  cluster.incarnation = 7;
  cluster.server = "db1:5432, db2:5432, database hoplock";
  status.cluster = cluster;
  return status;
}
}  // namespace

TEST_CASE("a node of several: each thing that keeps it from taking or sending mail has its word and its sentence") {
  CHECK(monitor::problems(shared(), nullptr, {}).empty());
  const Error away = fail(errc::device_or_resource_busy, "connection refused");
  {
    DaemonStatus status = shared();
    status.cluster->store = away;
    status.cluster->lease = false;  // follows from it
    status.cluster->replication = fail(errc::io_error, "unknown");
    status.accepting = away;
    const auto problems = monitor::problems(status, nullptr, {});
    CHECK(names(problems) == "store;");
    CHECK(problems[0].text == "db1:5432, db2:5432, database hoplock: connection refused");
  }
  {
    DaemonStatus status = shared();
    status.cluster->replication = fail(errc::io_error, "no synchronous standby (store_synchronous: require)");
    status.accepting = status.cluster->replication;
    CHECK(names(monitor::problems(status, nullptr, {})) == "replication;");
  }
  {
    DaemonStatus status = shared();
    status.cluster->lease = false;
    CHECK(names(monitor::problems(status, nullptr, {})) == "lease;");
    status.cluster->fenced = "its beat stood still";
    CHECK(names(monitor::problems(status, nullptr, {})) == "fenced;");
  }
  {
    DaemonStatus status = shared();
    status.cluster->schema = "version 9 is newer than what this program knows";
    CHECK(names(monitor::problems(status, nullptr, {})) == "schema;");
  }
  {
    DaemonStatus status = shared();
    status.cluster->clock_offset = Milliseconds(5'000);
    CHECK(monitor::problems(status, nullptr, {}).empty());
    status.cluster->clock_offset = Milliseconds(-61'000);
    const auto problems = monitor::problems(status, nullptr, {});
    CHECK(names(problems) == "clock;");
    CHECK(problems[0].text.starts_with("this machine's clock is 61 s before the store's"));
  }
}

TEST_CASE("a node of several: a full server is disk-space, and a node that takes no mail misses no listener") {
  DaemonStatus status = shared();
  status.accepting = fail(errc::no_space_on_device, "the server's disk is full");
  CHECK(names(monitor::problems(status, nullptr, {})) == "disk-space;");
  status = shared();
  status.listeners = 0;
  CHECK(names(monitor::problems(status, nullptr, {})) == "listeners;");
  status.accepts = false;
  CHECK(monitor::problems(status, nullptr, {}).empty());
}

}  // namespace monitor_health_test
