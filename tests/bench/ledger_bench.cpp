// SPDX-License-Identifier: Apache-2.0
// What the ledger of TLS reports costs on a large day: octets on disk, time to count a session, time and memory to build all reports.
//   bench_ledger DIRECTORY [--sessions 10000000] [--domains 50000] [--hostile]
// Prints a table; 0 when the targets are met: 200 MiB, 5 minutes, memory that does not grow with the day.
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <random>

#include "store_sqlite/ledger.h"
#include "tests/bench/common.h"

using namespace hoplock;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;

namespace {

using Clock = std::chrono::steady_clock;
using tlsrpt::PolicyType;
using tlsrpt::ResultType;
using tlsrpt::Sessions;

constexpr double mib = 1 << 20;
constexpr double most_mib = 200;
constexpr double most_seconds = 300;
constexpr double most_rise_mib = 64;
constexpr std::size_t batch = 128;  // deliveries that share a transaction
constexpr tlsrpt::Day today{std::chrono::days{20'000}};

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

dns::Name name_of(std::size_t domain) {
  return dns::Name::parse("domain" + std::to_string(domain) + ".example").value();
}

// A day as relays see it: few domains get most of the mail; two in five publish MTA-STS, one in five DANE, some both; three sessions
// in a hundred fail, at one of two hosts with two addresses each. One domain in fifty changes its policy. Hostile: all fail, and no
// two servers say the same.
class Traffic {
 public:
  Traffic(std::size_t domains, bool hostile) : domains_(domains), hostile_(hostile) {}

  void one(LedgerCounts& counts) {
    const double u = std::uniform_real_distribution<double>(0, 1)(random_);
    const auto domain =
        std::min(domains_ - 1, static_cast<std::size_t>(std::pow(static_cast<double>(domains_), u)) - 1 + seen_ % 7);
    const std::size_t which = seen_ < domains_ ? seen_ : domain;  // each at least once
    ++seen_;
    const dns::Name name = name_of(which);
    const bool failed = hostile_ || random_() % 100 < 3;
    std::vector<Sessions> session;
    if (which % 5 < 2) session.push_back(of(sts(name, which % 50 == 0 && random_() % 2 == 0), failed, name));
    if (which % 5 == 1 || which % 5 == 2) session.push_back(of(dane(name), failed, name));
    if (session.empty()) session.push_back(of({PolicyType::no_policy_found, {}, name, {}}, failed, name));
    counts.add({today, name}, session);
  }

 private:
  static tlsrpt::Policy sts(const dns::Name& name, bool changed) {
    const std::string mx = "mx." + name.text();
    return {PolicyType::sts,
            {"version: STSv1", "mode: enforce", "mx: " + mx, "mx: backup." + mx,
             changed ? "max_age: 86400" : "max_age: 604800"},
            name,
            {mx, "backup." + mx}};
  }
  static tlsrpt::Policy dane(const dns::Name& name) {
    const std::string digest(64, 'a');
    return {
        PolicyType::tlsa, {"3 1 1 " + digest, "2 1 1 " + digest}, dns::Name::parse("mx." + name.text()).value(), {}};
  }
  Sessions of(tlsrpt::Policy policy, bool failed, const dns::Name& name) {
    Sessions one;
    one.policy = std::move(policy);
    (failed ? one.failures : one.successes) = 1;
    if (!failed) return one;
    const auto host = std::to_string(random_() % 2);
    tlsrpt::Failure failure;
    failure.type = static_cast<ResultType>(random_() % 4);
    failure.sending_ip = Ip::parse("192.0.2.1").value();
    failure.receiving_host = "mx" + host + "." + name.text();
    failure.receiving_ip = Ip::parse("198.51.100." + std::to_string(random_() % 2)).value();
    failure.receiving_helo = hostile_ ? "host-" + std::to_string(random_()) + ".example" : failure.receiving_host;
    failure.reason = "certificate of another name";
    failure.sessions = 1;
    one.details.push_back(std::move(failure));
    return one;
  }

  std::size_t domains_;
  bool hostile_;
  std::size_t seen_ = 0;
  std::mt19937_64 random_{7};
};

struct Ledger {
  explicit Ledger(const std::filesystem::path& directory)
      : db(disk::Database::open(directory / "queue.db", disk::Access::read_write).value()), tx(db) {
    disk::migrate(db, ledger_migrations()).value();
  }
  template <class F>
  void transaction(F write) {
    db.execute("BEGIN");
    write();
    db.execute("COMMIT");
    if (++commits % 500 == 0) db.integer("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  double size_mib() {
    db.integer("PRAGMA wal_checkpoint(TRUNCATE)");
    const auto pages = db.integer("PRAGMA page_count") - db.integer("PRAGMA freelist_count");
    return static_cast<double>(pages * db.integer("PRAGMA page_size")) / mib;
  }
  disk::Database db;
  disk::Tx tx;
  std::size_t commits = 0;
};

bool row(const char* what, double value, double most) {
  std::printf("%-48s %10.1f  %s %.0f  %s\n", what, value, "<", most, value < most ? "met" : "MISSED");
  return value < most;
}

void count(Ledger& ledger, Traffic traffic, std::size_t sessions) {
  const auto start = Clock::now();
  double generating = 0;
  for (std::size_t done = 0; done < sessions; done += batch) {
    const auto began = Clock::now();
    LedgerCounts counts;
    for (std::size_t i = 0; i < batch; ++i) traffic.one(counts);
    generating += since(began);
    ledger.transaction([&] { add_counts(ledger.tx, counts); });
  }
  std::printf("%-48s %10.2f\n", "counting a session, microseconds",
              (since(start) - generating) * 1e6 / static_cast<double>(sessions));
}

// One transaction a report, as the sender builds them.
std::uint64_t build_all(Ledger& ledger) {
  const auto by = tlsrpt::Submitter::make("Bench", "tlsrpt@relay.example", "tlsrpt@relay.example").value();
  std::uint64_t sessions = 0;
  for (;;) {
    const auto keys = unplanned_reports(ledger.tx, today + std::chrono::days{1}, 256);
    if (keys.empty()) return sessions;
    for (const ReportKey& key : keys)
      ledger.transaction([&] { sessions += build_report(ledger.tx, key, by)->sessions; });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  if (argc < 2) return 64;
  const std::filesystem::path directory = std::filesystem::path(argv[1]) / "bench-ledger";
  const std::size_t sessions = arguments.number("--sessions", 10'000'000);
  const std::size_t domains = arguments.number("--domains", 50'000);
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  bool good = true;
  {
    Ledger ledger(directory);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    std::printf("%zu sessions to %zu domains%s\n", sessions, domains,
                arguments.flag("--hostile") ? ", all fail, each in its own way" : "");
    count(ledger, Traffic(domains, arguments.flag("--hostile")), sessions);
    good = row("the ledger, MiB", ledger.size_mib(), most_mib) && good;
    const double before = peak_mib();
    const auto start = Clock::now();
    const std::uint64_t told = build_all(ledger);
    good = row("building all reports, s", since(start), most_seconds) && good;
    good = row("rise of memory meanwhile, MiB", peak_mib() - before, most_rise_mib) && good;
    const std::uint64_t counted = (sessions + batch - 1) / batch * batch;
    std::printf("%-48s %10.1f\n", "the ledger with all reports built, MiB", ledger.size_mib());
    std::printf("%-48s %10llu of %llu\n", "sessions in the reports", static_cast<unsigned long long>(told),
                static_cast<unsigned long long>(counted));
    good = good && told == counted;
  }
  std::filesystem::remove_all(directory);
  return good ? 0 : 1;
}
