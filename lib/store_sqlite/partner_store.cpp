// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/partner_store.h"

#include <utility>

#include "store_sqlite/partners.h"

namespace hoplock::store_sqlite {

using disk::Durability;

asio::awaitable<Result<PartnerPage>> SqlitePartnerStore::list(PartnerAt after, std::size_t limit) {
  auto job = [after = std::move(after), limit](disk::Tx& tx) { return list_partners(tx, after, limit); };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<>> SqlitePartnerStore::write(std::vector<PartnerChange> changes, Part part) {
  auto job = [changes = std::move(changes), part](disk::Tx& tx) -> Result<> {
    const PartnerBatch batch = committed_batch(tx) + 1;
    for (const auto& [entry, row] : changes) put_partner(tx, entry, batch, row);
    if (part == Part::last) commit_batch(tx, batch);
    return {};
  };
  return disk_.run(part == Part::last ? Durability::durable : Durability::relaxed, std::move(job));
}

asio::awaitable<Result<>> SqlitePartnerStore::drop_earlier(std::vector<partners::Entry> entries, Part part) {
  auto job = [entries = std::move(entries), part](disk::Tx& tx) -> Result<> {
    const PartnerBatch batch = committed_batch(tx);
    for (const auto& entry : entries) store_sqlite::drop_earlier(tx, entry, batch);
    if (part == Part::last) store_sqlite::mark_followed(tx, batch);
    return {};
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<More>> SqlitePartnerStore::drop_uncommitted(std::size_t limit) {
  auto job = [limit](disk::Tx& tx) -> Result<More> {
    return store_sqlite::drop_uncommitted(tx, limit) ? More::no : More::yes;
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<PartnerBatches>> SqlitePartnerStore::batches() {
  auto job = [](disk::Tx& tx) -> Result<PartnerBatches> {
    return PartnerBatches{followed_batch(tx), committed_batch(tx)};
  };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<std::vector<ChangedPartner>>> SqlitePartnerStore::changed_since(PartnerBatch followed,
                                                                                       PartnerAt after,
                                                                                       std::size_t limit) {
  auto job = [followed, after = std::move(after), limit](disk::Tx& tx) {
    return store_sqlite::changed_since(tx, followed, after, limit);
  };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<>> SqlitePartnerStore::mark_followed(PartnerBatch batch) {
  auto job = [batch](disk::Tx& tx) -> Result<> {
    store_sqlite::mark_followed(tx, batch);
    return {};
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<>> SqlitePartnerStore::mark_told(std::vector<partners::Entry> entries) {
  auto job = [entries = std::move(entries)](disk::Tx& tx) -> Result<> {
    for (const auto& entry : entries) store_sqlite::mark_told(tx, entry);
    return {};
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

}  // namespace hoplock::store_sqlite
