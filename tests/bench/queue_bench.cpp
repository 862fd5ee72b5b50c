// SPDX-License-Identifier: Apache-2.0
// What the queue alone can do, without SMTP or DNS: commits and settled leases a second, and the cost of a million messages.
//   bench_queue DIRECTORY [intake] [flow] [large] [million [COUNT]]
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>

#include "queue/queue.h"
#include "store_sqlite/mail_reader.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/rows.h"

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;

namespace {

using Clock = std::chrono::steady_clock;

Time wall() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

struct Setup {
  explicit Setup(const std::filesystem::path& directory) {
    disk::Options on_disk;
    on_disk.directory = directory;
    on_disk.migrations = mail_migrations();
    disk = std::move(disk::Disk::open(loop.get_executor(), on_disk).value());
    mail = std::make_unique<SqliteMailStore>(*disk);
    queue = std::make_unique<Queue>(*mail, Options{}, [](const dns::Name& domain) { return domain.text(); });
    run(queue->start(wall())).value();
  }
  template <class T>
  T run(asio::awaitable<T> work) {
    std::optional<T> value;
    asio::co_spawn(loop, std::move(work), [&](std::exception_ptr thrown, T result) {
      if (thrown) std::rethrow_exception(thrown);
      value.emplace(std::move(result));
    });
    loop.restart();
    loop.run();
    return std::move(*value);
  }
  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(loop, std::move(work), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  void run_all() {
    loop.restart();
    loop.run();
  }
  asio::io_context loop{1};
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<SqliteMailStore> mail;
  std::unique_ptr<Queue> queue;
};

struct Load {
  std::size_t size = 1024;
  int domains = 1;
  int left = 0;
  int committed = 0;
  std::vector<double> latency_ms;
};

asio::awaitable<void> writer(Queue& queue, Load& load) {
  while (load.left-- > 0) {
    auto message = queue.begin(wall());
    (co_await message.write(std::string(load.size, 'x'))).value();
    std::vector<NewRecipient> to(1);
    const auto domain = "d" + std::to_string(load.committed % load.domains) + ".example";
    to[0].domain = dns::Name::parse(domain).value();
    to[0].address = "user@" + domain;
    Envelope envelope;
    envelope.sender = "sender@example.net";
    envelope.client = "127.0.0.1";
    const auto start = Clock::now();
    (co_await message.commit(std::move(envelope), std::move(to))).value();
    load.latency_ms.push_back(since(start) * 1e3);
    ++load.committed;
  }
}

struct Sink {
  std::map<std::string, int> sessions;  // of a destination
  int per_destination = 20;
  int delivered = 0;
};

asio::awaitable<void> session(Queue& queue, Sink& sink, std::string destination) {
  for (;;) {
    LeaseLimit limit;
    limit.messages = 1;
    auto jobs = (co_await queue.lease(destination, wall(), limit)).value();
    if (jobs.empty()) break;
    Results results;
    results.now = wall();
    for (const auto& job : jobs) {
      Settled settled;
      settled.id = job.id;
      settled.destination = destination;
      for (const auto& due : job.recipients) {
        RecipientResult result;
        result.seq = due.seq;
        result.verdict = Verdict::delivered;
        settled.recipients.push_back(result);
      }
      results.settled.push_back(std::move(settled));
    }
    const auto count = static_cast<int>(jobs.size());
    (co_await queue.apply(std::move(results))).value();
    sink.delivered += count;
  }
  --sink.sessions[destination];
}

void start_sessions(Setup& setup, Sink& sink, const std::vector<Ready>& ready) {
  for (const auto& r : ready) {
    // Counted first: a session that finds nothing ends before spawn() returns.
    const int more = sink.per_destination - sink.sessions[r.destination];
    sink.sessions[r.destination] += std::max(more, 0);
    for (int i = 0; i < more; ++i) setup.spawn(session(*setup.queue, sink, r.destination));
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

void report(const char* what, double seconds, double cpu, int count) {
  std::printf("%-44s %8.0f /s  %7.1f us CPU each", what, count / seconds, cpu / count * 1e6);
}

void intake(Setup& setup, int writers, Load load) {
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  const int count = load.left;
  for (int i = 0; i < writers; ++i) setup.spawn(writer(*setup.queue, load));
  setup.run_all();
  char what[80];
  std::snprintf(what, sizeof what, "intake %5zu octets, %3d writers, %3d domains", load.size, writers, load.domains);
  report(what, since(start), cpu_seconds() - cpu, count);
  std::printf("  median %.2f ms\n", median(load.latency_ms));
}

void drain(Setup& setup, int per_destination) {
  Sink sink;
  sink.per_destination = per_destination;
  setup.queue->on_work([](std::vector<Ready>) {});
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  for (;;) {
    auto work = setup.run(setup.queue->ready(wall(), 100, {})).value();
    if (work.ready.empty()) break;
    start_sessions(setup, sink, work.ready);
    setup.run_all();
  }
  char what[80];
  std::snprintf(what, sizeof what, "lease and apply, %d sessions a destination", per_destination);
  report(what, since(start), cpu_seconds() - cpu, std::max(1, sink.delivered));
  std::printf("  rss %.0f MiB\n", resident_mib());
}

void flow(Setup& setup, int writers, Load load) {
  Sink sink;
  setup.queue->on_work([&](const std::vector<Ready>& ready) { start_sessions(setup, sink, ready); });
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  const int count = load.left;
  for (int i = 0; i < writers; ++i) setup.spawn(writer(*setup.queue, load));
  setup.run_all();
  char what[80];
  std::snprintf(what, sizeof what, "in and out %5zu octets, %d writers, %d domains", load.size, writers, load.domains);
  report(what, since(start), cpu_seconds() - cpu, count);
  std::printf("  delivered %d, rss %.0f MiB\n", sink.delivered, resident_mib());
  setup.queue->on_work([](std::vector<Ready>) {});
}

// One client's large message, in the pieces in which a socket gives it.
asio::awaitable<void> large_writer(Queue& queue, std::size_t size) {
  auto message = queue.begin(wall());
  for (std::size_t sent = 0; sent < size; sent += 16 << 10)
    (co_await message.write(std::string(16 << 10, 'x'))).value();
  std::vector<NewRecipient> to(1);
  to[0].domain = dns::Name::parse("large.example").value();
  to[0].address = "user@large.example";
  Envelope envelope;
  (co_await message.commit(std::move(envelope), std::move(to))).value();
}

void large(Setup& setup, int writers, std::size_t size) {
  const double before = resident_mib();
  const auto start = Clock::now();
  for (int i = 0; i < writers; ++i) setup.spawn(large_writer(*setup.queue, size));
  double most = 0;
  setup.loop.restart();
  for (setup.loop.run_for(Milliseconds(50)); !setup.loop.stopped(); setup.loop.run_for(Milliseconds(50)))
    most = std::max(most, resident_mib());
  std::printf("%d writers of %zu MiB: %.0f MiB/s, memory rose by %.0f MiB\n", writers, size >> 20,
              writers * static_cast<double>(size >> 20) / since(start), most - before);
}

template <class F>
double timed(const char* what, F function) {
  const auto start = Clock::now();
  function();
  const double seconds = since(start);
  std::printf("%-44s %8.1f ms  rss %.0f MiB\n", what, seconds * 1e3, resident_mib());
  return seconds;
}

// Half of it for one dead domain, the rest over 10,000.
void fill(const std::filesystem::path& directory, int count) {
  { Setup setup(directory); }
  auto db = disk::Database::open(directory / "queue.db", disk::Access::read_write).value();
  const auto first = std::to_string(Id::at(wall() - std::chrono::hours(20)).value);
  const auto due = std::to_string(to_millis(wall() - std::chrono::hours(1)));
  const auto numbers =
      "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < " + std::to_string(count) + ") ";
  db.execute("PRAGMA synchronous=OFF");
  db.execute("BEGIN");
  db.execute(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)"
      " INSERT INTO destination (id, name, due) SELECT i, 'm' || i || '.example', " +
      due + " FROM n");
  db.execute("INSERT INTO domain SELECT id, name, id, due FROM destination");
  db.execute(numbers + "INSERT INTO message SELECT " + first + " + i * 5000, " + due +
             ", 1024, 1, 1, 0, 'sender@example.net', '127.0.0.1', NULL FROM n");
  db.execute(numbers + "INSERT INTO recipient (id, domain, state, due, attempts, interval, address, notify) SELECT (" +
             first + " + i * 5000) << 15, iif(i % 2, 1, i / 2 % 10000 + 2), 0, " + due +
             " + i / 1000, 0, 0, 'user' || i || '@m.example', 0 FROM n");
  const std::string body(1024, 'x');
  auto chunk = db.prepare("INSERT INTO chunk VALUES (?1, ?3, ?2)");
  const auto base = std::stoll(first);
  for (int i = 0; i < count; ++i)
    chunk.bind((base + std::int64_t{i} * 5000) << 15, disk::Blob{body}, checksum(body)).run();
  db.execute("COMMIT");
}

void million(const std::filesystem::path& directory, int count) {
  const auto place = directory / "million";
  if (!std::filesystem::exists(place)) timed("fill", [&] { fill(place, count); });
  std::unique_ptr<Setup> setup;
  std::vector<Ready> ready;
  timed("open and start", [&] { setup = std::make_unique<Setup>(place); });
  timed("ready, the first 1000", [&] { ready = setup->run(setup->queue->ready(wall(), 1000, {})).value().ready; });
  timed("first lease", [&] {
    auto jobs = setup->run(setup->queue->lease(ready[5].destination, wall(), {})).value();
    Results back;
    back.now = wall();
    back.settled.push_back({jobs[0].id, jobs[0].destination, {}, {}});
    setup->run(setup->queue->apply(std::move(back))).value();
  });
  timed("first lease of the dead domain", [&] {
    auto jobs = setup->run(setup->queue->lease("m1.example", wall(), {})).value();
    Results back;
    back.now = wall();
    back.settled.push_back({jobs[0].id, jobs[0].destination, {}, {}});
    DestinationChange down;
    down.destination = "m1.example";
    down.backoff.emplace();
    down.backoff->until = wall() + std::chrono::hours(1);
    back.destinations.push_back(down);
    setup->run(setup->queue->apply(std::move(back))).value();
  });
  auto reader = SqliteMailReader::open(place / "queue.db").value();
  const auto look = [&](const char* what) { timed(what, [&] { (void)reader.stats({}).value(); }); };
  look("queue stats");
  look("queue stats, again");
  timed("queue list --domain, 50 messages", [&] {
    Filter filter;
    filter.domain = dns::Name::parse("m77.example").value();
    int found = 0;
    reader.list(filter, [&](const MessageView&) { return ++found ? Go::on : Go::stop; }).value();
    std::printf("(%d) ", found);
  });
  timed("queue list, 1000 messages", [&] {
    int found = 0;
    reader.list({}, [&](const MessageView&) { return ++found < 1000 ? Go::on : Go::stop; }).value();
  });
  Load load;
  for (const int domains : {1, 500}) {
    load.left = 20'000;
    load.domains = domains;
    intake(*setup, 50, load);
  }
  Selection dead;
  dead.by = Selection::By::domain;
  dead.domain = dns::Name::parse("m1.example").value();
  for (const auto action : {Action::hold, Action::release, Action::retry, Action::remove}) {
    const auto what = std::string(to_text(action)) + " the dead domain's messages";
    timed(what.c_str(), [&] {
      const auto touched = setup->run(setup->queue->act(action, dead, wall())).value();
      std::printf("(%llu) ", static_cast<unsigned long long>(touched.messages));
    });
  }
  drain(*setup, 20);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 64;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::filesystem::path directory = argv[1];
  const auto wants = [&](const std::string& word) {
    return argc == 2 || std::any_of(argv + 2, argv + argc, [&](const char* arg) { return word == arg; });
  };
  const auto fresh = directory / "fresh";
  std::filesystem::remove_all(fresh);
  if (wants("intake")) {
    Setup setup(fresh);
    Load load;
    for (const int writers : {1, 10, 50}) {
      load.left = writers == 1 ? 1000 : 20'000;
      intake(setup, writers, load);
    }
    load.domains = 500;
    load.left = 20'000;
    intake(setup, 50, load);
    load.size = 10 * 1024;
    intake(setup, 50, load);
    drain(setup, 20);
  }
  if (wants("flow")) {
    Setup setup(fresh);
    Load load;
    load.size = 4096;
    for (const int domains : {1, 500}) {
      load.left = 20'000;
      load.domains = domains;
      flow(setup, 20, load);
    }
    drain(setup, 20);
  }
  if (wants("large")) {
    Setup setup(fresh);
    large(setup, 100, 20 << 20);
  }
  if (wants("million")) million(directory, argc > 3 ? std::stoi(argv[argc - 1]) : 1'000'000);
  std::filesystem::remove_all(fresh);
  return 0;
}
