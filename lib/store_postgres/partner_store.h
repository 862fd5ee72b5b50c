// SPDX-License-Identifier: Apache-2.0
// Partners in PostgreSQL, shared by several nodes. Batches are committed one after the other, whoever writes them; what others change is
// seen by batches() and changed_since().
#pragma once
#include <limits>
#include <optional>
#include <vector>

#include "postgres/database.h"
#include "store/partner_store.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresPartnerStore final : public PartnerStore {
 public:
  // REQUIRES: database, with partner_migrations() applied, outlives it.
  explicit PostgresPartnerStore(postgres::Database& database) : database_(database) {}

  std::optional<Milliseconds> look_again() const override { return Milliseconds(5'000); }
  std::uint64_t free_bytes() override {
    return std::numeric_limits<std::uint64_t>::max();
  }  // the server's disk is its own
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
  asio::awaitable<Result<>> write(postgres::Job job);

  postgres::Database& database_;
};

}  // namespace hoplock::store_postgres
