// SPDX-License-Identifier: Apache-2.0
#include "monitor/counters.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <string>

#include "monitor/counting_log.h"
#include "tests/support/memory_log.h"

namespace monitor_counters_test {

using namespace hoplock;
using monitor::Counters;
using monitor::Exposition;

namespace {

const monitor::SteadyTime t0{std::chrono::hours(1000)};

counted::Attempt delivered(std::int64_t delay) {
  return {"delivered", "dane", "TLSv1.3", "dane-ee", "", Seconds{delay}};
}

counted::Attempt deferred(std::string reason) { return {"deferred", "sts", "none", "none", std::move(reason), {}}; }

std::string text(const Counters& counters) {
  Exposition to;
  counters.write(to);
  return to.take();
}

bool has(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("attempts are counted in the words of their log lines, and name no domain and no address") {
  Counters counters;
  counters.add(delivered(0), t0);
  counters.add(delivered(40), t0);
  counters.add(deferred("tlsa-invalid"), t0);
  counters.add_line(Level::info);
  counters.add_line(Level::warn);
  const std::string said = text(counters);
  CHECK(has(said,
            R"(hoplock_attempts_total{outcome="delivered",policy="dane",tls="TLSv1.3",auth="dane-ee",reason=""} 2)"));
  CHECK(
      has(said,
          R"(hoplock_attempts_total{outcome="deferred",policy="sts",tls="none",auth="none",reason="tlsa-invalid"} 1)"));
  CHECK(has(said, R"(hoplock_delivery_delay_seconds_bucket{le="1"} 1)"));
  CHECK(has(said, R"(hoplock_delivery_delay_seconds_bucket{le="30"} 1)"));
  CHECK(has(said, R"(hoplock_delivery_delay_seconds_bucket{le="60"} 2)"));
  CHECK(has(said, R"(hoplock_delivery_delay_seconds_bucket{le="+Inf"} 2)"));
  CHECK(has(said, "hoplock_delivery_delay_seconds_sum 40"));
  CHECK(has(said, "hoplock_delivery_delay_seconds_count 2"));
  CHECK(has(said, R"(hoplock_log_events_total{level="warn"} 1)"));
}

// increase() saw nothing of the first burst of a reason, however large: its series began with it.
TEST_CASE("failures: every outcome and reason is a series from the start") {
  Counters counters;
  const std::string before = text(counters);
  for (const char* outcome : {"deferred", "bounced", "expired"}) {
    for (const char* reason :
         {"", "tlsa-invalid", "mx-not-in-policy", "certificate-expired", "dns-failure", "smtp-reply"}) {
      const std::string line =
          std::string(R"(hoplock_failures_total{outcome=")") + outcome + R"(",reason=")" + reason + R"("} 0)";
      CHECK_MESSAGE(has(before, line), line);
    }
  }
  CHECK(has(before, R"(hoplock_messages_accepted_total{tls="TLSv1.3"} 0)"));
  CHECK(has(before, R"(hoplock_rejected_total{code="452"} 0)"));
  counters.add(deferred("tlsa-invalid"), t0);
  CHECK(has(text(counters), R"(hoplock_failures_total{outcome="deferred",reason="tlsa-invalid"} 1)"));
  counters.add(delivered(0), t0);
  CHECK(text(counters).find(R"(outcome="delivered",reason)") == std::string::npos);
}

TEST_CASE("failures of the last day: by outcome and reason; what ended comes first") {
  Counters counters;
  const counted::Attempt bounced{"bounced", "opportunistic", "TLSv1.3", "none", "smtp-reply", {}};
  counters.add(delivered(0), t0);
  counters.add(deferred("tlsa-invalid"), t0 - std::chrono::hours(25));
  for (int i = 0; i < 3; ++i) counters.add(deferred("tlsa-invalid"), t0);
  counters.add(bounced, t0);
  counters.add(bounced, t0 + std::chrono::hours(1));
  const auto found = counters.failures_last_day(t0 + std::chrono::hours(22));
  REQUIRE(found.size() == 2);
  CHECK(found[0].outcome == "bounced");
  CHECK(found[0].reason == "smtp-reply");
  CHECK(found[0].count == 2);
  CHECK(found[1].outcome == "deferred");
  CHECK(found[1].reason == "tlsa-invalid");
  CHECK(found[1].count == 3);
  CHECK(counters.failures_last_day(t0 + std::chrono::hours(30)).empty());
}

TEST_CASE("MX-27: cuts and growth of session limits are counted apart, and holds for reputation") {
  Counters counters;
  using Way = counted::SessionLimit::Way;
  for (const Way way : {Way::cut, Way::grown, Way::grown}) counters.add(counted::SessionLimit{way}, t0);
  counters.add(counted::Once::reputation_held, t0);
  counters.add(counted::Once::gave_way, t0);
  const std::string said = text(counters);
  CHECK(has(said, "hoplock_session_limits_cut_total 1"));
  CHECK(has(said, "hoplock_session_limits_grown_total 2"));
  CHECK(has(said, "hoplock_reputation_holds_total 1"));
  CHECK(has(said, "hoplock_attempts_gave_way_total 1"));
}

TEST_CASE("what came in is counted by messages, recipients, octets, and refusals by code") {
  Counters counters;
  const counted::Accepted accepted{"TLSv1.2", 3, 1000};
  counters.add(accepted, t0);
  counters.add(accepted, t0);
  counters.add(counted::Rejected{550}, t0);
  const std::string said = text(counters);
  CHECK(has(said, R"(hoplock_messages_accepted_total{tls="TLSv1.2"} 2)"));
  CHECK(has(said, "hoplock_recipients_accepted_total 6"));
  CHECK(has(said, "hoplock_accepted_bytes_total 2000"));
  CHECK(has(said, R"(hoplock_rejected_total{code="550"} 1)"));
}

TEST_CASE("what happens to policies and reports is counted from 0 on, so that its first time is an increase") {
  Counters counters;
  CHECK(has(text(counters), R"(hoplock_sts_policy_total{action="failed"} 0)"));
  CHECK(has(text(counters), R"(hoplock_tlsrpt_total{action="failed"} 0)"));
  counters.add(counted::StsPolicy{"failed"}, t0);
  counters.add(counted::Report{"sent"}, t0);
  for (const auto once : {counted::Once::notice_dropped, counted::Once::body_damaged, counted::Once::report_bounced})
    counters.add(once, t0);
  for (int i = 0; i < 2; ++i) counters.add_line(Level::error);
  counters.add(counted::RefusedHop{"dane", "tlsa-invalid", "next-host"}, t0);
  const std::string said = text(counters);
  CHECK(has(said, R"(hoplock_sts_policy_total{action="failed"} 1)"));
  CHECK(has(said, R"(hoplock_tlsrpt_total{action="sent"} 1)"));
  CHECK(has(said, "hoplock_notices_dropped_total 1"));
  CHECK(has(said, "hoplock_tlsrpt_bounces_total 1"));
  CHECK(has(said, "hoplock_bodies_damaged_total 1"));
  CHECK(has(said, R"(hoplock_hops_refused_total{policy="dane",reason="tlsa-invalid",action="next-host"} 1)"));
  CHECK(has(said, R"(hoplock_log_events_total{level="error"} 2)"));
}

TEST_CASE("labels are words: anything else is counted as other, and combinations are bounded") {
  Counters counters;
  counters.add(deferred("no such thing\"} 7\nevil 1"), t0);
  counters.add(deferred(std::string(41, 'a')), t0);
  CHECK(has(text(counters),
            R"(hoplock_attempts_total{outcome="deferred",policy="sts",tls="none",auth="none",reason="other"} 2)"));
  for (int i = 0; i < 5000; ++i) counters.add(deferred("r" + std::to_string(i)), t0);
  const std::string said = text(counters);
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = said.find("\nhoplock_attempts_total{", at)) != std::string::npos; ++at) ++lines;
  CHECK(lines <= 2001);
  CHECK(said.find(
            R"(hoplock_attempts_total{outcome="other",policy="other",tls="other",auth="other",reason="other"} 3)") !=
        std::string::npos);
}

TEST_CASE("the last hour is the last hour") {
  Counters counters;
  counters.add(delivered(1), t0);
  counters.add(deferred("connect-timeout"), t0 + std::chrono::minutes(30));
  counters.add(deferred("connect-timeout"), t0 + std::chrono::minutes(31));
  auto hour = counters.last_hour(t0 + std::chrono::minutes(59));
  REQUIRE(hour.size() == 2);
  CHECK(hour[0].count == 2);
  CHECK(hour[0].reason == "connect-timeout");
  CHECK(hour[1].outcome == "delivered");
  CHECK(hour[1].auth == "dane-ee");
  hour = counters.last_hour(t0 + std::chrono::minutes(60));
  REQUIRE(hour.size() == 1);
  CHECK(hour[0].outcome == "deferred");
  CHECK(counters.last_hour(t0 + std::chrono::hours(24)).empty());
  counters.add(delivered(1), t0 + std::chrono::hours(24));  // in the place of a minute that is long over
  CHECK(counters.last_hour(t0 + std::chrono::hours(24)).size() == 1);
  CHECK(has(text(counters), "hoplock_delivery_delay_seconds_count 2"));
}

TEST_CASE("fetches of policies are judged by their last hour") {
  Counters counters;
  for (int i = 0; i < 3; ++i) counters.add(counted::StsPolicy{"failed"}, t0);
  counters.add(counted::StsPolicy{"unchanged"}, t0);
  counters.add(counted::StsPolicy{"expired"}, t0);
  CHECK(counters.fetches_last_hour(t0).failed == 3);
  CHECK(counters.fetches_last_hour(t0).good == 1);
  CHECK(counters.fetches_last_hour(t0 + std::chrono::hours(2)).failed == 0);
}

TEST_CASE("metrics come from what was counted: a line whose keys have other names changes none of them") {
  support::MemoryLog lines;
  boost::asio::io_context loop;
  monitor::CountingLog log(lines, loop.get_executor());
  log.write(Event(Level::warn, "deferred").add("policy", "sts").add("tls", "none").add("reason", "tlsa-invalid"));
  log.write(Event(Level::warn, "postponed").add("rule", "sts").add("encryption", "none").add("cause", "tlsa-invalid"));
  CHECK(lines.events().size() == 2);
  CHECK(text(log.counters()).find("hoplock_attempts_total{") == std::string::npos);
  CHECK(has(text(log.counters()), R"(hoplock_log_events_total{level="warn"} 2)"));
  log.count(deferred("tlsa-invalid"));
  CHECK(
      has(text(log.counters()),
          R"(hoplock_attempts_total{outcome="deferred",policy="sts",tls="none",auth="none",reason="tlsa-invalid"} 1)"));
  CHECK(lines.events().size() == 2);
}

}  // namespace monitor_counters_test
