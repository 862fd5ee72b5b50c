// SPDX-License-Identifier: Apache-2.0
// A queue on a real database in a directory of its own, with mail that is easy to make.
#pragma once
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "disk/disk.h"
#include "queue/queue.h"
#include "store_sqlite/mail_reader.h"
#include "store_sqlite/mail_store.h"
#include "tests/support/loop.h"
#include "tests/support/settled.h"
#include "tests/support/temp_directory.h"

namespace hoplock::queue::test {

using namespace store;
using namespace store_sqlite;

inline const Time t0 = from_millis(1'790'000'000'000);
inline Time at(std::int64_t seconds) { return t0 + Seconds(seconds); }
inline dns::Name name(const std::string& text) { return dns::Name::parse(text).value(); }

struct World {
  static std::vector<disk::Migration> own_migrations() {
    auto all = mail_migrations();
    all.push_back(history_migration());
    return all;
  }
  explicit World(const std::filesystem::path& directory_, Options options = {}, Time now = t0,
                 std::vector<disk::Migration> tables = own_migrations())
      : directory(directory_) {
    disk::Options on_disk;
    on_disk.directory = directory;
    on_disk.migrations = std::move(tables);
    disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
    options.min_free_space = 0;
    mail = std::make_unique<SqliteMailStore>(*disk);
    queue = std::make_unique<Queue>(*mail, options, [this](const dns::Name& domain) { return route(domain); });
    queue->on_work([this](std::vector<Ready> ready) {
      ++wakes;
      for (auto& r : ready) work.push_back(r.destination);
    });
    loop.run(queue->start(now)).value();
    loop.io().poll();
  }

  std::string route(const dns::Name& domain) const { return smarthost.empty() ? domain.text() : smarthost; }

  // One message; its recipients are "user@domain" texts.
  Id put(const std::vector<std::string>& to, const std::string& body = "Subject: x\r\n\r\nhello\r\n", Time now = t0,
         const std::string& from = "sender@example.net") {
    auto writer = queue->begin(now);
    loop.run(writer.write(body)).value();
    const Id id = loop.run(writer.commit(envelope(from), recipients(to))).value();
    loop.io().poll();
    return id;
  }
  static Envelope envelope(const std::string& from) {
    Envelope e;
    e.sender = from;
    e.client = "192.0.2.1";
    return e;
  }
  static std::vector<NewRecipient> recipients(const std::vector<std::string>& to) {
    std::vector<NewRecipient> all;
    for (const auto& address : to) {
      NewRecipient r;
      r.address = address;
      r.domain = name(address.substr(address.find('@') + 1));
      all.push_back(r);
    }
    return all;
  }
  std::vector<Job> lease(const std::string& destination, Time now = t0, std::size_t messages = 100) {
    LeaseLimit limit;
    limit.messages = messages;
    limit.bytes = 100 << 20;
    return loop.run(queue->lease(destination, now, limit)).value();
  }
  std::vector<std::string> ready(Time now = t0, std::size_t limit = 100) {
    last_ready = loop.run(queue->ready(now, limit, {})).value();
    std::vector<std::string> names;
    for (const auto& r : last_ready.ready) names.push_back(r.destination);
    return names;
  }
  static Settled all(const Job& job, Verdict verdict, Time due = t0) { return support::settled_all(job, verdict, due); }
  void apply(std::vector<Settled> settled, Time now = t0, std::vector<DestinationChange> destinations = {}) {
    Results results;
    results.now = now;
    results.settled = std::move(settled);
    results.destinations = std::move(destinations);
    loop.run(queue->apply(std::move(results))).value();
  }
  Affected act(Action action, Selection selection, Time now = t0) {
    auto touched = loop.run(queue->act(action, std::move(selection), now)).value();
    loop.io().poll();
    return touched;
  }
  std::int64_t count(const std::string& table) {
    auto db = disk::open_read_only(directory / "queue.db").value();
    return db.integer("SELECT count(*) FROM " + table);
  }
  SqliteMailReader reader() { return SqliteMailReader::open(directory / "queue.db").value(); }
  std::vector<MessageView> list(Filter filter = {}) {
    filter.active = queue->active();
    std::vector<MessageView> all;
    auto r = reader();
    r.list(filter, [&](const MessageView& m) {
       all.push_back(m);
       return Go::on;
     }).value();
    return all;
  }

  std::filesystem::path directory;
  std::string smarthost;  // when set, the destination of everything
  support::Loop loop;
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<SqliteMailStore> mail;
  std::unique_ptr<Queue> queue;
  std::vector<std::string> work;
  int wakes = 0;
  Work last_ready;
};

inline Selection ids(std::vector<Id> which) {
  Selection s;
  s.ids = std::move(which);
  return s;
}
inline Selection domain(const std::string& text) {
  Selection s;
  s.by = Selection::By::domain;
  s.domain = name(text);
  return s;
}
inline Selection sender(const std::string& text) {
  Selection s;
  s.by = Selection::By::sender;
  s.sender = text;
  return s;
}
inline Selection everything() {
  Selection s;
  s.by = Selection::By::all;
  return s;
}

}  // namespace hoplock::queue::test
