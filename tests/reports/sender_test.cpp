// SPDX-License-Identifier: Apache-2.0
#include "reports/sender.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/reports/sending.h"
#include "tests/support/report_reader.h"

namespace reports_sender_test {

using namespace hoplock;
using namespace hoplock::reports;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;
using namespace hoplock::reports::testing;
using Lines = std::vector<std::string>;

namespace {
const Time morning = at("2025-03-02T04:30:00Z");  // everything of the day before is due
const Posted broken{Posted::What::refused, "it answers with status 503", {}};
const Posted mute{Posted::What::silent, "no connection", {}};
}  // namespace

TEST_CASE("RPT-32: 1000 domains get times of their own over four hours, none before 00:30 UTC, fixed once") {
  Sending world;
  for (int i = 0; i < 1000; ++i) world.sessions("d" + std::to_string(i) + ".test", "");
  world.round(at("2025-03-02T00:00:01Z"));
  const auto times = [&world] {
    std::vector<Time> all;
    ReportSelection everything;
    everything.limit = 2000;
    for (const ReportAccount& one : world.read([everything](disk::Tx& tx) { return list_accounts(tx, everything); })) {
      CHECK(one.state == ReportState::due);
      all.push_back(one.due.value());
    }
    return all;
  };
  const auto planned = times();
  REQUIRE(planned.size() == 1000);
  std::set<std::int64_t> quarters;
  for (const Time one : planned) {
    CHECK(one >= at("2025-03-02T00:30:00Z"));
    CHECK(one < at("2025-03-02T04:30:00Z"));
    quarters.insert((one - at("2025-03-02T00:30:00Z")) / 15min);
  }
  CHECK(quarters.size() == 16);
  world.restart();
  world.round(at("2025-03-02T00:10:00Z"));
  CHECK(times() == planned);
}

TEST_CASE("RPT-31: a day is reported when it is over, also when all went well; what was not counted is not reported") {
  Sending world;
  world.sessions("a.test", "https://a.test/", 5);
  world.ask("quiet.test", "https://quiet.test/");
  world.round(at("2025-03-01T23:59:59Z"));
  CHECK(world.state("a.test") == "collecting");
  CHECK(world.post.posts.empty());
  world.round(morning);
  CHECK(world.state("a.test") == "sent");
  REQUIRE(world.post.posts.size() == 1);
  const auto json = tlsrpt::gunzip(world.post.posts[0].second, 1 << 20).value();
  const auto report = tlsrpt::parse_report(json).value();
  REQUIRE(report.policies.size() == 1);
  CHECK(report.policies[0].successes == 5);
  CHECK(report.policies[0].failures == 0);
  CHECK(report.contact == "tls@relay.test");
  CHECK(world.lines() == Lines{"sent a.test https://a.test/"});
  world.round(morning + 24h);
  CHECK(world.post.posts.size() == 1);
}

TEST_CASE("RPT-06: the record as it stands when the report is sent says who gets it; without one nobody does") {
  Sending world;
  world.sessions("moved.test", "https://old.test/");
  world.sessions("gone.test", "https://gone.test/");
  world.sessions("broken.test", "https://broken.test/");
  world.ask("moved.test", "https://new.test/");
  world.dns.remove("_smtp._tls.gone.test TXT");
  world.dns.add("_smtp._tls.broken.test TXT v=TLSRPTv1; rua=https://twice.test/");
  world.round(morning);
  CHECK(world.post.count("https://new.test/") == 1);
  CHECK(world.post.posts.size() == 1);
  CHECK(world.state("gone.test") == "skipped");
  CHECK(world.state("broken.test") == "skipped");
  CHECK(world.lines("skipped").size() == 2);
}

TEST_CASE("RPT-06: a record that cannot be looked up is looked up again, for 24 hours") {
  Sending world;
  world.sessions("a.test", "https://a.test/");
  world.dns.fail["_smtp._tls.a.test TXT"] = "SERVFAIL";
  world.round(morning);
  CHECK(world.state("a.test") == "due");
  world.dns.fail.clear();
  world.round(morning + 5min);
  CHECK(world.state("a.test") == "sent");
}

TEST_CASE("RPT-43: all destinations are told; what one did not take goes to that one again, with growing pauses") {
  Sending world;
  world.sessions("a.test", "mailto:r@a.test,https://good.test/,https://bad.test/");
  world.post.answers["https://bad.test/"] = broken;
  Time now = morning;
  std::vector<Milliseconds> pauses;
  for (int i = 0; i < 4; ++i) {
    world.round(now);
    const auto due = world.account("a.test").due;
    REQUIRE(due);
    pauses.push_back(*due - now);
    now = *due;
  }
  CHECK(pauses == std::vector<Milliseconds>{5min, 10min, 20min, 40min});
  CHECK(world.post.count("https://good.test/") == 1);
  CHECK(world.post.count("https://bad.test/") == 4);
  CHECK(world.mails().size() == 1);
  std::set<std::string> octets;
  for (const auto& [uri, gzip] : world.post.posts) octets.insert(gzip);
  CHECK(octets.size() == 1);  // the same report each time
  world.post.answers.clear();
  world.round(now);
  CHECK(world.state("a.test") == "sent");
  CHECK(world.post.count("https://good.test/") == 1);
}

TEST_CASE(
    "RPT-43: nobody took it for 24 hours: dropped and told, the last attempt within them, nobody else is written to") {
  Sending world;
  world.sessions("a.test", "https://bad.test/");
  world.post.answers["https://bad.test/"] = broken;
  std::vector<Time> attempts;
  for (Time now = morning; world.state("a.test") != "failed" && attempts.size() < 50;) {
    const auto before = world.post.posts.size();
    world.round(now);
    if (world.post.posts.size() > before) attempts.push_back(now);
    now = world.account("a.test").due.value_or(now);
  }
  CHECK(attempts.size() > 6);
  CHECK(attempts.back() - attempts.front() <= 24h);
  CHECK(attempts.back() - attempts.front() > 20h);
  CHECK(world.state("a.test") == "failed");
  CHECK(world.lines("failed").back() == "failed a.test ");
  CHECK(world.mails().empty());
}

TEST_CASE("RPT-37: without a key for the submitter's domain no report goes by mail; the others go") {
  Sending world;
  world.sender->set(world.options, nullptr);
  world.sessions("mail.test", "mailto:r@mail.test");
  world.sessions("both.test", "mailto:r@both.test,https://both.test/");
  world.round(morning);
  CHECK(world.mails().empty());
  CHECK(world.state("mail.test") == "failed");
  CHECK(world.account("mail.test").error.find("no DKIM key for relay.test") != std::string::npos);
  CHECK(world.state("both.test") == "sent");
}

TEST_CASE("RPT-38, RPT-39, RPT-40: a mailed report is of its own kind, not from nobody, and asks for no notices") {
  Sending world;
  world.sessions("a.test", "mailto:r@b.test");
  world.round(morning);
  auto mails = world.mails();
  REQUIRE(mails.size() == 1);
  const auto jobs = world.loop.run(world.queue->lease("b.test", morning, {})).value();
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].envelope.kind == store::Kind::report);
  CHECK(jobs[0].envelope.sender == "tlsrpt@relay.test");
  CHECK(jobs[0].envelope.tls_required_no);
  REQUIRE(jobs[0].recipients.size() == 1);
  CHECK(jobs[0].recipients[0].address == "r@b.test");
  CHECK(jobs[0].recipients[0].notify == 1);
  CHECK(jobs[0].body.starts_with("From: <tlsrpt@relay.test>\r\n"));
  CHECK(jobs[0].body.find("\r\nTLS-Report-Domain: a.test\r\n") != std::string::npos);
  CHECK(world.state("a.test") == "sent");
  CHECK(world.lines() == Lines{"queued a.test mailto:r@b.test"});
}

TEST_CASE("RPT-44: ten thousand domains that name one mailbox flood nobody: the cap holds, and is told") {
  Sending world;
  world.options.quota.reports_per_mailbox = 20;
  world.sender->set(world.options, Sending::keyring());
  for (int i = 0; i < 100; ++i) world.sessions("d" + std::to_string(i) + ".test", "mailto:victim@b.test");
  world.sessions("other.test", "mailto:other@b.test");
  world.round(morning);
  CHECK(world.mails().size() == 21);
  CHECK(world.state("other.test") == "sent");
  CHECK(world.lines("skipped").size() == 80);
}

TEST_CASE("RPT-43: a URI that cannot be used spoils only itself") {
  Sending world;
  world.sessions("a.test", "ftp://a.test/,mailto:x@y@z,https://a.test/");
  world.round(morning);
  CHECK(world.state("a.test") == "sent");
  CHECK(world.post.posts.size() == 1);
  CHECK(world.lines("skipped").size() == 2);
}

TEST_CASE("endpoints that hang keep few places, and their host is left alone for a while; other reports go") {
  Sending world;
  world.options.at_once = 8;
  world.sender->set(world.options, Sending::keyring());
  world.post.delay = 20ms;
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    world.sessions("h" + n + ".test", "https://hangs.test/" + n);
    world.post.answers["https://hangs.test/" + n] = mute;
    world.sessions("g" + n + ".test", "https://g" + n + ".test/");
  }
  world.round(morning);
  std::size_t tried = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    CHECK(world.state("g" + n + ".test") == "sent");
    CHECK(world.state("h" + n + ".test") == "built");
    tried += world.post.count("https://hangs.test/" + n);
  }
  CHECK(tried <= 4);
  CHECK(world.post.most_inside <= 8);
}

TEST_CASE(
    "RPT-30: what is sent is what was built first, whatever was counted or configured since, also after a restart") {
  Sending world;
  world.sessions("a.test", "https://bad.test/");
  world.post.answers["https://bad.test/"] = broken;
  world.round(morning);
  world.sessions("a.test", "", 3);
  world.options.submitter.organization = "Another";
  world.restart();
  world.round(morning + 1h);
  REQUIRE(world.post.posts.size() == 2);
  CHECK(world.post.posts[0].second == world.post.posts[1].second);
}

TEST_CASE(
    "send_now: today's report at once, one that was given up anew, one that is sent not again; nothing where reports "
    "are "
    "off") {
  Sending world;
  world.sessions("today.test", "https://today.test/", 1, "2025-03-02");
  world.sessions("sent.test", "https://sent.test/");
  world.sessions("gone.test", "");
  world.round(morning);
  CHECK(world.state("gone.test") == "skipped");
  const auto send_now = [&world](const char* day) {
    ReportSelection which;
    which.day = day_at(day);
    const auto done = world.loop.run(world.sender->send_now(which, morning)).value();
    return std::to_string(done.found) + " " + std::to_string(done.sending);
  };
  CHECK(send_now("2025-03-02") == "1 1");
  CHECK(send_now("2025-03-01") == "2 1");
  CHECK(send_now("2025-02-01") == "0 0");
  world.ask("gone.test", "https://gone.test/");
  world.round(morning);
  CHECK(world.state("today.test", "2025-03-02") == "sent");
  CHECK(world.state("gone.test") == "sent");
  CHECK(world.post.count("https://sent.test/") == 1);
  world.sender->set(std::nullopt, nullptr);
  CHECK_FALSE(world.loop.run(world.sender->send_now({}, morning)).has_value());
}

TEST_CASE("RPT-30: the log calls nothing sent whose mark is not stored: killed at that line, it is not sent again") {
  Sending world;
  world.sessions("a.test", "https://a.test/,https://bad.test/");
  world.post.answers["https://bad.test/"] = broken;
  std::size_t marked = 0;
  world.log.heard = [&](const Event& event) {
    if (event.get("action") != "sent") return;
    auto db =
        disk::Database::open(std::filesystem::path(world.directory) / "queue.db", disk::Access::read_only).value();
    disk::Tx tx(db);
    for (const ReportDestination& one : report_destinations(tx, ReportKey{day_at("2025-03-01"), name("a.test")})) {
      if (one.rua == "https://a.test/" && one.state == ReportDestination::State::accepted) ++marked;
    }
  };
  world.round(morning);
  CHECK(marked == 1);
}

TEST_CASE("RPT-45: days beyond `keep` are forgotten, but what is still to be sent is sent first, however late") {
  Sending world;
  world.options.keep = std::chrono::days{0};
  world.sender->set(world.options, Sending::keyring());
  world.sessions("old.test", "https://old.test/", 1, "2025-01-30");
  world.sessions("late.test", "https://late.test/");
  world.post.answers["https://late.test/"] = broken;
  world.round(morning);
  const auto known = [&world](const char* domain, const char* day) {
    return world.read([key = ReportKey{day_at(day), name(domain)}](disk::Tx& tx) { return find_account(tx, key); })
        .has_value();
  };
  CHECK(world.post.count("https://old.test/") == 1);
  world.round(at("2025-03-03T00:00:00Z"));
  CHECK_FALSE(known("old.test", "2025-01-30"));
  CHECK(known("late.test", "2025-03-01"));  // its 24 hours are not over
  world.post.answers.clear();
  world.round(morning + 24h);
  CHECK(world.state("late.test") == "sent");
  world.round(at("2025-03-04T00:00:00Z"));
  CHECK_FALSE(known("late.test", "2025-03-01"));
}

TEST_CASE("RPT-45: where reports are switched off, nothing is kept longer either") {
  Sending world;
  world.sender->set(std::nullopt, nullptr);
  world.sessions("old.test", "", 1, "2025-01-30");
  world.sessions("kept.test", "", 1, "2025-01-31");
  world.round(morning);
  CHECK(world.read([](disk::Tx& tx) { return list_accounts(tx, ReportSelection{}).size(); }) == 1);
}

TEST_CASE("RPT-43: the 24 hours for trying begin with the first attempt, not while the daemon is down") {
  Sending world;
  world.sessions("a.test", "https://bad.test/");
  world.round(at("2025-03-02T00:10:00Z"));  // planned, not yet due
  REQUIRE(world.state("a.test") == "due");
  world.restart();
  const Time later = morning + 72h;
  world.dns.fail["_smtp._tls.a.test TXT"] = "no network yet";
  world.round(later);
  CHECK(world.state("a.test") == "due");
  world.dns.fail.clear();
  world.post.answers["https://bad.test/"] = broken;
  world.round(later + 5min);
  CHECK(world.state("a.test") == "built");
  world.round(later + 23h);
  CHECK(world.state("a.test") == "built");
  world.round(later + 24h);
  CHECK(world.state("a.test") == "failed");
}

TEST_CASE("a clock that was set back leaves no report waiting for a time that is far off") {
  Sending world;
  world.sessions("due.test", "https://due.test/", 1, "2025-06-01");  // counted and planned months ahead
  world.sessions("built.test", "https://built.test/");
  world.post.answers["https://built.test/"] = broken;
  world.round(at("2025-06-02T00:10:00Z"));
  REQUIRE(world.state("built.test") == "built");
  REQUIRE(world.state("due.test", "2025-06-01") == "due");
  world.post.answers.clear();
  world.round(morning);
  CHECK(world.state("built.test") == "sent");
  CHECK(world.state("due.test", "2025-06-01") == "due");  // that day is still to come
}

TEST_CASE("the log says of a report what the report says") {
  Sending world;
  world.sessions("a.test", "https://bad.test/", 2);
  world.post.answers["https://bad.test/"] = broken;
  world.round(morning);
  world.sessions("a.test", "", 3);
  world.round(morning + 5min);
  for (const Event& event : world.log.events("tlsrpt")) CHECK(event.get("sessions") == "2");
}

TEST_CASE("RPT-47: a report that its mailbox refuses is failed, with the reply; one that somebody else has is not") {
  Sending world;
  world.sessions("a.example", "mailto:box@box.test");
  world.sessions("b.example", "mailto:box@box.test,https://ok.test/");
  world.round(at("2025-03-02T05:00:00Z"));
  CHECK(world.state("a.example") == "sent");
  const auto return_all = [&world] {
    for (const auto& mail : world.mails())
      world.write([id = mail.id](disk::Tx& tx) { give_up_report_mail(tx, id.value, "550 5.7.1 no attachments here"); });
  };
  return_all();
  CHECK(world.state("a.example") == "failed");
  CHECK(world.account("a.example").error == "550 5.7.1 no attachments here");
  CHECK(world.state("b.example") == "sent");
  const auto known = world.read([key = ReportKey{day_at("2025-03-01"), name("b.example")}](disk::Tx& tx) {
    return report_destinations(tx, key);
  });
  REQUIRE(known.size() == 2);
  CHECK(known[0].state == ReportDestination::State::accepted);  // https
  CHECK(known[1].state == ReportDestination::State::failed);
  CHECK(known[1].error == "550 5.7.1 no attachments here");
  // an operator may have it sent again
  world.loop
      .run(world.sender->send_now(ReportSelection{day_at("2025-03-01"), name("a.example"), {}, 10},
                                  at("2025-03-02T06:00:00Z")))
      .value();
  world.round(at("2025-03-02T06:00:00Z"));
  CHECK(world.state("a.example") == "sent");
  CHECK(world.mails().size() == 3);
}

TEST_CASE("RPT-47: a mail that comes back while other destinations are still tried is not called accepted afterwards") {
  Sending world;
  world.sessions("a.example", "mailto:box@box.test,https://slow.test/");
  world.post.delay = 300ms;
  world.post.answers["https://slow.test/"] = Posted{Posted::What::refused, "no", {}};
  world.log.heard = [&world](const Event& event) {
    if (event.get("action") != "queued") return;
    world.disk->post(disk::Durability::durable,
                     [id = store::Id::parse(event.get("id")).value()](disk::Tx& tx) -> Result<> {
                       give_up_report_mail(tx, id.value, "550 no");
                       return {};
                     });
  };
  world.round(at("2025-03-02T05:00:00Z"));
  const auto known = world.read([key = ReportKey{day_at("2025-03-01"), name("a.example")}](disk::Tx& tx) {
    return report_destinations(tx, key);
  });
  REQUIRE(known.size() == 2);
  CHECK(known[1].rua == "mailto:box@box.test");
  CHECK(known[1].state == ReportDestination::State::failed);
  CHECK(known[1].error == "550 no");
}

TEST_CASE(
    "RPT-47: a notice that comes hours after a report was taken fails it, if it knows the report's id, and once") {
  Sending world;
  world.sessions("a.example", "mailto:box@box.test");
  world.sessions("b.example", "mailto:box@box.test,https://ok.test/");
  world.round(at("2025-03-02T05:00:00Z"));
  const auto mails = world.mails();
  REQUIRE(mails.size() == 2);
  const ReportKey key{day_at("2025-03-01"), name("a.example")};
  const auto report = world.read([key](disk::Tx& tx) { return stored_report(tx, key); }).value();
  const auto notice = [](store::Id mail, const std::string& report_id, const std::string& action) {
    return "Content-Type: message/delivery-status\r\n\r\nAction: " + action +
           "\r\nDiagnostic-Code: smtp; 550 5.1.1 who?\r\n\r\n--x\r\nContent-Type: text/rfc822-headers\r\n\r\n" +
           "Message-ID: <" + message_id(mail, name("relay.test")) +
           ">\r\nSubject: Report Domain: a.example\r\n Submitter: relay.test\r\n Report-ID: <" + report_id + ">\r\n";
  };
  world.restart();  // what is known of it is on disk
  for (const auto& mail : mails) {
    world.loop.run(world.sender->take_bounce(notice(mail.id, report.report_id, "delayed")));
    world.loop.run(
        world.sender->take_bounce(notice(mail.id, "2025-03-01.a.example.000000000000@relay.test", "failed")));
  }
  world.loop.run(world.sender->take_bounce(notice(store::Id{77}, report.report_id, "failed")));
  world.loop.run(world.sender->take_bounce(std::string(300'000, 'x')));
  CHECK(world.state("a.example") == "sent");
  CHECK(world.lines("failed").empty());
  for (int time = 0; time < 2; ++time) {
    for (const auto& mail : mails)
      world.loop.run(world.sender->take_bounce(notice(mail.id, report.report_id, "failed")));
  }
  CHECK(world.state("a.example") == "failed");
  CHECK(world.state("b.example") == "sent");
  CHECK(world.account("a.example").error == "550 5.1.1 who?");
  CHECK(world.lines("failed") == Lines{"failed a.example mailto:box@box.test"});
  const Event line = world.log.events("tlsrpt").back();
  CHECK(line.get("day") == "2025-03-01");
  CHECK(line.get("error") == "550 5.1.1 who?");
}

}  // namespace reports_sender_test
