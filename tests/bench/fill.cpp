// SPDX-License-Identifier: Apache-2.0
// Fills a daemon's database with mail that waits, through the queue's own code, the daemon stopped:
//   bench_fill CONFIG COUNT DOMAINS [OCTETS]   1 KiB each; half of it to the domain dead.bench, due now, the rest, tried once and deferred
//                                        for hours, spread over w00001.clear, w00002.clear, …
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "config/check.h"
#include "daemon/options.h"
#include "disk/disk.h"
#include "queue/queue.h"
#include "store_sqlite/mail_store.h"

using namespace hoplock;
namespace asio = boost::asio;

namespace {

constexpr int writers = 200;
constexpr int settlers = 32;

Time wall() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

struct Fill {
  int count = 0;
  int domains = 0;
  std::size_t octets = 1000;
  int committed = 0;
  int domain = 1;
  int deferred = 0;
};

std::string name_of(int domain) {
  char text[32];
  std::snprintf(text, sizeof text, domain == 0 ? "dead.bench" : "w%05d.clear", domain);
  return text;
}

asio::awaitable<void> write(queue::Queue& into, Fill& fill) {
  const std::string body = "Subject: waiting\r\n\r\n" + std::string(fill.octets, 'x') + "\r\n";
  while (fill.committed < fill.count) {
    const int number = fill.committed++;
    const std::string domain = name_of(number % 2 == 0 ? 0 : number / 2 % (fill.domains - 1) + 1);
    auto message = into.begin(wall());
    std::string octets = body;
    (co_await message.write(std::move(octets))).value();
    std::vector<store::NewRecipient> to(1);
    to[0].address = "user" + std::to_string(number) + "@" + domain;
    to[0].domain = dns::Name::parse(domain).value();
    store::Envelope envelope;
    envelope.sender = "sender" + std::to_string(number % 1000) + "@d499.clear";
    envelope.client = "127.0.0.1";
    envelope.msgid = "<" + std::to_string(number) + "@d499.clear>";
    (co_await message.commit(std::move(envelope), std::move(to))).value();
    if (number % 100'000 == 0) std::fprintf(stderr, "%d of %d\n", number, fill.count);
  }
}

store::Settled deferred(const store::Job& job, Time due) {
  store::Settled settled;
  settled.id = job.id;
  settled.destination = job.destination;
  for (const auto& recipient : job.recipients) {
    store::RecipientResult result;
    result.seq = recipient.seq;
    result.due = due;
    result.interval = std::chrono::hours(4);
    result.status = "4.7.323";
    result.reply =
        "450 4.7.323 tlsa-invalid: mx." + job.destination + "[192.0.2.1]: no TLSA record matches the certificate";
    result.reason = "tlsa-invalid";
    result.host = "mx." + job.destination + "[192.0.2.1]";
    settled.recipients.push_back(std::move(result));
  }
  settled.history_entry =
      R"({"event":"deferred","domain":")" + job.destination +
      R"(","mx":"mx.example.org","ip":"192.0.2.1","policy":"dane","tls":"TLSv1.3","auth":"none","reason":"tlsa-invalid"})";
  return settled;
}

// Each lease and its end as delivery has them.
asio::awaitable<void> defer(queue::Queue& in, Fill& fill) {
  while (fill.domain < fill.domains) {
    const std::string destination = name_of(fill.domain++);
    for (;;) {
      queue::LeaseLimit limit;
      limit.messages = 500;
      auto jobs = (co_await in.lease(destination, wall(), limit)).value();
      if (jobs.empty()) break;
      store::Results results;
      results.now = wall();
      for (const auto& job : jobs) {
        const int number = fill.deferred++;
        results.settled.push_back(
            deferred(job, wall() + std::chrono::hours(4) + std::chrono::milliseconds(number * 28)));
      }
      (co_await in.apply(std::move(results))).value();
    }
  }
}

struct Run {
  asio::io_context loop{1};
  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(loop, std::move(work), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  void all() {
    loop.restart();
    loop.run();
  }
};

asio::awaitable<void> begin(queue::Queue& of) { (co_await of.start(wall())).value(); }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return 64;
  const auto loaded = config::load(argv[1]);
  Fill fill;
  fill.count = std::atoi(argv[2]);
  fill.domains = std::atoi(argv[3]);
  if (argc == 5) fill.octets = std::strtoul(argv[4], nullptr, 10);
  Run run;
  auto disk = std::move(disk::Disk::open(run.loop.get_executor(), daemon::disk_options(loaded.config)).value());
  store_sqlite::SqliteMailStore mail(*disk);
  queue::Queue queue(mail, daemon::queue_options(loaded.config), [](const dns::Name& domain) { return domain.text(); });
  run.spawn(begin(queue));
  run.all();
  for (int i = 0; i < writers; ++i) run.spawn(write(queue, fill));
  run.all();
  for (int i = 0; i < settlers; ++i) run.spawn(defer(queue, fill));
  run.all();
  std::printf("%d messages, %d deferred\n", fill.committed, fill.deferred);
  return fill.committed == fill.count ? 0 : 1;
}
