// SPDX-License-Identifier: Apache-2.0
// A sender between a ledger with sessions in it and its ways out: a queue that nobody empties, endpoints made of maps, a DNS made of
// maps. Time is what the test says.
#pragma once
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "disk/disk.h"
#include "reports/returned.h"
#include "reports/sender.h"
#include "store_sqlite/ledger.h"
#include "store_sqlite/ledger_store.h"
#include "store_sqlite/mail_reader.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/quota.h"
#include "store_sqlite/report_mails.h"
#include "tests/dkim/verify.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"

namespace hoplock::reports::testing {

using namespace std::chrono_literals;
using namespace store;
using namespace store_sqlite;
using support::name;

inline tlsrpt::Day day_at(const char* text) { return tlsrpt::parse_day(text).value(); }
inline Time at(const char* text) { return parse_rfc3339(text).value(); }

// Endpoints that answer what the test says: 200 unless told otherwise.
class FakePost final : public Post {
 public:
  boost::asio::awaitable<Posted> post(tlsrpt::HttpsDestination to, std::shared_ptr<const std::string> gzip) override {
    const std::string uri = to.text();
    posts.emplace_back(uri, *gzip);
    ++inside;
    most_inside = std::max(most_inside, inside);
    if (delay.count() > 0) {
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, delay);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    --inside;
    const auto found = answers.find(uri);
    co_return found == answers.end() ? Posted{Posted::What::accepted, {}, {}} : found->second;
  }
  std::size_t count(const std::string& uri) const {
    return static_cast<std::size_t>(
        std::count_if(posts.begin(), posts.end(), [&uri](const auto& one) { return one.first == uri; }));
  }
  std::map<std::string, Posted> answers;
  std::vector<std::pair<std::string, std::string>> posts;
  std::chrono::milliseconds delay{0};
  std::size_t inside = 0;
  std::size_t most_inside = 0;
};

// A log in which a test may do something at a line.
struct Listening final : support::MemoryLog {
  void write(const Event& event) override {
    MemoryLog::write(event);
    if (heard) heard(event);
  }
  std::function<void(const Event&)> heard;
};

struct Sending {
  explicit Sending(std::string directory_ = {}) : directory(std::move(directory_)) {
    if (directory.empty()) directory = own.file("data");
    options.submitter = tlsrpt::Submitter::make("Relay", "tls@relay.test", "tlsrpt@relay.test").value();
    options.from = "tlsrpt@relay.test";
    options.retry.jitter = 0;
    open();
  }
  void open() {
    disk::Options on_disk;
    on_disk.directory = directory;
    on_disk.migrations = store_sqlite::mail_migrations();
    for (const auto& more : store_sqlite::ledger_migrations()) on_disk.migrations.push_back(more);
    for (const auto& more : quota_migrations()) on_disk.migrations.push_back(more);
    on_disk.migrations.push_back(store_sqlite::report_mail_migration());
    disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
    queue::Options of_queue;
    of_queue.min_free_space = 0;
    mail = std::make_unique<store_sqlite::SqliteMailStore>(*disk);
    ledger = std::make_unique<store_sqlite::SqliteLedgerStore>(*disk);
    queue = std::make_unique<queue::Queue>(*mail, of_queue, [](const dns::Name& domain) { return domain.text(); });
    loop.run(queue->start(at("2025-03-02T00:00:00Z"))).value();
    sender =
        std::make_unique<Sender>(Sender::Parts{loop.executor(), *ledger, dns, *queue, post, log}, std::mt19937_64{7});
    sender->set(options, keyring());
  }
  // As if the process had died.
  void restart() {
    sender.reset();
    queue.reset();
    disk.reset();
    loop.io().restart();
    loop.io().poll();
    open();
  }
  static std::shared_ptr<const dkim::Keyring> keyring() {
    static const auto made = [] {
      dkim::Identity one;
      one.domain = name("relay.test");
      one.selector = "s1";
      one.key = std::make_shared<const dkim::Key>(dkim::Key::parse(hoplock::testing::ed25519_pem()).value());
      return std::make_shared<const dkim::Keyring>(dkim::Keyring::make({one}).value());
    }();
    return made;
  }

  // So many good sessions of this domain, which asks for reports there.
  void sessions(const std::string& domain, const std::string& rua, std::uint64_t good = 1,
                const char* day = "2025-03-01") {
    if (!rua.empty()) ask(domain, rua);
    tlsrpt::Sessions one;
    one.policy.domain = name(domain);
    one.successes = 1;
    LedgerCounts counts;
    for (std::uint64_t i = 0; i < good; ++i) counts.add(ReportKey{day_at(day), name(domain)}, {one});
    write([counts](disk::Tx& tx) { add_counts(tx, counts); });
  }
  void ask(const std::string& domain, const std::string& rua) {
    dns.remove("_smtp._tls." + domain + " TXT");
    dns.add("_smtp._tls." + domain + " TXT v=TLSRPTv1; rua=" + rua);
  }
  template <class F>
  void write(F function) {
    auto job = [function](disk::Tx& tx) -> Result<> {
      function(tx);
      return {};
    };
    loop.run(disk->run(disk::Durability::durable, std::move(job))).value();
  }
  template <class F>
  auto read(F function) {
    using R = std::invoke_result_t<F, disk::Tx&>;
    auto job = [function](disk::Tx& tx) -> Result<R> { return function(tx); };
    return loop.run(disk->run(disk::Durability::read, std::move(job))).value();
  }
  std::optional<Time> round(Time now) { return loop.run(sender->round(now)); }
  ReportAccount account(const std::string& domain, const char* day = "2025-03-01") {
    return read([key = ReportKey{day_at(day), name(domain)}](disk::Tx& tx) { return find_account(tx, key); }).value();
  }
  std::string state(const std::string& domain, const char* day = "2025-03-01") {
    return std::string(to_text(account(domain, day).state));
  }
  // The tlsrpt lines: "action rua" of each, in order.
  std::vector<std::string> lines(const std::string& action = {}) const {
    std::vector<std::string> all;
    for (const Event& event : log.events("tlsrpt")) {
      if (!action.empty() && event.get("action") != action) continue;
      all.push_back(std::string(event.get("action")) + " " + std::string(event.get("domain")) + " " +
                    std::string(event.get("rua")));
    }
    return all;
  }
  std::vector<store::MessageView> mails() {
    std::vector<store::MessageView> all;
    auto reader = store_sqlite::SqliteMailReader::open(std::filesystem::path(directory) / "queue.db").value();
    store::Filter filter;
    const auto collect = [&all](const store::MessageView& one) {
      all.push_back(one);
      return store::Go::on;
    };
    reader.list(filter, collect).value();
    return all;
  }

  support::TempDirectory own;
  std::string directory;
  support::Loop loop;
  Listening log;
  support::FakeResolver dns;
  FakePost post;
  SenderOptions options;
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<store_sqlite::SqliteMailStore> mail;
  std::unique_ptr<store_sqlite::SqliteLedgerStore> ledger;
  std::unique_ptr<queue::Queue> queue;
  std::unique_ptr<Sender> sender;
};

}  // namespace hoplock::reports::testing
