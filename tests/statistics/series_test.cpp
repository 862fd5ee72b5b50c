// SPDX-License-Identifier: Apache-2.0
#include "statistics/series.h"

#include <doctest/doctest.h>

#include "disk/db.h"
#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_reader.h"
#include "store_sqlite/statistics_series.h"
#include "tests/support/temp_directory.h"

namespace statistics_series_test {

using namespace hoplock;
using namespace hoplock::statistics;
using namespace std::chrono_literals;

namespace {

const Time t0 = parse_rfc3339("2026-11-01T12:00:30.000Z").value();

counted::Attempt attempt(std::string outcome, std::string policy = "dane", std::string auth = "dane-ee") {
  counted::Attempt made;
  made.outcome = std::move(outcome);
  made.policy = std::move(policy);
  made.tls = "TLSv1.3";
  made.auth = std::move(auth);
  return made;
}
counted::Accepted accepted(std::uint64_t recipients) {
  counted::Accepted made;
  made.recipients = recipients;
  return made;
}

struct World {
  World() : db(disk::Database::open(dir.file("queue.db"), disk::Access::read_write).value()) {
    disk::migrate(db, {store_sqlite::statistics_migration()}).value();
  }
  void write(const Tally::Minutes& minutes) {
    db.execute("BEGIN IMMEDIATE");
    disk::Tx tx(db);
    store_sqlite::write_series(tx, minutes);
    db.execute("COMMIT");
  }
  void write(Tally& tally) { write(tally.take()); }
  Series read(Span span, Time now) {
    return store_sqlite::SqliteStatisticsReader::open(dir.file("queue.db")).value().series(span, now).value();
  }
  support::TempDirectory dir;
  disk::Database db;
};

Figures sum(const Series& series) {
  Figures all;
  for (const auto& point : series.points)
    if (point) all.add(*point);
  return all;
}
std::size_t holes(const Series& series) {
  return static_cast<std::size_t>(std::count(series.points.begin(), series.points.end(), std::nullopt));
}

}  // namespace

TEST_CASE("a minute's figures are what was counted in it, by outcome and by proof, and come back over each span") {
  World world;
  Tally tally;
  tally.add(accepted(7), t0);
  tally.add(attempt("delivered"), t0);
  tally.add(attempt("delivered", "opportunistic", "none"), t0 + 10s);
  tally.add(attempt("deferred"), t0);
  tally.add(attempt("bounced"), t0);
  tally.add(attempt("expired"), t0);
  tally.add(counted::Rejected{550}, t0);
  tally.look({5, 90s}, t0);
  tally.look({3, 120s}, t0);
  tally.add(attempt("delivered", "sts", "pkix"), t0 + 40s);  // the next minute
  world.write(tally);
  const Time now = t0 + 1min;
  const Series day = world.read(Span::day, now);
  CHECK(day.step == 60s);
  REQUIRE(day.points.size() == 24 * 60);
  CHECK(day.from == parse_rfc3339("2026-10-31T12:02:00.000Z").value());
  const Figures first = *day.points.at(day.points.size() - 2);
  CHECK(first.accepted == 7);
  CHECK(first.delivered == 2);
  CHECK(first.deferred == 1);
  CHECK(first.bounced == 2);
  CHECK(first.proofs == std::array<std::uint64_t, 5>{1, 0, 0, 1, 0});
  CHECK(first.waiting == Waiting{5, 120s});
  CHECK(day.points.back()->proofs == std::array<std::uint64_t, 5>{0, 1, 0, 0, 0});
  CHECK(!day.points.back()->waiting);
  CHECK(holes(day) == 24 * 60 - 2);
  for (const Span span : {Span::week, Span::month, Span::years}) {
    const Series longer = world.read(span, now);
    CHECK(sum(longer) == sum(day));
    CHECK(holes(longer) == longer.points.size() - 1);
    CHECK(longer.points.back()->delivered == 3);
  }
}

TEST_CASE(
    "what comes later in a minute that was written is added to it: nothing is lost or counted twice by a restart") {
  World world;
  Tally before;
  before.add(attempt("delivered"), t0);
  world.write(before);
  world.write(before);  // nothing is left in it
  Tally after;
  after.add(attempt("delivered"), t0 + 5s);
  after.look({2, 10s}, t0 + 5s);
  world.write(after);
  CHECK(sum(world.read(Span::day, t0)).delivered == 2);
  CHECK(sum(world.read(Span::years, t0)).delivered == 2);
}

TEST_CASE("a clock that jumps makes no hole larger than the jump, and counts nothing twice") {
  World world;
  Tally tally;
  Time clock = t0;
  std::uint64_t events = 0;
  for (int minute = 0; minute < 300; ++minute, clock += 1min) {
    if (minute == 100) clock += 1h;     // forward
    if (minute == 200) clock -= 30min;  // and back, over minutes that are written
    tally.add(attempt("delivered"), clock);
    tally.look({1, 1s}, clock);
    ++events;
    world.write(tally);
  }
  const Series day = world.read(Span::day, clock + 1h);
  CHECK(sum(day).delivered == events);
  CHECK(sum(world.read(Span::week, clock + 1h)).delivered == events);
  CHECK(sum(day).waiting == Waiting{1, 1s});
  std::size_t hole = 0, longest = 0;
  bool begun = false;
  for (const auto& point : day.points) {
    begun = begun || point;
    hole = point ? 0 : hole + 1;
    if (begun && day.from + 60s * (&point - day.points.data()) < clock) longest = std::max(longest, hole);
  }
  CHECK(longest == 60);
}

TEST_CASE("a clock that is years ahead for a while costs no history") {
  World world;
  Tally tally;
  for (int minute = 0; minute < 60; ++minute) tally.add(attempt("delivered"), t0 + minute * 1min);
  world.write(tally);
  for (int minute = 0; minute < 5; ++minute) tally.add(attempt("delivered"), t0 + 24h * 3650 + minute * 1min);
  world.write(tally);
  for (int minute = 60; minute < 90; ++minute) tally.add(attempt("delivered"), t0 + minute * 1min);
  world.write(tally);
  CHECK(sum(world.read(Span::day, t0 + 90min)).delivered == 90);
}

TEST_CASE(
    "a clock that is a year ahead for days fills the minutes, and what it left goes first once it is right again") {
  World world;
  Tally tally;
  const Time ahead = t0 + 24h * 365;
  for (int minute = 0; minute < 3 * 24 * 60; ++minute) {
    tally.add(attempt("delivered"), ahead + minute * 1min);
    if (minute % 60 == 59) world.write(tally);
  }
  for (int minute = 0; minute < 90; ++minute) {
    tally.add(attempt("delivered"), t0 + minute * 1min);
    world.write(tally);
  }
  CHECK(sum(world.read(Span::day, t0 + 90min)).delivered == 90);
  CHECK(holes(world.read(Span::day, t0 + 90min)) == 24 * 60 - 90);
  CHECK(world.db.integer("SELECT count(*) FROM statistics_series WHERE step = 60") == 2 * 24 * 60);
  CHECK(sum(world.read(Span::week, t0 + 90min)).delivered == 90);
}

TEST_CASE("a jump by a year costs as much as a minute, forward and back") {
  World world;
  Tally tally;
  for (const Time at : {t0, t0 + 24h * 365, t0, t0 + 24h * 365 * 60, t0 - 24h * 365 * 60}) {
    tally.add(attempt("delivered"), at);
    tally.look({1, 1s}, at);
  }
  CHECK(tally.take().size() == 4);
  for (const Time at : {t0, t0 + 24h * 365, t0, t0 + 24h * 365 * 60, t0 - 24h * 365 * 60}) {
    tally.add(attempt("delivered"), at);
    world.write(tally);
  }
  CHECK(world.db.integer("SELECT count(*) FROM statistics_series") == 3 * 4);
  CHECK(world.db.integer("SELECT sum(delivered) FROM statistics_series WHERE step = 60") == 5);
  CHECK(sum(world.read(Span::day, t0)).delivered == 2);
}

TEST_CASE("rows are bounded: two days of minutes, ninety of hours, two years of days, and less than 5 MiB of them") {
  World world;
  Tally tally;
  const auto busy = [&](Time at) {
    for (int i = 0; i < 2; ++i) tally.add(accepted(1'000'000'000), at);
    tally.add(attempt("delivered"), at);
    tally.look({1'000'000, 24h * 30}, at);
  };
  for (int hour = 0; hour < 24 * 1000; ++hour) {
    busy(t0 + hour * 1h);
    if (hour % 1000 == 999) world.write(tally);
  }
  const Time last = t0 + 24h * 1000;
  for (int minute = 0; minute < 4000; ++minute) {
    busy(last + minute * 1min);
    if (minute % 500 == 499) world.write(tally);
  }
  CHECK(world.db.integer("SELECT count(*) FROM statistics_series WHERE step = 60") == 2 * 24 * 60);
  CHECK(world.db.integer("SELECT count(*) FROM statistics_series WHERE step = 3600") == 90 * 24);
  CHECK(world.db.integer("SELECT count(*) FROM statistics_series WHERE step = 86400") == 2 * 365);
  CHECK(world.db.integer("SELECT count(*) FROM statistics_series") == 5770);
  world.db.execute("VACUUM");
  CHECK(world.db.integer("PRAGMA page_count") * world.db.integer("PRAGMA page_size") < (1 << 20));
}

TEST_CASE("what could not be written stays, within two days of minutes, and the sums stay right") {
  Tally tally;
  for (int minute = 0; minute < 5000; ++minute) {
    tally.add(attempt("delivered"), t0 + minute * 1min);
    tally.put_back(tally.take());
  }
  const Tally::Minutes kept = tally.take();
  CHECK(kept.size() <= 2 * 24 * 60);
  std::uint64_t delivered = 0;
  for (const auto& [minute, figures] : kept) delivered += figures.delivered;
  CHECK(delivered == 5000);
  CHECK(tally.take().empty());
}

TEST_CASE("a database without series, or none at all") {
  support::TempDirectory dir;
  auto db = disk::Database::open(dir.file("queue.db"), disk::Access::read_write).value();
  disk::migrate(db, {{"test", "CREATE TABLE item (id INTEGER PRIMARY KEY)", {}}}).value();
  const Series series =
      store_sqlite::SqliteStatisticsReader::open(dir.file("queue.db")).value().series(Span::week, t0).value();
  CHECK(holes(series) == 7 * 24);
  CHECK(store_sqlite::SqliteStatisticsReader::open(dir.file("none.db")).error().code ==
        errc::no_such_file_or_directory);
}

}  // namespace statistics_series_test
