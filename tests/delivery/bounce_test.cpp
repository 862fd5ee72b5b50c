// SPDX-License-Identifier: Apache-2.0
// `hoplock queue bounce` where it meets delivery: what is under way, two operators at once, a store that fails.
#include "delivery/settlement.h"
#include "tests/delivery/relay.h"

namespace delivery_bounce_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

store::Selection everything() {
  store::Selection selection;
  selection.by = store::Selection::By::all;
  selection.by_whom = "root";
  return selection;
}

store::Selection domain(const std::string& text) {
  store::Selection selection;
  selection.by = store::Selection::By::domain;
  selection.domain = name(text);
  selection.by_whom = "root";
  return selection;
}

// A relay that tells senders; its sender's domain takes the notices.
struct TellingRelay : Relay {
  explicit TellingRelay(const char* sender_domain = "example.net") {
    options.postmaster = "postmaster@relay.example.net";
    domain(sender_domain, "127.0.0.9");
  }
  // Nothing of what is here is under way, nor will be.
  void hold_all() {
    loop.run(queue->act(store::Action::hold, everything(), wall())).value();
    loop.io().restart();
    REQUIRE(until([this] { return queue->active().empty(); }));
  }
  store::Affected bounce(store::Selection selection) {
    auto affected = loop.run(scheduler->bounce(std::move(selection), {}));
    loop.io().restart();
    return affected.value();
  }
  // Notices in the queue.
  std::size_t notices() {
    const auto all = list();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [](const store::MessageView& one) { return one.envelope.sender.empty(); }));
  }
};

}  // namespace

TEST_CASE(
    "bounced_by_operator: every recipient ends with 5.0.0 and no reason word, in plain words, with what was said "
    "before") {
  store::Job job;
  job.id = store::Id::at(wall());
  job.envelope.sender = "alice@example.net";
  job.received = wall() - 90s;
  store::Due due;
  due.address = "bob@a.example";
  due.domain = name("a.example");
  due.attempts = 2;
  due.reply = "450 4.7.323 tlsa-invalid: mx.a.example: no TLSA record matches";
  job.recipients.push_back(due);
  Schedule schedule;
  schedule.dsn_options.emplace();
  schedule.dsn_options->hostname = "relay.example.net";
  const Settlement settlement = bounced_by_operator("carol", job, wall(), schedule);
  REQUIRE(settlement.settled.recipients.size() == 1);
  const auto& result = settlement.settled.recipients[0];
  CHECK(result.verdict == store::Verdict::bounced);
  CHECK(result.status == "5.0.0");
  CHECK(result.reason.empty());
  CHECK(result.reply.find("bounced by the administrator") != std::string::npos);
  CHECK(result.reply.find("tlsa-invalid") != std::string::npos);
  REQUIRE(settlement.events.size() == 1);
  CHECK(settlement.events[0].name() == "bounced");
  CHECK(settlement.events[0].get("by") == "carol");
  CHECK(settlement.events[0].get("delay") == "90");
  CHECK(settlement.notices.size() == 1);
  CHECK(settlement.settled.history_entry.find("\"by\":\"carol\"") != std::string::npos);
  job.recipients[0].notify = smtp::notify_never;
  CHECK(bounced_by_operator("carol", job, wall(), schedule).notices.empty());  // DSN-08
  job.envelope.sender.clear();
  CHECK(bounced_by_operator("carol", job, wall(), schedule).notices.empty());  // DSN-16
}

TEST_CASE("bounce: waiting and held mail ends with one notice a message, and the log says by whom") {
  TellingRelay relay;
  relay.domain("a.example", "127.0.0.4");
  relay.domain("b.example", "127.0.0.4");
  const auto two = relay.put({"bob@a.example", "eve@b.example", "eva@b.example"});
  relay.put({"bob@a.example"});
  relay.hold_all();
  relay.start();
  const auto part = relay.bounce(domain("b.example"));
  CHECK(part.messages == 1);
  CHECK(part.recipients == 2);
  CHECK(part.active == 0);
  CHECK(relay.notices() == 1);
  CHECK(relay.list().size() == 3);  // a recipient of the first still lives
  CHECK(relay.bounce(domain("b.example")).messages == 0);
  CHECK(relay.bounce(domain("none.example")).messages == 0);
  relay.hold_all();
  CHECK(relay.bounce(everything()).messages == 3);  // the notice, which is dropped, among them
  CHECK(relay.notices() == 2);
  const auto events = relay.log.events("bounced");
  REQUIRE(events.size() == 5);
  CHECK(events[0].get("id") == two.text());
  for (const auto& event : events) CHECK(event.get("by") == "root");
}

TEST_CASE("bounce: a message under delivery is left alone, never both delivered and bounced") {
  TellingRelay relay;
  Sink& sink = relay.sink();
  sink.delay = 300ms;
  relay.domain("a.example");
  relay.put({"bob@a.example"});
  relay.start();
  REQUIRE(relay.until([&] { return !relay.queue->active().empty(); }));
  const auto affected = relay.bounce(everything());
  CHECK(affected.messages == 0);
  CHECK(affected.active == 1);
  REQUIRE(relay.until([&] { return sink.messages == 1; }));
  REQUIRE(relay.until([&] { return relay.list().empty(); }));
  CHECK(relay.log.events("bounced").empty());
}

TEST_CASE("bounce: while mail is being delivered each recipient ends in one way, once") {
  TellingRelay relay;
  Sink& sink = relay.sink();
  sink.delay = 1ms;
  relay.domain("a.example");
  relay.options.sessions_per_domain = 4;
  relay.put_many(3000, "a.example");
  relay.start();
  REQUIRE(relay.until([&] { return sink.messages >= 200; }));
  const auto affected = relay.bounce(domain("a.example"));
  REQUIRE(relay.until([&] { return sink.messages + affected.messages == 3000; }));
  REQUIRE(relay.until([&] { return relay.notices() == relay.list().size(); }));
  CHECK(affected.messages > 500);
  CHECK(sink.twice() == 0);
  std::map<std::string, int> ends = sink.recipients;
  for (const auto& event : relay.log.events("bounced")) ++ends[std::string(event.get("to"))];
  CHECK(ends.size() == 3000);
  for (const auto& [address, times] : ends) CHECK_MESSAGE(times == 1, address);
  CHECK(relay.notices() == affected.messages);
}

TEST_CASE("bounce: two operators at once bounce nothing twice") {
  TellingRelay relay;
  relay.domain("a.example", "127.0.0.4");
  relay.put_many(1000, "a.example");
  relay.hold_all();
  relay.start();
  std::vector<store::Affected> affected;
  net::TaskGroup operators(relay.loop.executor(), relay.log);
  const auto bounce = [](Scheduler& scheduler, std::vector<store::Affected>& into) -> asio::awaitable<void> {
    auto done = co_await scheduler.bounce(domain("a.example"), {});
    into.push_back(std::move(done.value()));
  };
  operators.spawn("one", bounce(*relay.scheduler, affected));
  operators.spawn("two", bounce(*relay.scheduler, affected));
  REQUIRE(relay.until([&] { return affected.size() == 2; }));
  CHECK(affected[0].messages + affected[1].messages == 1000);
  CHECK(relay.log.events("bounced").size() == 1000);
  CHECK(relay.notices() == 1000);
}

TEST_CASE("bounce: the notices that it makes are not bounced themselves, though they go to the same domain") {
  TellingRelay relay("a.example");
  relay.domain("example.net", "127.0.0.9");
  relay.put_many(200, "example.net");  // where the sender is, too
  relay.hold_all();
  relay.start();
  CHECK(relay.bounce(domain("example.net")).messages == 200);
  CHECK(relay.notices() == 200);
  CHECK(relay.log.events("notice-dropped").empty());
}

}  // namespace delivery_bounce_test
