// SPDX-License-Identifier: Apache-2.0
#include "control/counters.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

namespace control_counters_test {

using namespace hoplock;
using control::Counters;
using control::Exposition;

namespace {

const control::SteadyTime t0{std::chrono::hours(1000)};

Event delivered(std::int64_t delay) {
  Event event(Level::info, "delivered");
  event.add("id", "0K7Q2M9X4T").add("to", "someone@secret.example").add("domain", "secret.example");
  event.add("policy", "dane").add("tls", "TLSv1.3").add("auth", "dane-ee").add("delay", delay);
  return event;
}

Event deferred(std::string reason) {
  Event event(Level::warn, "deferred");
  event.add("policy", "sts").add("tls", "none").add("auth", "none").add("reason", std::move(reason));
  return event;
}

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
  CHECK(said.find("secret.example") == std::string::npos);
  CHECK(said.find("0K7Q2M9X4T") == std::string::npos);
}

TEST_CASE("MX-27: cuts and growth of session limits are counted apart, and holds for reputation") {
  Counters counters;
  const auto throttled = [](std::int64_t sessions, std::int64_t was) {
    return Event(Level::info, "throttled").add("sessions", sessions).add("was", was);
  };
  counters.add(throttled(7, 20), t0);
  counters.add(throttled(8, 7), t0);
  counters.add(throttled(9, 8), t0);
  counters.add(Event(Level::error, "reputation-hold"), t0);
  const std::string said = text(counters);
  CHECK(has(said, "hoplock_session_limits_cut_total 1"));
  CHECK(has(said, "hoplock_session_limits_grown_total 2"));
  CHECK(has(said, "hoplock_reputation_holds_total 1"));
}

TEST_CASE("what came in is counted by messages, recipients, octets, and refusals by code") {
  Counters counters;
  Event accepted(Level::info, "accepted");
  accepted.add("nrcpt", std::int64_t{3}).add("size", std::int64_t{1000}).add("tls", "TLSv1.2");
  counters.add(accepted, t0);
  counters.add(accepted, t0);
  counters.add(Event(Level::info, "rejected").add("code", std::int64_t{550}).add("reply", "550 5.7.1 no"), t0);
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
  counters.add(Event(Level::warn, "sts-policy").add("action", "failed"), t0);
  counters.add(Event(Level::info, "tlsrpt").add("action", "sent"), t0);
  counters.add(Event(Level::error, "notice-dropped"), t0);
  counters.add(Event(Level::error, "body-damaged"), t0);
  counters.add(Event(Level::info, "tlsrpt-bounce"), t0);
  counters.add(Event(Level::warn, "hop").add("policy", "dane").add("reason", "tlsa-invalid").add("action", "next-host"),
               t0);
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
  for (int i = 0; i < 3; ++i) counters.add(Event(Level::warn, "sts-policy").add("action", "failed"), t0);
  counters.add(Event(Level::info, "sts-policy").add("action", "unchanged"), t0);
  counters.add(Event(Level::info, "sts-policy").add("action", "expired"), t0);
  CHECK(counters.fetches_last_hour(t0).failed == 3);
  CHECK(counters.fetches_last_hour(t0).good == 1);
  CHECK(counters.fetches_last_hour(t0 + std::chrono::hours(2)).failed == 0);
}

}  // namespace control_counters_test
