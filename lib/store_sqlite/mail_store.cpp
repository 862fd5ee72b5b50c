// SPDX-License-Identifier: Apache-2.0
// What comes in and what goes out. The operator's side is in mail_admin.cpp.
#include "store_sqlite/mail_store.h"

#include <algorithm>
#include <utility>

#include "store_sqlite/statistics.h"
#include "store_sqlite/upkeep.h"
#include "store_sqlite/waking.h"

namespace hoplock::store_sqlite {

using disk::Durability;

namespace {

constexpr std::size_t octets_of_recipient = 256;  // about
constexpr std::size_t octets_of_result = 512;

store::More more_of(disk::More more) { return more == disk::More::yes ? store::More::yes : store::More::no; }

}  // namespace

SqliteMailStore::SqliteMailStore(disk::Disk& disk) : disk_(disk), tables_(std::make_shared<MailTables>()) {
  disk_.on_rollback([tables = tables_] { tables->forget(); });
}

asio::awaitable<Result<Recovered>> SqliteMailStore::recover() {
  rebasing_.reset();
  voided_to_ = INT64_MIN;
  inspected_ = {};
  swept_ = 0;
  return disk_.run(Durability::durable, store_sqlite::recover);
}

void SqliteMailStore::set_history(Recording recording) {
  if (recording == std::exchange(recording_, recording)) return;
  disk_.post(Durability::relaxed, [tables = tables_, recording](disk::Tx&) -> Result<> {
    tables->set_recording(recording);
    return {};
  });
}

// --- intake ------------------------------------------------------------------------------------------------------------

asio::awaitable<Result<>> SqliteMailStore::append_chunk(Id id, std::uint32_t n, std::string octets) {
  const std::size_t bytes = octets.size();
  auto job = [id, n, octets = std::move(octets)](disk::Tx& tx) -> Result<> {
    if (n == 0) note_draft(tx, id);
    insert_chunk(tx, id, n, octets);
    return {};
  };
  return disk_.run(Durability::relaxed, bytes, std::move(job));
}

asio::awaitable<Result<std::vector<Enqueued>>> SqliteMailStore::commit(std::shared_ptr<const Draft> draft) {
  const std::size_t bytes =
      (draft->last_chunk ? draft->last_chunk->size() : 0) + draft->recipients.size() * octets_of_recipient;
  auto job = [tables = tables_, draft = std::move(draft)](disk::Tx& tx) -> Result<std::vector<Enqueued>> {
    return tables->commit(tx, *draft);
  };
  return disk_.run(Durability::durable, bytes, std::move(job));
}

asio::awaitable<Result<More>> SqliteMailStore::discard_some(Id id) {
  auto job = [id](disk::Tx& tx) -> Result<More> { return more_of(drop_part_of_draft(tx, id)); };
  return disk_.run(Durability::relaxed, std::move(job));
}

void SqliteMailStore::discard(Id id) {
  disk_.post(Durability::relaxed, [id](disk::Tx& tx) -> Result<disk::More> { return drop_part_of_draft(tx, id); });
}

asio::awaitable<Result<std::vector<Id>>> SqliteMailStore::drafts() {
  // Not as a read: when a sweep is done, the holds that it asked for are stored.
  return disk_.run(Durability::relaxed, list_drafts);
}

// --- delivery ----------------------------------------------------------------------------------------------------------

asio::awaitable<Result<Work>> SqliteMailStore::due(Time now, std::size_t limit, std::vector<std::string> busy) {
  auto job = [tables = tables_, now, limit, busy = std::move(busy)](disk::Tx& tx) -> Result<Work> {
    return tables->due(tx, now, limit, busy);
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<Leased>> SqliteMailStore::lease(LeaseQuery query) {
  auto job = [tables = tables_, query = std::move(query)](disk::Tx& tx) -> Result<Refilled> {
    return tables->lease(tx, query);
  };
  auto found = co_await disk_.run(Durability::read, std::move(job));
  if (!found) co_return found.error();
  if (!found->stale.empty()) {
    disk_.post(Durability::relaxed, [tables = tables_, domains = std::move(found->stale)](disk::Tx& tx) -> Result<> {
      tables->tidy(tx, domains);
      return {};
    });
  }
  co_return std::move(static_cast<Leased&>(*found));
}

asio::awaitable<Result<std::string>> SqliteMailStore::read_chunk(Id id, std::uint32_t n) {
  auto job = [id, n](disk::Tx& tx) -> Result<std::string> {
    auto octets = load_chunk(tx, id, n);
    if (!octets) return octets.error();
    if (!*octets) return fail(errc::no_message, id.text() + ": no longer in the queue");
    return std::move(**octets);
  };
  return disk_.run(Durability::read, std::move(job));
}

void SqliteMailStore::hold_damaged(Id id) {
  disk_.post(Durability::durable, [id](disk::Tx& tx) -> Result<> {
    store_sqlite::hold_damaged(tx, id);
    return {};
  });
}

asio::awaitable<Result<Applied>> SqliteMailStore::apply(std::shared_ptr<const Applying> applying) {
  const std::size_t bytes = applying->all->results.settled.size() * octets_of_result;
  auto job = [tables = tables_, applying = std::move(applying)](disk::Tx& tx) { return tables->apply(tx, *applying); };
  auto outcome = co_await disk_.run(Durability::durable, bytes, std::move(job));
  if (!outcome) co_return outcome.error();
  if (outcome->fold) {
    disk_.post(Durability::relaxed, [](disk::Tx& tx) -> Result<> {
      fold_statistics(tx);
      return {};
    });
  }
  co_return std::move(outcome->applied);
}

// Whether a page under it is: what SQLite can read and does not fit its checksum does no harm to a transaction.
asio::awaitable<Result<bool>> SqliteMailStore::is_damaged(Id id) {
  for (std::uint32_t n = 0; n < max_chunks; ++n) {
    auto job = [id, n](disk::Tx& tx) -> Result<bool> {
      return tx.prepare("SELECT data FROM chunk WHERE id = ?1").bind(first_key(id) | n).step();
    };
    const auto there = co_await disk_.run(Durability::read, std::move(job));
    if (!there && there.error().code == errc::bad_message) co_return true;
    if (!there) co_return there.error();
    if (!*there) break;
  }
  co_return false;
}

asio::awaitable<Result<Applied>> SqliteMailStore::settle(std::shared_ptr<const RoutedResults> results) {
  auto first = std::make_shared<Applying>();
  first->all = results;
  auto applied = co_await apply(std::move(first));
  if (applied || applied.error().code != errc::bad_message) co_return applied;
  auto careful = std::make_shared<Applying>();
  careful->all = results;
  careful->bodies = Bodies::apart;
  for (const RoutedNotice& routed : results->notices) {
    const auto found = co_await is_damaged(routed.notice.about);
    if (!found) co_return found.error();
    if (*found) careful->damaged.push_back(routed.notice.about);
  }
  std::sort(careful->damaged.begin(), careful->damaged.end());
  co_return co_await apply(std::move(careful));
}

asio::awaitable<Result<std::optional<Backoff>>> SqliteMailStore::backoff(std::string destination) {
  auto job = [tables = tables_, destination = std::move(destination)](disk::Tx& tx) -> Result<std::optional<Backoff>> {
    const auto id = tables->places().find_destination(tx, destination);
    return id ? tables->places().backoff(tx, *id) : std::optional<Backoff>();
  };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<std::vector<Held>>> SqliteMailStore::holds(std::string after, Time now) {
  auto job = [after = std::move(after), now](disk::Tx& tx) -> Result<std::vector<Held>> {
    return holds_after(tx, after, now);
  };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<std::vector<Waiting>>> SqliteMailStore::waiting(std::string after, Time now) {
  auto job = [after = std::move(after), now](disk::Tx& tx) -> Result<std::vector<Waiting>> {
    return waiting_after(tx, after, now);
  };
  // Not as a read: it comes after the ends of the leases that were given back before.
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<bool>> SqliteMailStore::wake(std::string destination, Wake wake) {
  const Time now = wake.now;
  std::optional<Waking> from;
  if (!wake.reasons.empty()) from = Waking::from(destination, std::move(wake));
  while (from) {
    auto job = [tables = tables_, begin = *from](disk::Tx& tx) -> Result<std::optional<Waking>> {
      return wake_some(tx, tables->places(), begin);
    };
    auto next = co_await disk_.run(Durability::relaxed, std::move(job));
    if (!next) co_return next.error();
    from = std::move(*next);
  }
  auto job = [tables = tables_, destination = std::move(destination), now](disk::Tx& tx) -> Result<bool> {
    return tables->end_hold(tx, destination, now);
  };
  co_return co_await disk_.run(Durability::durable, std::move(job));
}

asio::awaitable<Result<>> SqliteMailStore::wake_told(std::function<bool(std::string_view)> says_so, Time now) {
  for (std::optional<WaitingAt> from = WaitingAt::before_all(to_millis(now)); from;) {
    auto job = [tables = tables_, says_so, begin = *from](disk::Tx& tx) -> Result<std::optional<WaitingAt>> {
      return wake_told_some(tx, tables->places(), says_so, begin);
    };
    auto next = co_await disk_.run(Durability::relaxed, std::move(job));
    if (!next) co_return next.error();
    from = *next;
  }
  co_return Result<>();
}

}  // namespace hoplock::store_sqlite
