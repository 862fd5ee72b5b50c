// SPDX-License-Identifier: Apache-2.0
// Mail in SQLite: the tables message, recipient, chunk, draft, domain, destination, mark, history and party (mail_schema.cpp). Each
// operation is a job on the disk thread; those that wait together share one transaction and one sync (disk/disk.h).
//
// Where a page under some body is damaged, SQLite gives up each transaction that met it; then all is stored without touching a body, and
// what was to go with it is left, to be discarded apart.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "disk/disk.h"
#include "store/mail_store.h"
#include "store_sqlite/inspect.h"
#include "store_sqlite/mail_tables.h"
#include "store_sqlite/rebase.h"

namespace hoplock::store_sqlite {

// For disk::Options.
std::vector<disk::Migration> mail_migrations();
// Later than the first tables of others; must be applied where a history is kept.
disk::Migration history_migration();

class SqliteMailStore : public MailStore {
 public:
  // REQUIRES: disk outlives it, and no other such store is used on it.
  explicit SqliteMailStore(disk::Disk& disk);

  asio::awaitable<Result<Recovered>> recover() override;
  void set_history(Recording recording) override;

  Result<> writable() const override { return disk_.writable(); }
  std::uint64_t free_bytes() override { return disk_.free_bytes(); }
  std::string name() const override { return disk_.path().string(); }
  std::string volume() const override { return disk_.path().parent_path().string(); }
  asio::awaitable<Result<>> append_chunk(Id id, std::uint32_t n, std::string octets) override;
  asio::awaitable<Result<std::vector<Enqueued>>> commit(std::shared_ptr<const Draft> draft) override;
  asio::awaitable<Result<More>> discard_some(Id id) override;
  void discard(Id id) override;
  asio::awaitable<Result<std::vector<Id>>> drafts() override;

  asio::awaitable<Result<Work>> due(Time now, std::size_t limit, std::vector<std::string> busy) override;
  asio::awaitable<Result<Leased>> lease(LeaseQuery query) override;
  void release(std::string, std::vector<Id>) override {}
  std::int64_t lease_term() const override { return 1; }
  asio::awaitable<Result<std::vector<Lease>>> withdraw(std::vector<Lease>) override { co_return std::vector<Lease>(); }
  std::optional<Milliseconds> look_again() const override { return {}; }
  asio::awaitable<Result<std::string>> read_chunk(Id id, std::uint32_t n) override;
  void hold_damaged(Id id) override;
  asio::awaitable<Result<Applied>> settle(std::shared_ptr<const RoutedResults> results) override;
  asio::awaitable<Result<std::optional<Backoff>>> backoff(std::string destination) override;
  asio::awaitable<Result<std::vector<Held>>> holds(std::string after, Time now) override;
  asio::awaitable<Result<std::vector<Waiting>>> waiting(std::string after, Time now) override;
  asio::awaitable<Result<bool>> wake(std::string destination, Wake wake) override;
  asio::awaitable<Result<>> wake_told(std::function<bool(std::string_view)> says_so, Time now) override;

  asio::awaitable<Result<AdminResult>> act(std::shared_ptr<const AdminBatch> batch) override;
  asio::awaitable<Result<SelectionPage>> select(Selection selection, SelectionCursor from, std::size_t rows) override;
  asio::awaitable<Result<LeasedBySelection>> pick(Selection selection, std::vector<Id> ids,
                                                  std::vector<Lease> leased) override;
  asio::awaitable<Result<std::vector<RoutedDomain>>> domains(std::int64_t after) override;
  asio::awaitable<Result<std::vector<RoutedDomain>>> reroute(std::vector<RoutedDomain> moved, Time now) override;
  asio::awaitable<Result<More>> hasten_some() override;
  asio::awaitable<Result<>> begin_rebase(Time now) override;
  asio::awaitable<Result<More>> rebase_some() override;
  asio::awaitable<Result<More>> void_some(std::vector<Lease> leased) override;
  asio::awaitable<Result<std::optional<PruneFrom>>> prune(Time before, PruneFrom from) override;
  asio::awaitable<Result<Inspection>> inspect_some() override;
  asio::awaitable<Result<Verified>> verify_some(std::size_t bytes) override;

 private:
  using Applying = MailTables::Applying;
  asio::awaitable<Result<Applied>> apply(std::shared_ptr<const Applying> applying);
  asio::awaitable<Result<bool>> is_damaged(Id id);

  disk::Disk& disk_;
  std::shared_ptr<MailTables> tables_;  // jobs hold it too
  Recording recording_ = Recording::off;
  std::optional<Rebase> rebasing_;                     // how far it came
  std::optional<std::int64_t> voided_to_ = INT64_MIN;  // of the domains; nothing: all of them
  Inspected inspected_;                                // where the next look at the rows begins
  std::int64_t swept_ = 0;                             // the last chunk that was verified
};

}  // namespace hoplock::store_sqlite
