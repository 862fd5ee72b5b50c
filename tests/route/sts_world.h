// SPDX-License-Identifier: Apache-2.0
// A cache of policies over a fake DNS and policy hosts made of a map, on a real database in a directory of its own.
#pragma once
#include <doctest/doctest.h>

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "net/task_group.h"
#include "route/sts.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/policy_store.h"
#include "tests/support/fake_policies.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"

namespace hoplock::route::testing {

using support::FakeFetch;
using support::name;
using support::policy;
using StsState = hop::StsFact::State;
using hop::Reason;
using namespace store;
using namespace store_sqlite;

inline Time now() { return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()); }

struct StsWorld {
  explicit StsWorld(const std::string& zone = "_mta-sts.example.org TXT v=STSv1; id=1;") : dns(zone) {
    dns.ttl = std::chrono::seconds{0};  // every attempt asks
    start();
  }
  void start() {
    disk::Options on_disk;
    on_disk.directory = dir.file("data");
    on_disk.migrations = store_sqlite::mail_migrations();
    for (const auto& more : policy_migrations()) on_disk.migrations.push_back(more);
    on_disk.migrations.push_back(refused_migration());
    disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
    auto clock = [this] { return now() + ahead; };
    kept = std::make_unique<SqlitePolicyStore>(*disk);
    cache = std::make_unique<PolicyCache>(PolicyCache::Parts{*kept, dns, fetch, log, std::move(clock)}, options);
  }
  // As a daemon that was ended and started again.
  void restart() {
    cache.reset();
    disk.reset();
    start();
  }

  void publish(const std::string& id, const std::string& text) {
    say(id);
    fetch.answers["example.org"] = text;
  }
  void say(const std::string& id) {
    dns.remove("_mta-sts.example.org TXT");
    if (!id.empty()) dns.add("_mta-sts.example.org TXT v=STSv1; id=" + id + ";");
  }
  void block_https(Reason reason = Reason::sts_policy_fetch_error) {
    fetch.answers["example.org"] = hop::Refusal{reason, "blocked"};
  }

  boost::asio::awaitable<hop::StsFact> ask(dns::Name domain) {
    PolicyTxt txt = co_await cache->find_txt(domain);
    co_return co_await cache->find(std::move(domain), std::move(txt));
  }
  hop::StsFact find(const char* domain = "example.org") { return loop.run(ask(name(domain))); }
  PolicyEvent refresh(const char* domain = "example.org") { return loop.run(cache->refresh(name(domain))); }
  // Lets the background work for a while.
  void maintain(std::chrono::milliseconds time = std::chrono::milliseconds{300}) {
    net::TaskGroup tasks(loop.executor(), log);
    tasks.spawn("sts", cache->maintain());
    loop.run(pause(time));
    tasks.stop();
    loop.run(tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds{5}));
  }
  static boost::asio::awaitable<void> pause(std::chrono::milliseconds time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
    co_await timer.async_wait(boost::asio::use_awaitable);
  }

  std::optional<PolicyRow> row(const char* domain = "example.org") {
    auto job = [at = name(domain)](disk::Tx& tx) -> Result<std::optional<PolicyRow>> { return find_policy(tx, at); };
    // in line behind what the cache wrote without waiting; a mere read may come before it
    return loop.run(disk->run(disk::Durability::relaxed, std::move(job))).value();
  }
  // The row as it would be had everything happened that much earlier; the daemon starts anew with it.
  void age(Seconds time) {
    PolicyRow old = row().value();
    if (old.freshness.held) old.freshness.held->fetched -= time;
    old.freshness.failures.last -= time;
    old.due -= time;
    write(old);
  }
  void write(PolicyRow row) {
    auto job = [row = std::move(row)](disk::Tx& tx) -> Result<> {
      put_policy(tx, row);
      return {};
    };
    loop.run(disk->run(disk::Durability::durable, std::move(job))).value();
    restart();
  }

  // "fetched", "failed fetched", …: the actions of the `sts-policy` lines from `level` on, since last asked.
  std::string actions(Level level = Level::info) {
    std::string text;
    const auto events = log.events("sts-policy");
    for (; told < events.size(); ++told) {
      if (events[told].level() < level) continue;
      text += (text.empty() ? "" : " ") + std::string(events[told].get("action"));
    }
    return text;
  }
  Event last_event() { return log.events("sts-policy").back(); }

  support::TempDirectory dir;
  support::Loop loop;
  support::MemoryLog log;
  support::FakeResolver dns;
  FakeFetch fetch;
  PolicyOptions options;
  Seconds ahead{0};  // of the cache's clock
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<SqlitePolicyStore> kept;
  std::unique_ptr<PolicyCache> cache;
  std::size_t told = 0;
};

inline std::string mode_of(const hop::StsFact& fact) {
  return fact.state == StsState::live ? std::string(to_text(fact.policy.mode)) : "not live";
}

}  // namespace hoplock::route::testing
