// SPDX-License-Identifier: Apache-2.0
// What it costs to record deliveries for `hoplock audit` (lib/statistics): the same transactions without the record, with it, and with its
// rows made in each transaction instead of of many batches at once; in turn (A B C A B C).
//   bench_statistics DIRECTORY [--deliveries 200000] [--batch 32] [--rounds 4] [--message-us 0]
// --message-us: processor time that the whole relay takes for a message (scripts/bench e2e, "hoplock CPU ms"), of which a share is told.
// Prints a table for 1, 500 and 5,000 domains: medians, and of the record its share; 1 when a share of 1 % or more is told for 500.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <random>
#include <vector>

#include "disk/migrations.h"
#include "store_sqlite/statistics.h"
#include "tests/bench/common.h"

using namespace hoplock;
using namespace hoplock::statistics;

namespace {

enum class Way : std::uint8_t { without, batches, rows };
constexpr std::array<Way, 3> ways{Way::without, Way::batches, Way::rows};
constexpr double most_share = 0.01;
const Day today{std::chrono::days{20'000}};

struct Load {
  std::size_t deliveries = 0;
  std::size_t batch = 0;  // deliveries that share a transaction
  std::size_t domains = 0;
};

double processor_us() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e6 + static_cast<double>(used.tv_nsec) / 1e3;
}

// As a delivery under DANE is remembered.
void note(Counts& counts, std::size_t domain, std::size_t second) {
  const Time at = today + Seconds(second % 86'400);
  const std::string name = "domain" + std::to_string(domain) + ".example";
  const std::string digest = std::to_string(100'000 + domain) + std::string(58, 'a');
  const auto put = [&](Kind kind, std::string what) {
    Row row;
    row.day = today;
    row.domain = name;
    row.kind = kind;
    row.what = std::move(what);
    counts.note(std::move(row), at, 4'096);
  };
  put(Kind::delivered, join_words({"dane", "TLSv1.3", "dane-ee", "pfs-aead"}));
  put(Kind::key, join_words({digest}));
  put(Kind::tlsa, join_words({"3 1 1 " + digest, signed_mx}));
}

// Processor time of one delivery, in microseconds.
double spent(const std::filesystem::path& directory, const Load& load, Way way) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  auto db = disk::Database::open(directory / "queue.db", disk::Access::read_write).value();
  disk::migrate(db, {store_sqlite::statistics_migration(), store_sqlite::statistics_batch_migration()}).value();
  db.execute("PRAGMA synchronous = OFF; CREATE TABLE result (id INTEGER PRIMARY KEY, story BLOB NOT NULL)");
  disk::Tx tx(db);
  std::mt19937_64 random{7};
  const std::string story(600, 's');  // what is stored of a delivery in any case, about
  const double began = processor_us();
  std::size_t transactions = 0;
  for (std::size_t done = 0; done < load.deliveries; done += load.batch) {
    Counts counts;
    db.execute("BEGIN IMMEDIATE");
    for (std::size_t i = 0; i < load.batch; ++i) {
      tx.prepare("INSERT INTO result (story) VALUES (?1)").bind(disk::Blob{story}).run();
      const std::size_t domain = random() % load.domains;
      if (way == Way::without) continue;
      Counts one;  // each attempt has its own, and those of a transaction are put together
      note(one, domain, done);
      counts.add(std::move(one));
    }
    if (way != Way::without) store_sqlite::add_statistics(tx, counts);
    if (way == Way::rows) store_sqlite::fold_statistics(tx);
    db.execute("COMMIT");
    if (++transactions % 500 == 0) db.integer("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  return (processor_us() - began) / static_cast<double>(load.deliveries);
}

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  if (argc < 2) return 64;
  const std::filesystem::path directory = std::filesystem::path(argv[1]) / "bench-statistics";
  const std::size_t rounds = arguments.number("--rounds", 4);
  const auto message = static_cast<double>(arguments.number("--message-us", 0));
  bool good = true;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const std::size_t domains : {std::size_t{1}, std::size_t{500}, std::size_t{5'000}}) {
    const Load load{arguments.number("--deliveries", 200'000), arguments.number("--batch", 32), domains};
    std::array<std::vector<double>, ways.size()> all;
    for (std::size_t round = 0; round < rounds; ++round) {
      for (std::size_t way = 0; way < ways.size(); ++way) {
        all.at(way).push_back(spent(directory, load, ways.at(way)));
        std::printf("%5zu domains, round %zu, %-8s %6.2f us a delivery\n", domains, round + 1,
                    way == 0 ? "without" : (way == 1 ? "batches" : "rows"), all.at(way).back());
      }
    }
    const double without = median(all[0]), batches = median(all[1]) - without, rows = median(all[2]) - without;
    std::printf("%5zu domains: the record costs %.2f us a delivery, with rows in each transaction %.2f us", domains,
                batches, rows);
    if (message > 0) {
      std::printf("; of %.0f us that a message takes %.2f %% and %.2f %%", message, 100 * batches / message,
                  100 * rows / message);
      good = good && (domains != 500 || batches / message < most_share);
    }
    std::printf("\n");
  }
  std::filesystem::remove_all(directory);
  return good ? 0 : 1;
}
