// SPDX-License-Identifier: Apache-2.0
#include "delivery/settlement.h"

#include <doctest/doctest.h>

namespace delivery_settlement_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace std::chrono_literals;
using hop::Reason;

namespace {

const Time accepted = parse_rfc3339("2026-11-21T10:00:00.000Z").value();

store::Job job_to(std::vector<const char*> addresses) {
  store::Job job;
  job.id = store::Id::at(accepted);
  job.destination = "example.org";
  job.envelope.sender = "alice@example.net";
  job.received = accepted;
  for (const char* address : addresses) {
    store::Due due;
    due.seq = static_cast<std::uint32_t>(job.recipients.size());
    due.address = address;
    due.domain = dns::Name::parse("example.org").value();
    due.attempts = 4;
    job.recipients.push_back(std::move(due));
  }
  return job;
}

Attempt failed(Time at, Reason reason = Reason::tlsa_invalid) {
  Attempt made;
  made.id = store::Id::at(accepted);
  made.destination = "example.org";
  made.sender = "ann@example.net";
  made.received = accepted;
  made.ended = at;
  Hop hop;
  hop.mx = "mx1.example.org";
  hop.ip = Ip::parse("192.0.2.1").value();
  hop.refusal = hop::Refusal{reason, "why"};
  made.hops.push_back(std::move(hop));
  RecipientStatus status;
  status.due = job_to({"bob@example.org"}).recipients.front();
  made.recipients.push_back(std::move(status));
  return concluded(std::move(made));
}

}  // namespace

TEST_CASE("MX-11, DANE-07: an attempt that fails after the message's time ends it as expired, with the last 4.x.x") {
  Schedule schedule;
  schedule.expire = 24h;
  const auto early = settlement_of(failed(accepted + 24h - 1s), schedule);
  CHECK(early.settled.recipients.at(0).verdict == store::Verdict::deferred);
  const auto late = settlement_of(failed(accepted + 24h), schedule);
  CHECK(late.settled.recipients.at(0).verdict == store::Verdict::expired);
  CHECK(late.settled.recipients.at(0).status == "4.7.323");
  REQUIRE(late.events.size() == 1);
  CHECK(late.events[0].name() == "expired");
  CHECK(late.events[0].get("dsn") == "4.7.323");
  CHECK(late.events[0].get("next").empty());
}

TEST_CASE("while the destination is held its message comes due when the hold ends") {
  Schedule schedule;
  schedule.hold.emplace();
  schedule.hold->until = accepted + 1h;
  schedule.hold->interval = 40min;
  const auto settlement = settlement_of(failed(accepted + 1min), schedule);
  CHECK(settlement.settled.recipients.at(0).due == accepted + 1h);
  CHECK(settlement.settled.recipients.at(0).interval == 40min);
}

TEST_CASE("an internal error defers with 4.3.0, and expires in the end") {
  const auto job = job_to({"bob@example.org", "eve@example.org"});
  const auto early = internal_error(job, accepted + 1h, Schedule{});
  REQUIRE(early.settled.recipients.size() == 2);
  CHECK(early.settled.recipients[1].verdict == store::Verdict::deferred);
  CHECK(early.settled.recipients[1].status == "4.3.0");
  CHECK(early.settled.recipients[1].reply == "450 4.3.0 internal error");
  CHECK(early.settled.recipients[1].due > accepted + 1h);
  CHECK(early.events.at(1).get("to") == "eve@example.org");
  CHECK(internal_error(job, accepted + 24h * 6, Schedule{}).settled.recipients[0].verdict == store::Verdict::expired);
}

TEST_CASE("MX-12: no answer to the end of the message is temporary, and told of the host that it went to") {
  Attempt made = failed(accepted + 1min, Reason::connect_refused);
  Hop took;
  took.mx = "mx0.example.org";
  took.ip = Ip::parse("192.0.2.9").value();
  made.hops.insert(made.hops.begin(), took);
  RecipientStatus& unanswered = made.recipients.front();
  unanswered.hop = 0;
  unanswered.stop = StopReason{Reason::connection_lost, "no answer to the end of the message"};
  const auto result = settlement_of(concluded(made), Schedule{}).settled.recipients.at(0);
  CHECK(result.verdict == store::Verdict::deferred);
  CHECK(result.reply == "450 4.4.2 connection-lost: mx0.example.org[192.0.2.9]: no answer to the end of the message");
  CHECK(result.host == "mx0.example.org[192.0.2.9]");
}

TEST_CASE("a message whose stored content is damaged is deferred by a trouble of our own, without a reason word") {
  Attempt made = failed(accepted + 1min);
  made.hops.front().refusal.reset();
  made.recipients.front().hop = 0;
  made.recipients.front().stop = StopReason{std::nullopt, "the stored message cannot be read: checksum"};
  const auto result = settlement_of(concluded(made), Schedule{}).settled.recipients.at(0);
  CHECK(result.status == "4.3.0");
  CHECK(result.reason.empty());
  CHECK(result.reply == "450 4.3.0 the stored message cannot be read: checksum");
}

TEST_CASE("what waited behind a hold until its time was over ends with the destination's own failure") {
  store::Backoff hold;
  hold.status = "4.7.323";
  hold.reply = "450 4.7.323 tlsa-invalid: mx1.example.org[192.0.2.1]: no match";
  hold.reason = "tlsa-invalid";
  hold.host = "mx1.example.org[192.0.2.1]";
  hold.last = accepted + 24h * 5;
  const auto settlement = expired_on_hold(hold, job_to({"bob@example.org"}), Schedule{});
  CHECK(settlement.settled.recipients.at(0).verdict == store::Verdict::expired);
  CHECK(settlement.settled.recipients.at(0).status == "4.7.323");
  const Event& event = settlement.events.at(0);
  CHECK(event.name() == "expired");
  CHECK(event.get("attempt") == "4");
  CHECK(event.get("mx") == "mx1.example.org");
  CHECK(event.get("ip") == "192.0.2.1");
  CHECK(event.get("reason") == "tlsa-invalid");
  CHECK(event.get("dsn") == "4.7.323");
  CHECK(event.get("delay") == "432000");
}

TEST_CASE("a destination is down when no host answered for mail; not when one did, nor when the refusal is for good") {
  Attempt made = failed(accepted, Reason::connect_timeout);
  REQUIRE(destination_failure(made));
  CHECK(destination_failure(made)->reason == Reason::connect_timeout);
  CHECK(destination_failure(made)->host == "mx1.example.org[192.0.2.1]");
  made.reached = true;
  CHECK_FALSE(destination_failure(made));
  made.reached = false;
  made.hops.front().definite = true;
  CHECK_FALSE(destination_failure(concluded(made)));
}

TEST_CASE("a destination's hold grows with each failure in a row") {
  Holding holding;
  holding.random = 0.5;
  const DestinationFailure why{"4.4.1", "450 4.4.1 no", Reason::connect_timeout, "mx[192.0.2.1]"};
  const auto first = backoff_after(why, accepted, holding);
  CHECK(first.failures == 1);
  CHECK(first.until == accepted + 5min);
  holding.before = first;
  const auto second = backoff_after(why, accepted + 5min, holding);
  CHECK(second.failures == 2);
  CHECK(second.until == accepted + 15min);
  CHECK(second.reply == "450 4.4.1 no");
  holding.before = second;
  const auto weeks_later = backoff_after(why, accepted + 24h * 14, holding);
  CHECK(weeks_later.failures == 1);
  CHECK(weeks_later.until == accepted + 24h * 14 + 5min);
}

TEST_CASE("RPT-40: a report that its mailbox refuses makes no notice; the ledger is told") {
  Schedule schedule;
  schedule.dsn_options.emplace();
  schedule.expire = 24h;
  Attempt report = failed(accepted + 24h);
  report.envelope.kind = store::Kind::report;
  const auto settlement = settlement_of(report, schedule);
  CHECK(settlement.notices.empty());
  REQUIRE(settlement.events.size() == 1);
  CHECK(settlement.events[0].name() == "expired");
  REQUIRE(settlement.returned.size() == 1);
  CHECK(settlement.returned[0].rua == "mailto:bob@example.org");
  CHECK(settlement.returned[0].id == report.id);
  CHECK_FALSE(settlement.returned[0].why.empty());
  Attempt early = failed(accepted + 1h);
  early.envelope.kind = store::Kind::report;
  CHECK(settlement_of(early, schedule).returned.empty());  // it is tried again
}

}  // namespace delivery_settlement_test
