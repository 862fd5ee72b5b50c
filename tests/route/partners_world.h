// SPDX-License-Identifier: Apache-2.0
// The partners of a daemon, over a store of their own, and words for what is ordered of them.
#pragma once
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/task_group.h"
#include "route/partners.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/partner_reader.h"
#include "store_sqlite/partner_store.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"

namespace hoplock::route::partners_test {

using partners::Entry;
using partners::Order;
using partners::Rule;

#ifdef HOPLOCK_SANITIZED
inline constexpr int slower = 5;
#else
inline constexpr int slower = 1;
#endif

inline const Time now_here = std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
inline const partners::Day this_day = std::chrono::floor<std::chrono::days>(now_here);

inline Entry made(const std::string& domain, Rule rule = Rule::mandate, hop::Mandate level = hop::Mandate::dane) {
  Entry entry;
  entry.domain = partners::parse_domain(domain).value();
  entry.rule = rule;
  if (rule == Rule::mandate) entry.level = level;
  entry.note = "ticket 4711";
  return entry;
}

inline Order put(Entry entry) {
  Order order;
  order.entry = std::move(entry);
  return order;
}
inline Order removal(const std::string& domain, std::optional<Rule> only = std::nullopt) {
  Order order;
  order.what = Order::What::remove;
  order.entry.domain = partners::parse_domain(domain).value();
  order.only = only;
  return order;
}

inline dns::Name named(const std::string& text) { return dns::Name::parse(text).value(); }

struct PartnersWorld {
  explicit PartnersWorld() { start(); }
  void start() {
    disk::Options options;
    options.directory = dir.file("data");
    options.migrations = store_sqlite::mail_migrations();
    options.migrations.push_back(store_sqlite::partner_migration());
    disk = std::move(disk::Disk::open(loop.executor(), options).value());
    kept = std::make_unique<store_sqlite::SqlitePartnerStore>(*disk);
    service = std::make_unique<Partners>(*kept, log, [this] { return at; });
    service->on_change([this](partners::BookPtr book, std::vector<dns::Pattern> changed) {
      ++followed;
      in_force = std::move(book);
      last_changed = changed.size();
      for (const dns::Pattern& one : changed) all_changed = all_changed || one.kind == dns::Pattern::Kind::any;
    });
    loop.run(service->load()).value();
  }
  void restart() {
    service.reset();
    kept.reset();
    disk.reset();
    start();
  }
  partners::Done order(std::vector<Order> orders) {
    return loop.run(service->carry_out(std::move(orders), "ann")).value();
  }
  partners::Terms terms(const std::string& domain) { return in_force->find(named(domain), at); }
  std::vector<std::string> told(std::string_view action) {
    std::vector<std::string> domains;
    for (const auto& event : log.events("partner"))
      if (event.get("action") == action) domains.emplace_back(event.get("domain"));
    std::sort(domains.begin(), domains.end());
    return domains;
  }
  std::vector<std::string> listed() {
    std::vector<std::string> all;
    auto reader = store_sqlite::SqlitePartnerReader::open(disk->path()).value();
    reader
        .list(
            [&](const Entry& entry) { all.push_back(dns::to_text(entry.domain) + " " + std::string(word_of(entry))); })
        .value();
    return all;
  }
  void write(std::function<void(disk::Tx&)> call) {
    auto job = [call](disk::Tx& tx) -> Result<> {
      call(tx);
      return {};
    };
    loop.run(disk->run(disk::Durability::durable, std::move(job))).value();
  }
  // For a time in which nothing is to happen.
  void watch(std::chrono::milliseconds time) {
    watch_until([] { return true; }, time);
  }
  void watch_until_followed() {
    watch_until([this, before = followed] { return followed > before; });
  }
  void watch_until(std::function<bool()> enough, std::chrono::milliseconds and_then = std::chrono::milliseconds(20)) {
    net::TaskGroup tasks(loop.executor(), log);
    tasks.spawn("partners", service->watch());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (!enough() && std::chrono::steady_clock::now() < deadline) loop.run(pause(std::chrono::milliseconds(5)));
    loop.run(pause(and_then));
    tasks.stop();
    loop.run(tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds{5}));
  }
  static boost::asio::awaitable<void> pause(std::chrono::milliseconds time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
    co_await timer.async_wait(boost::asio::use_awaitable);
  }

  Time at = now_here;
  support::TempDirectory dir;
  support::Loop loop;
  support::MemoryLog log;
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<store_sqlite::SqlitePartnerStore> kept;
  std::unique_ptr<Partners> service;
  partners::BookPtr in_force;
  int followed = 0;
  std::size_t last_changed = 0;
  bool all_changed = false;
};

}  // namespace hoplock::route::partners_test
