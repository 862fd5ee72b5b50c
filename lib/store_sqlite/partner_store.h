// SPDX-License-Identifier: Apache-2.0
// Partners in SQLite: each operation is a job on the disk thread.
#pragma once
#include <optional>
#include <vector>

#include "disk/disk.h"
#include "store/partner_store.h"

namespace hoplock::store_sqlite {

using namespace store;

class SqlitePartnerStore final : public PartnerStore {
 public:
  // REQUIRES: disk, with partner_migration() applied, outlives it.
  explicit SqlitePartnerStore(disk::Disk& disk) : disk_(disk) {}

  std::optional<Milliseconds> look_again() const override { return std::nullopt; }
  std::uint64_t free_bytes() override { return disk_.free_bytes(); }
  asio::awaitable<Result<PartnerPage>> list(PartnerAt after, std::size_t limit) override;
  asio::awaitable<Result<>> write(std::vector<PartnerChange> changes, Part part) override;
  asio::awaitable<Result<>> drop_earlier(std::vector<partners::Entry> entries, Part part) override;
  asio::awaitable<Result<More>> drop_uncommitted(std::size_t limit) override;
  asio::awaitable<Result<PartnerBatches>> batches() override;
  asio::awaitable<Result<std::vector<ChangedPartner>>> changed_since(PartnerBatch followed, PartnerAt after,
                                                                     std::size_t limit) override;
  asio::awaitable<Result<>> mark_followed(PartnerBatch batch) override;
  asio::awaitable<Result<>> mark_told(std::vector<partners::Entry> entries) override;

 private:
  disk::Disk& disk_;
};

}  // namespace hoplock::store_sqlite
