// SPDX-License-Identifier: Apache-2.0
// Mail in PostgreSQL, shared by several nodes: the tables of mail_tables.h. Each operation is one job, or a few, of postgres/database.h:
// statements over arrays, in one round trip, under this node's incarnation. Commits that wait together become one job.
//
// What a row's `owner` says is what keeps nodes apart; what this process has leased of its own rows is the queue's knowledge (`exclude`,
// `leased`), so a lease whose answer was lost is simply found again. Until commit() has returned, its message is nobody's to lease.
//
// A commit whose outcome is unknown returns when that is settled, or at its deadline: then the message is removed again if it was stored
// after all. Errors are those of the interface: a fenced node and a passed deadline are device_or_resource_busy.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "net/condition.h"
#include "postgres/database.h"
#include "store/mail_store.h"
#include "store_postgres/mail_passing.h"

namespace hoplock::store_postgres {

using namespace store;

struct MailOptions {
  std::string name;                      // of the store, for people
  Milliseconds commit_deadline{30'000};  // an SMTP client waits a minute
  Milliseconds look_again{5'000};        // for what other nodes brought or freed
  std::uint64_t max_size = 0;            // of the database, in octets; 0: what its disk takes
};

class PostgresMailStore final : public MailStore {
 public:
  // REQUIRES: the database outlives it, and is started before recover(); its migrations have mail_migrations(), NodeOptions::free_leases
  // has free_mail().
  PostgresMailStore(postgres::Database& database, MailOptions options);

  asio::awaitable<Result<Recovered>> recover() override;
  void set_history(Recording recording) override { recording_ = recording; }

  Result<> writable() const override;
  // A full disk refuses messages, not clients.
  Result<> available() const override {
    auto can = writable();
    return !can && can.error().code == errc::no_space_on_device ? Result<>() : can;
  }
  std::uint64_t free_bytes() override;
  std::string name() const override { return options_.name; }
  std::string volume() const override { return options_.name; }
  asio::awaitable<Result<>> append_chunk(Id id, std::uint32_t n, std::string octets) override;
  asio::awaitable<Result<std::vector<Enqueued>>> commit(std::shared_ptr<const Draft> draft) override;
  asio::awaitable<Result<More>> discard_some(Id id) override;
  void discard(Id id) override;
  asio::awaitable<Result<std::vector<Id>>> drafts() override;

  asio::awaitable<Result<Work>> due(Time now, std::size_t limit, std::vector<std::string> busy) override;
  asio::awaitable<Result<Leased>> lease(LeaseQuery query) override;
  void release(std::string destination, std::vector<Id> ids) override;
  std::int64_t lease_term() const override;
  asio::awaitable<Result<std::vector<Lease>>> withdraw(std::vector<Lease> leased) override;
  std::optional<Milliseconds> look_again() const override { return options_.look_again; }
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
  struct Committing {
    std::shared_ptr<const Draft> draft;
    std::optional<Result<std::vector<Enqueued>>> outcome;
  };
  using Group = std::vector<std::shared_ptr<Committing>>;
  Group take_group();
  postgres::Job commit_job(const Group& group);
  asio::awaitable<void> write_group(Group group);
  void add_marks(postgres::Batch& batch, Id last);
  asio::awaitable<Result<postgres::Answer>> write(postgres::StreamKind stream, postgres::Job job);
  asio::awaitable<Result<postgres::Rows>> read(postgres::Statement statement);
  asio::awaitable<void> posts_are_done();
  void post(postgres::Job job);
  struct HeldIds {
    std::vector<std::int64_t> ids;
    std::optional<HeldQuery> rest;
  };
  asio::awaitable<Result<HeldIds>> find_held(LeaseQuery query);
  asio::awaitable<Result<Leased>> lease_own(LeaseQuery query);
  Error settle_failed(const Error& error);
  std::int64_t incarnation() const { return database_.lease().incarnation; }

  postgres::Database& database_;
  MailOptions options_;
  Recording recording_ = Recording::off;
  std::deque<std::shared_ptr<Committing>> committing_;
  bool writing_ = false;  // a group of them
  net::Condition written_;
  Passing passing_;
  bool posted_ = false;        // something of which nobody has asked yet whether it is done
  std::int64_t reserved_ = 0;  // ids below it are marked as used
  net::SteadyTime seen_{};     // when the clock was last marked
  std::uint64_t size_ = 0;     // of the database, as last asked
  net::SteadyTime sized_{};
  std::vector<std::pair<std::string, std::string>> domains_;  // of reroute: with their destinations
  struct Rebase {
    std::int64_t now = 0;
    Lease last;
  };
  std::optional<Rebase> rebasing_;
  Lease verified_;  // the last chunk that was verified, its number as seq
};

}  // namespace hoplock::store_postgres
