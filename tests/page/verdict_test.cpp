// SPDX-License-Identifier: Apache-2.0
#include "page/verdict.h"

#include <doctest/doctest.h>

namespace page_verdict_test {

using namespace hoplock;
using page::Mood;

namespace {

const Time t0 = from_millis(1'790'000'000'000);  // 2026-09-21T14:13:20Z

struct Scene {
  monitor::DaemonStatus status;
  monitor::Survey survey;
  std::vector<monitor::Problem> problems;
  std::vector<monitor::Counters::Attempts> last_hour;
  std::optional<Milliseconds> usual;
  Scene() {
    status.now = t0;
    survey.taken = t0;
  }
  page::Verdict verdict() const { return page::verdict_of({status, &survey, problems, last_hour, {}, usual}); }
};

store::Wait behind(const std::string& nexthop, std::uint64_t recipients) {
  store::DomainWait domain;
  domain.domain = "contoso.com";
  domain.count = {recipients, t0 - std::chrono::hours(1)};
  domain.reason = "connect-refused";
  domain.reply = "450 4.4.1 connect-refused: exch01.contoso.local[192.0.2.9]";
  domain.since = t0 - std::chrono::minutes(11);
  store::Wait wait;
  wait.nexthop = nexthop;
  wait.reason = domain.reason;
  wait.count = domain.count;
  wait.extent = store::Wait::Extent::whole;
  wait.domains = 1;
  wait.shown = {domain};
  return wait;
}

}  // namespace

TEST_CASE("verdict: mail flows when nothing of ours wants a hand, whatever other people's servers do") {
  Scene scene;
  scene.survey.waits = {behind("partner.example", 500)};
  scene.survey.queue.states = {{"deferred", {500, t0}}};
  const auto verdict = scene.verdict();
  CHECK(verdict.mood == Mood::good);
  CHECK(verdict.sentence == "Mail flows");
  CHECK(verdict.remarks.empty());
}

TEST_CASE(
    "verdict: a next hop of our own that refuses everything is the first sentence, with how much waits and since "
    "when") {
  Scene scene;
  scene.survey.waits = {behind("route:exch01.contoso.local:25", 102'048)};
  scene.survey.queue.messages = 102'048;
  scene.survey.queue.states = {{"queued", {102'048, t0}}};
  const auto verdict = scene.verdict();
  CHECK(verdict.mood == Mood::bad);
  CHECK(verdict.sentence == "102,048 messages wait behind exch01.contoso.local:25, refused since 14:02 UTC");
  REQUIRE(verdict.remarks.size() == 1);
  CHECK(verdict.remarks[0].command == "hoplock check contoso.com");
  CHECK(verdict.remarks[0].text ==
        "450 4.4.1 connect-refused: exch01.contoso.local[192.0.2.9]. Once it takes mail again: hoplock queue retry "
        "--domain contoso.com");
}

TEST_CASE("verdict: recipients are called messages only where each message has one") {
  Scene scene;
  scene.survey.waits = {behind("route:exch01.contoso.local:25", 10)};
  scene.survey.queue.messages = 4;
  scene.survey.queue.states = {{"queued", {10, t0}}};
  CHECK(scene.verdict().sentence.starts_with("Mail for 10 recipients waits behind exch01"));
  scene.survey.waits = {behind("route:exch01.contoso.local:25#2", 1)};
  scene.survey.queue.messages = 1;
  scene.survey.queue.states = {{"queued", {1, t0}}};
  CHECK(scene.verdict().sentence.starts_with("1 message waits behind exch01.contoso.local:25, "));
  scene.survey.waits = {behind("route:exch01.contoso.local:25#2+verify", 1)};
  CHECK(scene.verdict().sentence.starts_with("1 message waits behind exch01.contoso.local:25, "));
}

TEST_CASE("verdict: what fails for some mail of a next hop of our own is no standstill of it") {
  Scene scene;
  auto wait = behind("route:exch01.contoso.local:25", 3);
  wait.extent = store::Wait::Extent::part;
  scene.survey.waits = {wait};
  CHECK(scene.verdict().mood == Mood::good);
}

TEST_CASE("verdict: the gravest problem comes first, each with the command that mends it") {
  Scene scene;
  scene.problems = {{"log", "the disk is full"},
                    {"dnssec", "our own DNSSEC validation does not work: . SOA; mail routed by MX waits"}};
  const auto verdict = scene.verdict();
  CHECK(verdict.sentence == "Our own DNSSEC validation does not work");
  REQUIRE(verdict.remarks.size() == 2);
  CHECK(verdict.remarks[0].text == "Our own DNSSEC validation does not work: . SOA; mail routed by MX waits");
  CHECK(verdict.remarks[1].text == "The disk is full");
  CHECK(verdict.remarks[0].problem == "dnssec");    // as /healthz and the metrics have it
  for (const auto name : monitor::problem_names) {  // every problem has words and a command
    CAPTURE(name);
    scene.problems = {{name, "details"}};
    CHECK(scene.verdict().sentence != "Details");
    CHECK(scene.verdict().mood == Mood::bad);
    CHECK_FALSE(scene.verdict().remarks.at(0).command.empty());
  }
}

TEST_CASE("verdict: a certificate near its end is no green, one that was replaced is") {
  Scene scene;
  monitor::DaemonStatus::Certificate one;
  one.use = "listener";
  one.subject = "relay.example.net";
  one.expires = t0 + std::chrono::days(9);
  scene.status.certificates = {one};
  const auto verdict = scene.verdict();
  CHECK(verdict.mood == Mood::attention);
  CHECK(verdict.sentence == "Mail flows, but the certificate relay.example.net (listener) ends in 9 d");
  scene.status.certificates[0].replaced = true;
  CHECK(scene.verdict().mood == Mood::good);
  scene.status.certificates[0].replaced = false;
  scene.status.certificates[0].expires = t0 + std::chrono::days(31);
  CHECK(scene.verdict().mood == Mood::good);
}

TEST_CASE("verdict: a failed report is told, with the command that sends it again") {
  Scene scene;
  scene.survey.reports.states = {{store::ReportState::sent, 7}, {store::ReportState::failed, 2}};
  const auto verdict = scene.verdict();
  CHECK(verdict.mood == Mood::attention);
  CHECK(verdict.sentence == "Mail flows, but 2 TLS reports of yesterday could not be sent");
  CHECK(verdict.remarks.at(0).command == "hoplock tlsrpt send --day 2026-09-20");
}

TEST_CASE("verdict: a queue much older than its usual is told, a young one never") {
  Scene scene;
  scene.usual = std::chrono::minutes(10);
  scene.survey.queue.oldest = t0 - std::chrono::minutes(50);
  CHECK(scene.verdict().mood == Mood::good);
  scene.survey.queue.oldest = t0 - std::chrono::hours(2);
  CHECK(scene.verdict().sentence == "Mail flows, but the oldest message has waited for 2 h, mostly below 10 min");
  scene.usual = std::chrono::hours(1);
  CHECK(scene.verdict().mood == Mood::good);
  scene.usual.reset();
  CHECK(scene.verdict().mood == Mood::good);
}

TEST_CASE("verdict: when nothing was delivered for an hour it does not say that mail flows") {
  Scene scene;
  monitor::Counters::Attempts failed;
  failed.outcome = "deferred";
  failed.count = 40;
  scene.last_hour = {failed};
  CHECK(scene.verdict().mood == Mood::attention);
  CHECK(scene.verdict().sentence == "Nothing was delivered in the last hour: 40 attempts failed");
  monitor::Counters::Attempts good;
  good.outcome = "delivered";
  good.count = 1;
  scene.last_hour.push_back(good);
  CHECK(scene.verdict().sentence == "Mail flows");
}

TEST_CASE("verdict: much mail behind one host is told whosever it is, and mail that does not flow is not said to") {
  Scene scene;
  scene.survey.waits = {behind("partner.example", 102'048)};
  scene.survey.queue.messages = 102'048;
  scene.survey.queue.states = {{"deferred", {102'048, t0}}};
  CHECK(scene.verdict().mood == Mood::attention);
  CHECK(scene.verdict().sentence == "102,048 messages wait behind partner.example, refused since 14:02 UTC");
  monitor::Counters::Attempts good;
  good.outcome = "delivered";
  good.count = 1;
  scene.last_hour = {good};
  CHECK(scene.verdict().sentence ==
        "Mail flows, but 102,048 messages wait behind partner.example, refused since 14:02 UTC");
  CHECK(scene.verdict().remarks.at(0).command == "hoplock check contoso.com");
  scene.survey.queue.messages = 4;
  CHECK(scene.verdict().sentence.starts_with("Mail flows, but mail for 102,048 recipients waits behind partner"));
  scene.survey.waits[0].reason = scene.survey.waits[0].shown[0].reason = "";  // waits for its turn
  CHECK(scene.verdict().sentence == "Mail flows");
}

TEST_CASE("verdict: a next hop of our own that puts much off is told, though it takes some") {
  Scene scene;
  auto wait = behind("route:exch01.contoso.local:25", 12);
  wait.extent = store::Wait::Extent::part;
  wait.reason = wait.shown[0].reason = "smtp-reply";
  wait.shown[0].reply = "452 4.3.1 Insufficient system resources";
  scene.survey.waits = {wait};
  CHECK(scene.verdict().mood == Mood::attention);
  CHECK(scene.verdict().sentence == "12 messages wait behind exch01.contoso.local:25, put off since 14:02 UTC");
  CHECK(scene.verdict().remarks.at(0).text == "452 4.3.1 Insufficient system resources");
}

TEST_CASE("verdict: what holds a next hop up is called what it is, and all of its domains are tried again") {
  Scene scene;
  scene.survey.waits = {behind("route:exch01.contoso.local:25", 12)};
  scene.survey.waits[0].reason = "certificate-host-mismatch";
  scene.survey.waits[0].domains = 3;
  CHECK(scene.verdict().sentence.find(", held up by certificate-host-mismatch since 14:02 UTC") != std::string::npos);
  CHECK(scene.verdict().remarks.at(0).text.ends_with("Once it takes mail again: hoplock queue retry --all"));
  scene.survey.waits[0].reason = "connect-timeout";
  CHECK(scene.verdict().sentence.find(", silent since ") != std::string::npos);
}

TEST_CASE("verdict: of an old look it does not say that mail flows") {
  Scene scene;
  scene.survey.taken = t0 - std::chrono::minutes(20);
  CHECK(scene.verdict().mood == Mood::attention);
  CHECK(scene.verdict().sentence == "The queue was last read 20 min ago");
  scene.survey.took = std::chrono::minutes(1);  // a large queue is read seldom
  CHECK(scene.verdict().sentence == "Mail flows");
}

TEST_CASE("verdict: before anything is known of the queue it claims nothing") {
  const Scene scene;
  const auto verdict = page::verdict_of({scene.status, nullptr, {}, {}, {}, {}});
  CHECK(verdict.mood == Mood::attention);
  CHECK(verdict.sentence == "The queue is being read");
}

TEST_CASE("verdict: where the database could not be read nobody knows whether mail flows") {
  Scene scene;
  scene.survey.error = scene.survey.unread.reports = "file is not a database";
  for (const bool told : {false, true}) {  // by the health of the daemon, too
    CAPTURE(told);
    if (told) scene.problems = {{"survey", "the ledger of TLS reports cannot be read: file is not a database"}};
    const auto verdict = scene.verdict();
    CHECK(verdict.mood == Mood::bad);
    CHECK(verdict.sentence == "Not all of the database can be read");
    REQUIRE(verdict.remarks.size() == 1);
    CHECK(verdict.remarks[0].text.find("file is not a database") != std::string::npos);
    CHECK(verdict.remarks[0].problem == "survey");
  }
}

}  // namespace page_verdict_test
