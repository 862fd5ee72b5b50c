// SPDX-License-Identifier: Apache-2.0
// Everything between the queue and the servers, on a loop of the test's own: a real database, a DNS made of maps, the scheduler, and
// sinks. Destinations are domains; each has one MX.
#pragma once
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "delivery/scheduler.h"
#include "disk/disk.h"
#include "queue/queue.h"
#include "reports/returned.h"
#include "store_sqlite/ledger.h"
#include "store_sqlite/mail_reader.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/report_mails.h"
#include "store_sqlite/statistics.h"
#include "tests/delivery/sink.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace hoplock::delivery::testing {

using namespace std::chrono_literals;
using support::name;

inline Time wall() { return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()); }

struct Relay {
  explicit Relay(std::string directory_ = {}) : directory(std::move(directory_)) {
    if (directory.empty()) directory = own.file("data");
    options.hostname = name("relay.example.net");
    options.connect_timeout = 2s;
    options.command_timeout = 5s;
    options.data_timeout = 5s;
    options.idle_session = 100ms;
    options.retry.first = 500ms;
    options.retry.jitter = 0;
    open_queue();
  }
  ~Relay() {
    stop();
    for (const auto& sink : sinks) loop.run(sink->end());
  }

  void open_queue() {
    disk::Options on_disk;
    on_disk.directory = directory;
    on_disk.migrations = store_sqlite::mail_migrations();
    for (const auto& more : store_sqlite::ledger_migrations()) on_disk.migrations.push_back(more);
    on_disk.migrations.push_back(store_sqlite::report_mail_migration());
    on_disk.migrations.push_back(store_sqlite::statistics_migration());
    on_disk.migrations.push_back(store_sqlite::statistics_batch_migration());
    disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
    queue::Options options_of_queue;
    options_of_queue.min_free_space = 0;
    mail = std::make_unique<store_sqlite::SqliteMailStore>(*disk);
    queue = std::make_unique<queue::Queue>(*mail, options_of_queue, [this](const dns::Name& domain) {
      return router ? router->table().destination(domain, wall())
                    : route::Table(routes, {}).destination(domain, wall());
    });
    loop.run(queue->start(wall())).value();
  }

  Sink& sink(const char* address = "127.0.0.2") {
    sinks.push_back(std::make_unique<Sink>(loop.executor(), log, address, port));
    port = sinks.back()->port();
    return *sinks.back();
  }
  // Its MX is at that address, which may have no server.
  void domain(const std::string& text, const std::string& address = "127.0.0.2") {
    dns.add(text + " MX 10 mx." + text + "\nmx." + text + " A " + address);
  }

  void start() {
    router = std::make_unique<route::Router>(route::Router::Parts{dns}, routing(), std::mt19937_64{7});
    scheduler = std::make_unique<Scheduler>(Services{loop.executor(), *queue, *router, log});
    set();
    scheduler->start();
  }
  void set() {
    net::TlsOptions from;
    from.ca_file = own.write("ca.pem", ca.pem());
    scheduler->set(options, net::ClientTls::load(from).value());
  }
  route::Options routing() const {
    route::Options routing;
    routing.local_targets = route::LocalTargets::allow;
    routing.port = port;
    routing.routes = routes;
    routing.address_family = family;
    return routing;
  }
  // As a SIGHUP: the router at once, the queue when it is told.
  void reload(std::vector<route::Route> now) {
    routes = std::move(now);
    router->reload(routing());
  }
  void stop(std::chrono::milliseconds within = 2s) {
    if (!scheduler) return;
    loop.run(scheduler->stop(std::chrono::steady_clock::now() + within));
    scheduler.reset();
    loop.io().poll();
  }
  // As if the process had died: nothing is awaited, then everything anew on the same data.
  void restart() {
    stop(0ms);
    queue.reset();
    disk.reset();
    loop.io().restart();
    loop.io().poll();
    open_queue();
    start();
  }

  store::Id put(const std::vector<std::string>& to, const std::string& body = "Subject: x\r\n\r\nhello\r\n",
                Time received = wall()) {
    return loop.run(commit(*queue, to, body, received, sender));
  }
  std::string sender = "alice@example.net";  // of what is put
  static asio::awaitable<store::Id> commit(queue::Queue& into, std::vector<std::string> to, std::string body,
                                           Time received, std::string from = "alice@example.net") {
    auto writer = into.begin(received);
    (co_await writer.write(std::move(body))).value();
    store::Envelope envelope;
    envelope.sender = std::move(from);
    std::vector<store::NewRecipient> recipients;
    for (const std::string& address : to) {
      store::NewRecipient recipient;
      recipient.address = address;
      recipient.domain = name(address.substr(address.find('@') + 1));
      recipients.push_back(std::move(recipient));
    }
    const auto id = co_await writer.commit(std::move(envelope), std::move(recipients));
    co_return id.value();
  }
  // `count` messages, "u0@domain", "u1@domain", …, many at a time.
  void put_many(std::size_t count, const std::string& at, std::size_t size = 100) {
    net::TaskGroup writers(loop.executor(), log);
    auto next = std::make_shared<std::size_t>(0);
    for (int i = 0; i < 64; ++i) writers.spawn("writer", write_many(*queue, next, count, at, size));
    loop.run(wait_for(writers), 120s);
  }
  static asio::awaitable<void> write_many(queue::Queue& into, std::shared_ptr<std::size_t> next, std::size_t count,
                                          std::string at, std::size_t size) {
    while (*next < count) {
      std::vector<std::string> to{"u" + std::to_string((*next)++) + "@" + at};
      std::string body = "Subject: x\r\n\r\n" + std::string(size, 'x') + "\r\n";
      co_await commit(into, std::move(to), std::move(body), wall());
    }
  }
  static asio::awaitable<void> wait_for(net::TaskGroup& group) {
    co_await group.join(std::chrono::steady_clock::now() + 120s);
  }

  // Runs the loop until it is so; false: it was not in time.
  template <class Condition>
  bool until(Condition condition, std::chrono::milliseconds within = 10s) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    loop.io().restart();
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      loop.io().run_one_for(5ms);
      if (loop.io().stopped()) loop.io().restart();
    }
    return true;
  }
  void pass(std::chrono::milliseconds time) {
    until([] { return false; }, time);
  }

  std::vector<store::MessageView> list() {
    store::Filter filter;
    filter.active = queue->active();
    std::vector<store::MessageView> all;
    auto reader = store_sqlite::SqliteMailReader::open(std::filesystem::path(directory) / "queue.db").value();
    const auto collect = [&all](const store::MessageView& one) {
      all.push_back(one);
      return store::Go::on;
    };
    reader.list(filter, collect).value();
    return all;
  }

  support::TempDirectory own;
  std::string directory;
  support::Certificate ca{{.cn = "Test CA", .ca = true}};
  support::Loop loop;
  support::MemoryLog log;
  support::FakeResolver dns;
  std::uint16_t port = 0;
  Options options;
  std::vector<route::Route> routes;
  route::AddressFamily family = route::AddressFamily::any;
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<store_sqlite::SqliteMailStore> mail;
  std::unique_ptr<queue::Queue> queue;
  std::unique_ptr<route::Router> router;
  std::vector<std::unique_ptr<Sink>> sinks;
  std::unique_ptr<Scheduler> scheduler;
};

}  // namespace hoplock::delivery::testing
