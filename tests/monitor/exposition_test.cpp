// SPDX-License-Identifier: Apache-2.0
#include "monitor/exposition.h"

#include <doctest/doctest.h>

#include "monitor/metrics.h"

namespace monitor_exposition_test {

using namespace hoplock;
using monitor::Exposition;

TEST_CASE("a family has help, type and samples; labels are escaped and stay on their line") {
  Exposition to;
  to.family("hoplock_x_total", Exposition::Type::counter, "Things.");
  to.sample({{"a", "say \"hi\" \\ there\nand here"}, {"b", ""}}, std::uint64_t{3});
  to.sample({}, 0.25);
  CHECK(to.take() ==
        "# HELP hoplock_x_total Things.\n# TYPE hoplock_x_total counter\n"
        "hoplock_x_total{a=\"say \\\"hi\\\" \\\\ there and here\",b=\"\"} 3\nhoplock_x_total 0.25\n");
}

TEST_CASE("numbers are decimals that read back as the same number") {
  const auto text = [](double value) {
    Exposition to;
    to.sample({}, value);
    return to.take();
  };
  CHECK(text(0) == " 0\n");
  CHECK(text(0.0005) == " 0.0005\n");
  CHECK(text(1795323982.023) == " 1795323982.023\n");
  CHECK(text(64771588096) == " 64771588096\n");
  CHECK(text(1e300) == " 1e+300\n");
  CHECK(text(1.0 / 0.0) == " +Inf\n");
}

TEST_CASE("a histogram's buckets add up to its count") {
  Histogram histogram({0.5, 1});
  for (const double value : {0.1, 0.5, 0.75, 2.0}) histogram.add(value);
  Exposition to;
  to.family("hoplock_h", Exposition::Type::histogram, "H.");
  to.sample(histogram);
  CHECK(
      to.take() ==
      "# HELP hoplock_h H.\n# TYPE hoplock_h histogram\nhoplock_h_bucket{le=\"0.5\"} 2\nhoplock_h_bucket{le=\"1\"} 3\n"
      "hoplock_h_bucket{le=\"+Inf\"} 4\nhoplock_h_sum 3.35\nhoplock_h_count 4\n");
}

TEST_CASE("metrics: every problem is a metric, red or not, and the queue has every state that matters") {
  monitor::DaemonStatus status;
  status.now = from_millis(1'790'000'100'000);
  monitor::Survey survey;
  store::Stats::State held{"held", {7, from_millis(1'790'000'000'000)}};
  survey.queue.states = {held};
  survey.queue.messages = 5;
  const monitor::Counters counters;
  const std::string text = monitor::to_metrics(counters, status, &survey, {{"dnssec", "no"}});
  for (const char* line :
       {"hoplock_healthy 0", "hoplock_problem{problem=\"dnssec\"} 1", "hoplock_problem{problem=\"store\"} 0",
        "hoplock_queue_messages 5", "hoplock_queue_recipients{state=\"held\"} 7",
        "hoplock_queue_recipients{state=\"deferred\"} 0",
        "hoplock_queue_recipient_oldest_seconds{state=\"held\"} 100"}) {
    CAPTURE(line);
    CHECK(text.find("\n" + std::string(line) + "\n") != std::string::npos);
  }
  survey.error = "unreadable";  // no number is better than a wrong one
  CHECK(monitor::to_metrics(counters, status, &survey, {}).find("hoplock_queue_messages") == std::string::npos);
  CHECK(monitor::to_metrics(counters, status, nullptr, {}).find("\nhoplock_healthy 1\n") != std::string::npos);
}

TEST_CASE("metrics: of the nodes and the server there are some only where several nodes share a store") {
  const monitor::Counters counters;
  monitor::DaemonStatus status;
  CHECK(monitor::to_metrics(counters, status, nullptr, {}).find("hoplock_nodes") == std::string::npos);
  monitor::ClusterStatus cluster;
  cluster.nodes = {{"alive", 3}, {"dead", 1}};
  cluster.lease_seconds = 11.5;
  cluster.synchronous = true;
  cluster.unknown = 2;
  cluster.replayed = 1;
  cluster.takeovers = 4;
  status.cluster = cluster;
  const std::string text = monitor::to_metrics(counters, status, nullptr, {});
  for (const char* line :
       {"hoplock_nodes{state=\"alive\"} 3", "hoplock_nodes{state=\"dead\"} 1", "hoplock_nodes{state=\"left\"} 0",
        "hoplock_lease_valid_seconds 11.5", "hoplock_replication_synchronous 1", "hoplock_store_unknown_total 2",
        "hoplock_store_replay_total 1", "hoplock_takeover_total 4", "hoplock_lease_lost_total 0"}) {
    CAPTURE(line);
    CHECK(text.find("\n" + std::string(line) + "\n") != std::string::npos);
  }
}

}  // namespace monitor_exposition_test
