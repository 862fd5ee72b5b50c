// SPDX-License-Identifier: Apache-2.0
#include "statistics/batch.h"

#include <doctest/doctest.h>

#include <random>

#include "disk/db.h"
#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_reader.h"
#include "tests/support/temp_directory.h"

namespace statistics_batch_test {

using namespace hoplock;
using namespace hoplock::statistics;

namespace {

const Day d1 = std::chrono::sys_days(std::chrono::year{2026} / 11 / 1);
const Day d2 = d1 + std::chrono::days(1);
const std::string dane = join_words({"dane", "TLSv1.3", "dane-ee", "pfs-aead"});

Row row(const std::string& domain, Kind kind, std::string what, Day day = d1) {
  Row made;
  made.day = day;
  made.domain = domain;
  made.kind = kind;
  made.what = std::move(what);
  return made;
}

Counts mixed(std::uint32_t seed, int deliveries) {
  std::mt19937 random(seed);
  Counts counts;
  for (int i = 0; i < deliveries; ++i) {
    const Day day = random() % 5 == 0 ? d2 : d1;
    const std::string domain = "d" + std::to_string(random() % 40) + ".test";
    const Time at = day + Seconds(random() % 86'400);
    counts.note(row(domain, Kind::delivered, dane, day), at, random() % 1'000'000);
    counts.note(row(domain, Kind::key, join_words({std::to_string(random() % 3)}), day), at, random() % 1000);
    if (random() % 10 == 0)
      counts.note(row(domain, Kind::failed, join_words({"deferred", "dane", "tlsa-invalid"}), day), at, 0);
  }
  return counts;
}

std::map<Row, Sum> unpacked(const std::map<Day, std::string>& days) {
  std::map<Row, Sum> all;
  for (const auto& of_day : days) {
    const Day day = of_day.first;
    unpack(of_day.second, day, [&](const Unpacked& one) {
      all[row(std::string(one.domain), one.kind, std::string(one.what), day)].add(one.sum);
    });
  }
  return all;
}

struct World {
  World() : db(disk::Database::open(dir.file("queue.db"), disk::Access::read_write).value()) {
    disk::migrate(db, {store_sqlite::statistics_migration(), store_sqlite::statistics_batch_migration()}).value();
  }
  template <class F>
  void transaction(F write) {
    db.execute("BEGIN IMMEDIATE");
    disk::Tx tx(db);
    write(tx);
    db.execute("COMMIT");
  }
  Found read(const std::string& domain = "") {
    return store_sqlite::SqliteStatisticsReader::open(dir.file("queue.db")).value().read({d1, d2, domain}).value();
  }
  std::int64_t count(const std::string& of) { return db.integer("SELECT count(*) FROM " + of); }
  support::TempDirectory dir;
  disk::Database db;
};

}  // namespace

TEST_CASE("a batch gives back what went in, whatever the words and the figures are") {
  Counts counts = mixed(1, 500);
  counts.note(row("", Kind::delivered, ""), d1, 0, 0);
  counts.note(row(std::string(300, 'x'), Kind::relaxed, join_words({"route", "", std::string(9'999, '\xff')})),
              d1 + Seconds(86'399), std::uint64_t{1} << 63U, ~std::uint64_t{0});
  CHECK(unpacked(packed(counts)) == counts.rows());
  CHECK(packed(counts).size() == 2);
  CHECK(packed({}).empty());
}

TEST_CASE("a damaged batch gives what lies before the damage, and never more than it holds") {
  const Counts counts = mixed(2, 50);
  const std::string whole = packed(counts).at(d1);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    std::size_t rows = 0;
    unpack(std::string_view(whole).substr(0, size), d1, [&](const Unpacked& one) {
      ++rows;
      const auto known = counts.rows().find(row(std::string(one.domain), one.kind, std::string(one.what)));
      CHECK((known != counts.rows().end() && known->second == one.sum));
    });
    CHECK(rows <= counts.rows().size());
  }
  std::mt19937 random(3);
  for (int i = 0; i < 5'000; ++i) {
    std::string wrong = whole;
    for (int n = 0; n < 4; ++n) wrong[random() % wrong.size()] = static_cast<char>(random());
    unpack(wrong, d1, [&](const Unpacked& one) { CHECK(one.domain.size() + one.what.size() <= wrong.size()); });
  }
}

TEST_CASE(
    "what was counted is read the same before its rows are made and afterwards, and costs one row a transaction") {
  World world;
  Counts all;
  for (std::uint32_t batch = 0; batch < 20; ++batch) {
    const Counts counts = mixed(batch, 30);
    all.add(counts);
    world.transaction([&](disk::Tx& tx) { store_sqlite::add_statistics(tx, counts); });
  }
  CHECK(world.count("statistics") == 0);
  CHECK(world.count("statistics_batch") <= 40);  // of two days
  const Found before = world.read();
  const Found one = world.read("d7.test");
  CHECK(before.since == d1);
  world.transaction([](disk::Tx& tx) { store_sqlite::fold_statistics(tx); });
  CHECK(world.count("statistics_batch") == 0);
  CHECK(world.count("statistics") == static_cast<std::int64_t>(all.rows().size()));
  const Found after = world.read();
  CHECK(after.partners == before.partners);
  CHECK(after.since == before.since);
  CHECK(world.read("d7.test").partners == one.partners);
  std::map<Row, Sum> kept;
  for (const auto& [domain, partner] : after.partners)
    for (const auto& [what, sum] : partner) kept[row(domain, what.first, what.second)].add(sum);
  std::map<Row, Sum> noted;
  for (const auto& [made, sum] : all.rows()) noted[row(made.domain, made.kind, made.what)].add(sum);
  CHECK(kept == noted);
}

TEST_CASE("rows and batches of the same things are added up, and a transaction that is undone leaves neither") {
  World world;
  Counts counts;
  counts.note(row("a.test", Kind::delivered, dane), d1 + Seconds(50), 10);
  for (int i = 0; i < 3; ++i) {
    world.transaction([&](disk::Tx& tx) {
      store_sqlite::add_statistics(tx, counts);
      if (i == 1) store_sqlite::fold_statistics(tx);
    });
  }
  CHECK(world.read().partners.at("a.test").at({Kind::delivered, dane}).count == 3);
  world.db.execute("BEGIN IMMEDIATE");
  disk::Tx tx(world.db);
  store_sqlite::add_statistics(tx, counts);
  store_sqlite::fold_statistics(tx);
  world.db.execute("ROLLBACK");
  CHECK(world.count("statistics_batch") == 1);
  CHECK(world.read().partners.at("a.test").at({Kind::delivered, dane}).count == 3);
  world.transaction([](disk::Tx& again) { store_sqlite::fold_statistics(again); });
  const Sum sum = world.read().partners.at("a.test").at({Kind::delivered, dane});
  CHECK(sum.count == 3);
  CHECK(sum.octets == 30);
}

TEST_CASE("batches are few and small, however much is counted, and however little at a time") {
  World world;
  std::uint64_t noted = 0;
  for (const int deliveries : {1, 2'000}) {
    const Counts counts = mixed(7, deliveries);
    std::uint64_t in_batch = 0;
    for (const auto& [made, sum] : counts.rows()) in_batch += made.kind == Kind::delivered ? sum.count : 0;
    const int batches = deliveries == 1 ? 3'000 : 100;
    world.transaction([&](disk::Tx& tx) {
      for (int batch = 0; batch < batches; ++batch)
        if (store_sqlite::add_statistics(tx, counts)) store_sqlite::fold_statistics(tx);
    });
    noted += in_batch * static_cast<std::uint64_t>(batches);
    CHECK(world.count("statistics_batch") <= 2'048);
    CHECK(world.db.integer("SELECT sum(length(data)) FROM statistics_batch") <= 1 << 20);
  }
  std::uint64_t kept = 0;
  for (const auto& [domain, partner] : world.read().partners)
    for (const auto& [what, sum] : partner) kept += what.first == Kind::delivered ? sum.count : 0;
  CHECK(kept == noted);
}

}  // namespace statistics_batch_test
