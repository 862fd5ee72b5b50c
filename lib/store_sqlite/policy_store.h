// SPDX-License-Identifier: Apache-2.0
// MTA-STS policies in SQLite: each operation is a job on the disk thread.
#pragma once
#include <optional>
#include <string>

#include "disk/disk.h"
#include "store/policy_store.h"

namespace hoplock::store_sqlite {

using namespace store;

class SqlitePolicyStore final : public PolicyStore {
 public:
  // REQUIRES: disk, with policy_migrations() and refused_migration() applied, outlives it.
  explicit SqlitePolicyStore(disk::Disk& disk) : disk_(disk) {}

  std::optional<Milliseconds> look_again() const override { return std::nullopt; }
  asio::awaitable<Result<KeptPolicy>> find(dns::Name domain) override;
  asio::awaitable<Result<>> put(PolicyRow row) override;
  asio::awaitable<Result<>> put_failure(PolicyRow row, std::string refused) override;
  asio::awaitable<Result<>> update(PolicyRow row) override;
  void update_later(PolicyRow row) override;
  asio::awaitable<Result<>> remove(dns::Name domain) override;
  asio::awaitable<Result<DuePolicies>> due(DueBy by) override;

 private:
  disk::Disk& disk_;
};

}  // namespace hoplock::store_sqlite
