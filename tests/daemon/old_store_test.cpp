// SPDX-License-Identifier: Apache-2.0
// DUR-06: a store that a released version wrote. tests/daemon/stores/schema-5.db was made by 2f9c8b0 with the last case of this file
// (`tests_io -tc="the sample store, made anew" --no-skip`, in a directory of its own); it is never made again: a later version that
// changes the schema adds a file of its own.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>

#include "config/reader.h"
#include "daemon/options.h"
#include "route/partners.h"
#include "statistics/series.h"
#include "store_sqlite/history.h"
#include "store_sqlite/ledger.h"
#include "store_sqlite/ledger_reader.h"
#include "store_sqlite/partner_reader.h"
#include "store_sqlite/partner_store.h"
#include "store_sqlite/partners.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/quota.h"
#include "store_sqlite/report_mails.h"
#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_reader.h"
#include "store_sqlite/statistics_series.h"
#include "tests/queue/world.h"
#include "tests/reports/ledger_world.h"
#include "tests/support/memory_log.h"

namespace daemon_old_store_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;
using queue::test::t0;
using queue::test::World;

namespace {

// When the sample was made, by its own clock.
Time at(std::int64_t seconds) { return t0 + Seconds(seconds); }
const tlsrpt::Day today = tlsrpt::day_of(t0);

std::vector<disk::Migration> all_migrations() {
  const auto loaded = config::read_text("hostname: relay.example.net\n", "h.yaml", "/etc/hoplock");
  return daemon::disk_options(loaded.config).migrations;
}

Options with_history() {
  Options options;
  options.history = Recording::on;
  return options;
}

std::string long_body() {
  std::string body = "Subject: long\r\n\r\n";
  while (body.size() < 150'000) body += "a line of a body that is stored in three chunks\r\n";
  return body;
}

// "a@one.test queued" of each recipient, by message.
std::map<std::string, std::vector<std::string>> states(World& world) {
  std::map<std::string, std::vector<std::string>> all;
  for (const auto& message : world.list())
    for (const auto& recipient : message.recipients)
      all[message.envelope.sender].push_back(recipient.address + " " + std::string(to_text(recipient.state)) + " " +
                                             std::to_string(recipient.attempts) + " " + recipient.reason);
  return all;
}

std::string body_of(World& world, Id id) {
  std::string all;
  auto reader = world.reader();
  reader
      .body(id,
            [&](std::string_view octets) {
              all += octets;
              return Go::on;
            })
      .value();
  return all;
}

RecipientResult ended(std::uint32_t seq, Verdict verdict, std::string reply) {
  RecipientResult one;
  one.seq = seq;
  one.verdict = verdict;
  one.due = at(3600);
  one.interval = Seconds(300);
  one.status = reply.substr(4, 5);
  one.reply = std::move(reply);
  one.reason = "smtp-reply";
  one.host = "mx.mixed.test[192.0.2.9]";
  return one;
}

}  // namespace

TEST_CASE("DUR-06: numbers on disk are what they were") {
  CHECK(static_cast<int>(store::State::queued) == 0);
  CHECK(static_cast<int>(store::State::deferred) == 1);
  CHECK(static_cast<int>(store::State::held) == 2);
  CHECK(static_cast<int>(store::State::bounced) == 3);
  CHECK(static_cast<int>(store::State::expired) == 4);
  CHECK(static_cast<int>(store::State::delivered) == 5);
  CHECK(static_cast<int>(store::State::removed) == 6);
  CHECK(static_cast<int>(store::ReportState::skipped) == 5);
  CHECK(static_cast<int>(store::ReportDestination::State::failed) == 2);
  CHECK(static_cast<int>(statistics::Kind::relaxed) == 6);
  CHECK(static_cast<int>(statistics::Proof::clear) == 4);
  CHECK(static_cast<int>(tlsrpt::PolicyType::no_policy_found) == 2);
  CHECK(static_cast<int>(tlsrpt::ResultType::sts_webpki_invalid) == 10);
  CHECK(store_sqlite::party_key("user@example.org") == -281229568750335978);  // its hashes, too
}

TEST_CASE("partners: a store of schema 5 has none, before its daemon has seen it and after, and takes some") {
  support::TempDirectory dir;
  std::filesystem::copy(std::filesystem::path(HOPLOCK_SOURCE_DIR) / "tests/daemon/stores/schema-5.db",
                        dir / "queue.db");
  std::size_t entries = 0;
  const auto count = [&entries](const partners::Entry&) { ++entries; };
  store_sqlite::SqlitePartnerReader::open(dir / "queue.db").value().list(count).value();
  World world(dir.path(), with_history(), at(60), all_migrations());
  support::MemoryLog log;
  store_sqlite::SqlitePartnerStore kept(*world.disk);
  route::Partners service(kept, log);
  world.loop.run(service.load()).value();
  CHECK(service.book()->size() == 0);
  partners::Order order;
  order.entry.domain = partners::parse_domain("contoso.com").value();
  order.entry.level = hop::Mandate::dane;
  CHECK(world.loop.run(service.carry_out({order}, "ann")).value().changed == 1);
  store_sqlite::SqlitePartnerReader::open(dir / "queue.db").value().list(count).value();
  CHECK(entries == 1);
}

TEST_CASE("DUR-06: a store of schema 5 is read, listed and delivered") {
  support::TempDirectory dir;
  std::filesystem::copy(std::filesystem::path(HOPLOCK_SOURCE_DIR) / "tests/daemon/stores/schema-5.db",
                        dir / "queue.db");
  World world(dir.path(), with_history(), at(60), all_migrations());
  using Lines = std::vector<std::string>;
  const std::map<std::string, Lines> wanted{
      {"active@example.net", {"b@active.test queued 0 "}},
      {"deferred@example.net", {"c@deferred.test deferred 1 connect-timeout"}},
      {"held@example.net", {"d@held.test held 0 "}},
      {"long@example.net", {"g@long.test queued 0 "}},
      {"mixed@example.net",
       {"e@mixed.test bounced 1 smtp-reply", "f@mixed.test expired 1 smtp-reply", "g@mixed.test delivered 1 smtp-reply",
        "h@mixed.test deferred 1 smtp-reply"}},
      {"queued@example.net", {"a@one.test queued 0 "}},
  };  // removed@example.net was removed while it was under way, gone@example.net delivered
  CHECK(states(world) == wanted);
  CHECK(world.count("draft") == 0);

  const auto first = world.lease("one.test", at(60));
  REQUIRE(first.size() == 1);
  CHECK(first[0].body == "Subject: x\r\n\r\nhello\r\n");
  const auto longer = world.lease("long.test", at(60));
  REQUIRE(longer.size() == 1);
  CHECK(longer[0].chunks == 3);
  CHECK(body_of(world, longer[0].id) == long_body());
  const Envelope& envelope = longer[0].envelope;
  CHECK((envelope.body == Body::eight_bit && envelope.smtputf8 && envelope.requiretls));
  CHECK((envelope.ret == Ret::headers && envelope.envid == "QQ314159" && envelope.kind == Kind::ordinary));
  CHECK(longer[0].recipients[0].notify == (smtp::notify_failure | smtp::notify_delay));
  CHECK(longer[0].recipients[0].orcpt == "rfc822;g@long.test");
  CHECK(world.lease("mixed.test", at(60)).empty());  // not due
  const auto mixed = world.lease("mixed.test", at(3600));
  REQUIRE(mixed.size() == 1);
  REQUIRE(mixed[0].recipients.size() == 1);
  CHECK(mixed[0].recipients[0].address == "h@mixed.test");
  CHECK(mixed[0].recipients[0].interval == Seconds(300));
  CHECK(world.lease("held.test", at(3600)).empty());
  CHECK(world.loop.run(world.queue->backoff("deferred.test")).value()->failures == 3);
  const auto after_hold = world.lease("deferred.test", at(900));
  REQUIRE(after_hold.size() == 1);
  world.apply({World::all(first[0], Verdict::delivered), World::all(longer[0], Verdict::delivered),
               World::all(mixed[0], Verdict::delivered), World::all(after_hold[0], Verdict::delivered)},
              at(3600));
  CHECK(world.act(Action::release, test::domain("held.test"), at(3600)).messages == 1);
  CHECK(world.lease("held.test", at(3600)).size() == 1);
  CHECK(world.list().size() == 2);  // held and active, both under way or due now

  auto reader = world.reader();
  TraceQuery gone;
  gone.address = "gone@example.net";
  std::vector<std::string> events;
  reader
      .trace(gone,
             [&](const Traced& traced) {
               for (const auto& entry : traced.events) events.push_back(entry.text);
               return Go::on;
             })
      .value();
  REQUIRE(events.size() == 2);
  CHECK(events[0].find("\"event\":\"accepted\"") != std::string::npos);
  CHECK(events[1] == R"({"event":"delivered","to":"x@gone.test"})");
}

TEST_CASE("DUR-06: a store of schema 5 has no statistics before its migration, and takes them after it") {
  support::TempDirectory dir;
  std::filesystem::copy(std::filesystem::path(HOPLOCK_SOURCE_DIR) / "tests/daemon/stores/schema-5.db",
                        dir / "queue.db");
  const statistics::Range range{statistics::day_of(t0), statistics::day_of(t0), ""};
  const auto look = [&] {
    return store_sqlite::SqliteStatisticsReader::open(dir / "queue.db").value().read(range).value();
  };
  CHECK(look().partners.empty());
  CHECK(store_sqlite::SqliteStatisticsReader::open(dir / "queue.db")
            .value()
            .series(statistics::Span::day, t0)
            .value()
            .points.size() == 1440);
  World world(dir.path(), with_history(), at(60), all_migrations());
  CHECK(look().partners.empty());
  auto job = [](disk::Tx& tx) -> Result<> {
    statistics::Counts counts;
    statistics::Row row;
    row.day = statistics::day_of(t0);
    row.domain = "one.test";
    row.what = statistics::join_words({"dane", "TLSv1.3", "dane-ee", "pfs-aead"});
    counts.note(row, t0, 100);
    store_sqlite::add_statistics(tx, counts);
    return {};
  };
  world.loop.run(world.disk->run(disk::Durability::durable, job)).value();
  CHECK(look().partners.size() == 1);
}

TEST_CASE("DUR-06: ledger, quota and policies of a store of schema 5") {
  support::TempDirectory dir;
  std::filesystem::copy(std::filesystem::path(HOPLOCK_SOURCE_DIR) / "tests/daemon/stores/schema-5.db",
                        dir / "queue.db");
  World world(dir.path(), with_history(), at(60), all_migrations());
  auto look = [](disk::Tx& tx) -> Result<std::map<std::string, std::string>> {
    std::map<std::string, std::string> all;
    for (const auto& account : store_sqlite::list_accounts(tx, {}))
      all[account.key.domain.text()] = std::string(store::to_text(account.state)) + " " +
                                       std::to_string(account.sessions) + " " + std::to_string(account.failures);
    for (const auto& to : store_sqlite::report_destinations(tx, reports::test::key(today, "built.test")))
      all[to.rua] = std::to_string(static_cast<int>(to.state)) + " " + to.error;
    const auto report =
        store_sqlite::preview_report(tx, reports::test::key(today, "due.test"), reports::test::submitter()).value();
    for (const auto& element : report.policies)
      for (const auto& detail : element.details)
        all["due.test " + std::string(tlsrpt::to_text(element.policy.type))] +=
            std::string(tlsrpt::to_text(detail.type)) + " ";
    for (const auto& policy : store_sqlite::list_policies(tx, "", 10))
      all["policy " + policy.domain.text()] =
          policy.text.value_or("none") + (policy.problem ? std::string(hop::to_text(policy.problem->reason)) : "");
    const tlsrpt::Destination mailbox = tlsrpt::MailDestination{"r", test::name("quota.test")};
    all["quota"] = store_sqlite::take_quota(tx, {today, mailbox, 10}, {2, 10, 1000}) +
                   store_sqlite::take_quota(tx, {today, mailbox, 10}, {2, 10, 1000});
    return all;
  };
  const auto found = world.loop.run(world.disk->run(disk::Durability::relaxed, look)).value();
  const std::map<std::string, std::string> wanted{
      {"built.test", "built 1 0"},
      {"collecting.test", "collecting 1 0"},
      {"due.test", "due 2 2"},
      {"due.test sts", "certificate-expired "},
      {"due.test tlsa", "tlsa-invalid "},
      {"failed.test", "failed 1 0"},
      {"https://a.test/", "0 "},
      {"https://b.test/", "1 taken"},
      {"https://c.test/", "2 no"},
      {"policy bad.test", "nonests-policy-invalid"},
      {"policy good.test", "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n"},
      {"quota", "it has had 2 reports today, which is all that one destination is sent"},
      {"sent.test", "sent 1 0"},
      {"skipped.test", "skipped 1 0"},
  };
  CHECK(found == wanted);
}

namespace {

void fill_queue(World& world) {
  world.put({"a@one.test"}, "Subject: x\r\n\r\nhello\r\n", t0, "queued@example.net");
  world.put({"b@active.test"}, "Subject: x\r\n\r\nactive\r\n", at(1), "active@example.net");
  world.put({"c@deferred.test"}, "Subject: x\r\n\r\ndeferred\r\n", at(2), "deferred@example.net");
  world.put({"d@held.test"}, "Subject: x\r\n\r\nheld\r\n", at(3), "held@example.net");
  world.put({"e@mixed.test", "f@mixed.test", "g@mixed.test", "h@mixed.test"}, "Subject: x\r\n\r\nmixed\r\n", at(4),
            "mixed@example.net");
  world.put({"x@gone.test"}, "Subject: x\r\n\r\ngone\r\n", at(5), "gone@example.net");
  const Id removed = world.put({"y@removed.test"}, "Subject: x\r\n\r\nremoved\r\n", at(6), "removed@example.net");
  {
    auto writer = world.queue->begin(at(7));
    world.loop.run(writer.write(long_body())).value();
    Envelope envelope = World::envelope("long@example.net");
    envelope.body = Body::eight_bit;
    envelope.smtputf8 = envelope.requiretls = true;
    envelope.ret = Ret::headers;
    envelope.envid = "QQ314159";
    auto to = World::recipients({"g@long.test"});
    to[0].notify = smtp::notify_failure | smtp::notify_delay;
    to[0].orcpt = "rfc822;g@long.test";
    world.loop.run(writer.commit(std::move(envelope), std::move(to))).value();
  }
  REQUIRE(world.lease("active.test", at(8)).size() == 1);
  REQUIRE(world.lease("removed.test", at(8)).size() == 1);
  world.act(Action::remove, test::ids({removed}), at(9));
  world.act(Action::hold, test::domain("held.test"), at(9));
  auto gone = World::all(world.lease("gone.test", at(8)).at(0), Verdict::delivered);
  gone.history_entry = R"({"event":"delivered","to":"x@gone.test"})";
  Settled mixed;
  const auto job = world.lease("mixed.test", at(8)).at(0);
  mixed.id = job.id;
  mixed.destination = job.destination;
  mixed.recipients = {ended(0, Verdict::bounced, "550 5.1.1 no such user"),
                      ended(1, Verdict::expired, "450 4.2.1 later"), ended(2, Verdict::delivered, "250 2.0.0 Ok"),
                      ended(3, Verdict::deferred, "450 4.2.1 later")};
  DestinationChange down;
  down.destination = "deferred.test";
  down.backoff.emplace();
  down.backoff->until = at(800);
  down.backoff->failures = 3;
  down.backoff->reason = "connect-timeout";
  const auto deferred = World::all(world.lease("deferred.test", at(8)).at(0), Verdict::deferred, at(300));
  world.apply({gone, mixed, deferred}, at(10), {down});
}

Result<> fill_ledger(disk::Tx& tx) {
  using namespace reports::test;
  store::LedgerCounts counts;
  for (const char* domain : {"collecting.test", "built.test", "sent.test", "failed.test", "skipped.test"})
    counts.add(key(today, domain), {success(sts_policy(domain))});
  counts.add(key(today, "due.test"),
             {failure(sts_policy("due.test"), {failure_of(tlsrpt::ResultType::certificate_expired)})});
  counts.add(key(today, "due.test"),
             {failure(dane_policy("mx.due.test"), {failure_of(tlsrpt::ResultType::tlsa_invalid)})});
  store_sqlite::add_counts(tx, counts);
  for (const char* domain : {"due.test", "built.test", "sent.test", "failed.test", "skipped.test"})
    store_sqlite::plan_report(tx, key(today, domain), at(86400));
  for (const char* domain : {"built.test", "sent.test", "failed.test"})
    store_sqlite::build_report(tx, key(today, domain), submitter());
  using To = store::ReportDestination::State;
  store_sqlite::put_report_destination(tx, key(today, "built.test"),
                                       {"https://a.test/", To::waiting, 0, at(90000), ""});
  store_sqlite::put_report_destination(tx, key(today, "built.test"), {"https://b.test/", To::accepted, 1, {}, "taken"});
  store_sqlite::put_report_destination(tx, key(today, "built.test"), {"https://c.test/", To::failed, 2, {}, "no"});
  store_sqlite::finish_report(tx, key(today, "sent.test"), store::ReportState::sent, "");
  store_sqlite::finish_report(tx, key(today, "failed.test"), store::ReportState::failed, "nobody took it");
  store_sqlite::finish_report(tx, key(today, "skipped.test"), store::ReportState::skipped, "no record");
  store_sqlite::take_quota(tx, {today, tlsrpt::MailDestination{"r", test::name("quota.test")}, 10}, {});
  store::PolicyRow good;
  good.domain = name("good.test");
  good.freshness.held = mtasts::Held{"20260901", t0, Seconds(604800)};
  good.text = "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n";
  good.checked = t0;
  good.due = at(86400);
  store_sqlite::put_policy(tx, good);
  store::PolicyRow bad;
  bad.domain = name("bad.test");
  bad.freshness.failures = mtasts::Failures{2, t0, "1"};
  bad.problem = hop::Refusal{hop::Reason::sts_policy_invalid, "no mode"};
  bad.checked = t0;
  bad.due = at(600);
  store_sqlite::put_policy(tx, bad);
  return {};
}

}  // namespace

TEST_CASE("the sample store, made anew" * doctest::skip()) {
  const std::filesystem::path directory = std::getenv("HOPLOCK_SAMPLE");
  World world(directory, with_history(), t0, all_migrations());
  fill_queue(world);
  world.loop.run(world.disk->run(disk::Durability::durable, fill_ledger)).value();
  auto draft = world.queue->begin(at(11));  // the power fails on its way
  world.loop.run(draft.write(long_body())).value();
  world.queue.reset();
}

}  // namespace daemon_old_store_test
