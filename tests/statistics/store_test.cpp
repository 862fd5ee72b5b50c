// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics.h"

#include <doctest/doctest.h>

#include "disk/db.h"
#include "store_sqlite/statistics_reader.h"
#include "tests/support/temp_directory.h"

namespace statistics_store_test {

using namespace hoplock;
using namespace hoplock::statistics;

namespace {

const Day d1 = std::chrono::sys_days(std::chrono::year{2026} / 11 / 1);

Row row(const std::string& domain, Kind kind, std::string what, Day day = d1) {
  Row made;
  made.day = day;
  made.domain = domain;
  made.kind = kind;
  made.what = std::move(what);
  return made;
}

const std::string dane = join_words({"dane", "TLSv1.3", "dane-ee", "pfs-aead"});

struct World {
  World() : db(open(dir.file("queue.db"))) {}
  static disk::Database open(const std::string& file) {
    auto made = disk::Database::open(file, disk::Access::read_write).value();
    disk::migrate(made, {store_sqlite::statistics_migration(), store_sqlite::statistics_batch_migration()}).value();
    return made;
  }
  // One transaction, and the rows that are made of it.
  void add(const Counts& counts, const store_sqlite::StatisticsLimits& limits = {}) {
    db.execute("BEGIN IMMEDIATE");
    disk::Tx tx(db);
    store_sqlite::add_statistics(tx, counts);
    store_sqlite::fold_statistics(tx, limits);
    db.execute("COMMIT");
  }
  void note(const Row& one, Time at, std::uint64_t octets = 0) {
    Counts counts;
    counts.note(one, at, octets);
    add(counts);
  }
  Found read(Day from, Day to, const std::string& domain = "") {
    Range range;
    range.from = from;
    range.to = to;
    range.domain = domain;
    return store_sqlite::SqliteStatisticsReader::open(dir.file("queue.db")).value().read(range).value();
  }
  std::int64_t count(const std::string& of) { return db.integer("SELECT count(*) FROM " + of); }
  support::TempDirectory dir;
  disk::Database db;
};

}  // namespace

TEST_CASE("words are one printable line each, of a bounded length, and come back as they went in") {
  const std::vector<std::string> words{"route", "dane=off mta_sts=audit", "", "until they renew"};
  CHECK(split_words(join_words({words[0], words[1], words[2], words[3]})) == words);
  CHECK(split_words("").empty());
  const std::string hostile = "a\nb\x1b[31m\xff" + std::string(10'000, 'x');
  const auto tame = split_words(join_words({hostile, "next"}));
  REQUIRE(tame.size() == 2);
  CHECK(tame[0].size() == longest_word);
  CHECK(tame[0].starts_with("a b?[31m?x"));
  CHECK(tame[1] == "next");
}

TEST_CASE("a message counts once for all of its recipients that fared alike, and each recipient once") {
  Counts counts;
  for (int i = 0; i < 3; ++i) counts.note(row("a.test", Kind::delivered, dane), d1 + Seconds(5), 1000);
  Counts next;
  next.note(row("a.test", Kind::delivered, dane), d1 + Milliseconds(9'999), 500);
  counts.add(next);
  const Sum& sum = counts.rows().begin()->second;
  CHECK(sum.count == 4);
  CHECK(sum.messages == 2);
  CHECK(sum.octets == 1500);
  CHECK(sum.first == d1 + Seconds(5));
  CHECK(sum.last == d1 + Seconds(9));
}

TEST_CASE("rows are kept by day and domain, and a range of days adds them up") {
  World world;
  const Day d2 = d1 + std::chrono::days(1);
  world.note(row("a.test", Kind::delivered, dane), d1 + Seconds(100), 10);
  world.note(row("a.test", Kind::delivered, dane), d1 + Seconds(50), 10);
  world.note(row("a.test", Kind::delivered, dane, d2), d2 + Seconds(7), 10);
  world.note(row("a.test", Kind::key, join_words({"00ff"}), d2), d2 + Seconds(7), 10);
  world.note(row("b.test", Kind::failed, join_words({"deferred", "dane", "tlsa-invalid"}), d2), d2 + Seconds(9));
  CHECK(world.count("statistics") == 4);
  CHECK(world.count("statistics_day") == 2);

  const Found both = world.read(d1, d2);
  CHECK(both.since == d1);
  REQUIRE(both.partners.size() == 2);
  const Sum& sum = both.partners.at("a.test").at({Kind::delivered, dane});
  CHECK(sum.count == 3);
  CHECK(sum.octets == 30);
  CHECK(sum.first == d1 + Seconds(50));
  CHECK(sum.last == d2 + Seconds(7));
  CHECK(world.read(d1, d1).partners.at("a.test").at({Kind::delivered, dane}).count == 2);
  CHECK(world.read(d1, d2, "b.test").partners.size() == 1);
  CHECK(world.read(d1, d2, "c.test").partners.empty());
  CHECK(world.read(d2 + std::chrono::days(1), d2 + std::chrono::days(9)).partners.empty());
  CHECK(world.read(d2, d2).since == d1);
}

TEST_CASE(
    "a domain that shows a new certificate at each session is remembered with some of them a day, and none is "
    "uncounted") {
  World world;
  Counts counts;
  for (int i = 0; i < 1000; ++i) {
    counts.note(row("hostile.test", Kind::delivered, dane), d1, 10);
    counts.note(row("hostile.test", Kind::key, join_words({std::to_string(i)})), d1, 10);
    counts.note(
        row("hostile.test", Kind::relaxed, join_words({"route", "", "", std::string(10'000, 'x') + std::to_string(i)})),
        d1, 10);
  }
  world.add(counts);
  const store_sqlite::StatisticsLimits limits;
  CHECK(world.count("statistics WHERE kind = 1") == static_cast<std::int64_t>(limits.rows_of_kind) + 1);
  const Partner partner = world.read(d1, d1).partners.at("hostile.test");
  std::uint64_t keys = 0;
  for (const auto& [what, sum] : partner)
    if (what.first == Kind::key) keys += sum.count;
  CHECK(keys == 1000);
  CHECK(partner.at({Kind::key, ""}).count == 1000 - limits.rows_of_kind);
  CHECK(partner.at({Kind::delivered, dane}).count == 1000);
  CHECK(world.db.integer("SELECT max(length(text)) FROM statistics_text") <=
        4 * (static_cast<std::int64_t>(longest_word) + 1));
  world.note(row("hostile.test", Kind::key, join_words({"5"}), d1 + std::chrono::days(1)),
             d1 + std::chrono::days(1));  // a new day
  CHECK(world.count("statistics WHERE kind = 1 AND day > 20758") == 1);
}

TEST_CASE(
    "100,000 domains in a day: as many as a day holds have rows of their own, the others share one, and the sums are "
    "right") {
  World world;
  store_sqlite::StatisticsLimits few;
  few.domains = 500;
  few.rows = 700;
  for (int batch = 0; batch < 100; ++batch) {
    Counts counts;
    for (int i = 0; i < 1000; ++i) {
      const std::string domain = "d" + std::to_string(batch * 1000 + i) + ".test";
      counts.note(row(domain, Kind::delivered, dane), d1, 10);
      counts.note(row(domain, Kind::key, join_words({domain})), d1, 10);
    }
    world.add(counts, few);
  }
  const Found found = world.read(d1, d1);
  CHECK(found.partners.size() == 501);
  std::uint64_t messages = 0, keys = 0;
  for (const auto& [domain, partner] : found.partners)
    for (const auto& [what, sum] : partner) (what.first == Kind::key ? keys : messages) += sum.messages;
  CHECK(messages == 100'000);
  CHECK(keys == 100'000);
  CHECK(found.partners.at("").at({Kind::delivered, dane}).count == 99'500);
  CHECK(world.count("statistics") <= 700 + 500 * 2 + 2);
  CHECK(world.count("statistics_text") < 2'000);
}

TEST_CASE("who makes domains up all day displaces no partner that had mail before") {
  World world;
  store_sqlite::StatisticsLimits few;
  few.domains = 100;
  few.strangers = 40;
  const Day d2 = d1 + std::chrono::days(1);
  for (int i = 0; i < 50; ++i) {
    const std::string domain = "partner" + std::to_string(i) + ".test";
    Counts counts;
    counts.note(row(domain, Kind::delivered, dane), d1, 10);
    world.add(counts);  // with room for all
  }
  Counts counts;
  for (int i = 0; i < 1000; ++i) {
    const std::string domain = "a" + std::to_string(i) + ".test";
    counts.note(row(domain, Kind::failed, join_words({"bounced", "", ""}), d2), d2 + Seconds(1), 0);
  }
  world.add(counts, few);
  CHECK(world.read(d2, d2).partners.size() == 41);
  Counts mail;
  for (int i = 0; i < 50; ++i)
    mail.note(row("partner" + std::to_string(i) + ".test", Kind::delivered, dane, d2), d2 + Seconds(9), 10);
  mail.note(row("new.test", Kind::delivered, dane, d2), d2 + Seconds(9), 10);
  world.add(mail, few);
  const Partners second = world.read(d2, d2).partners;
  CHECK(second.size() == 91);
  CHECK(second.contains("partner49.test"));
  CHECK(second.at("").at({Kind::delivered, dane}).count == 1);
  CHECK(second.at("").at({Kind::failed, join_words({"bounced", "", ""})}).count == 960);
  // all places are limited, whoever asks
  for (int i = 50; i < 70; ++i) world.note(row("partner" + std::to_string(i) + ".test", Kind::delivered, dane), d1);
  Counts more;
  for (int i = 50; i < 70; ++i)
    more.note(row("partner" + std::to_string(i) + ".test", Kind::delivered, dane, d2), d2 + Seconds(9), 10);
  world.add(more, few);
  CHECK(world.read(d2, d2).partners.size() == 101);
}

TEST_CASE("as many days are kept as there is room for, whatever a clock that was set wrong said meanwhile") {
  World world;
  store_sqlite::StatisticsLimits few;
  few.days = 10;
  for (int i = 0; i < 10; ++i) {
    const Day day = d1 + std::chrono::days(i);
    world.note(row("a.test", Kind::key, join_words({"day" + std::to_string(i)}), day), day + Seconds(1));
  }
  const Day wrong = d1 + std::chrono::days(365 * 30);
  world.note(row("a.test", Kind::key, join_words({"wrong"}), wrong), wrong + Seconds(1));
  disk::Tx tx(world.db);
  CHECK(!store_sqlite::forget_statistics(tx, few));
  CHECK(world.count("statistics") == 10);  // the oldest one went
  CHECK(world.read(d1, wrong).since == d1 + std::chrono::days(1));
  CHECK(world.count("statistics_text WHERE text LIKE 'day0%'") == 0);
  CHECK(world.count("statistics_text WHERE text LIKE 'a.test%'") == 1);
  CHECK(world.count("statistics_day") == 10);
}

TEST_CASE("forgetting goes on in parts") {
  World world;
  Counts counts;
  for (int i = 0; i < 1200; ++i) counts.note(row("d" + std::to_string(i) + ".test", Kind::delivered, dane), d1, 1);
  world.add(counts);
  store_sqlite::StatisticsLimits one;
  one.days = 1;
  const Day d2 = d1 + std::chrono::days(1);
  world.note(row("a.test", Kind::delivered, dane, d2), d2);
  disk::Tx tx(world.db);
  int parts = 0;
  while (store_sqlite::forget_statistics(tx, one)) ++parts;
  CHECK(parts == 12);  // 200 rows each, and as many texts
  CHECK(world.count("statistics") == 1);
  CHECK(world.count("statistics_text") == 2);
}

TEST_CASE("no part of forgetting looks at more than it forgets") {
  World world;
  for (const std::string& statement :
       {std::string("DELETE FROM statistics WHERE (day, domain, kind, what) IN (SELECT day, domain, kind, what FROM "
                    "statistics WHERE day < 7 LIMIT 200)"),
        std::string("DELETE FROM statistics_text WHERE id IN (SELECT id FROM statistics_text WHERE day < 7 LIMIT 200)"),
        std::string("SELECT day FROM statistics_day ORDER BY day DESC LIMIT 1 OFFSET 1830")}) {
    auto plan = world.db.prepare("EXPLAIN QUERY PLAN " + statement);
    while (plan.step()) {
      const std::string line(plan.text(3));
      CAPTURE(line);
      CHECK((!line.starts_with("SCAN") || line.starts_with("SCAN statistics_day")));
    }
  }
}

TEST_CASE("a database that an older version made has no statistics, and is read all the same") {
  support::TempDirectory dir;
  auto db = disk::Database::open(dir.file("queue.db"), disk::Access::read_write).value();
  disk::migrate(db, {{"test", "CREATE TABLE item (id INTEGER PRIMARY KEY)", {}}}).value();
  const Found found =
      store_sqlite::SqliteStatisticsReader::open(dir.file("queue.db")).value().read({d1, d1, ""}).value();
  CHECK(found.partners.empty());
  CHECK(!found.since);
  CHECK(store_sqlite::SqliteStatisticsReader::open(dir.file("none.db")).error().code ==
        errc::no_such_file_or_directory);
}

}  // namespace statistics_store_test
