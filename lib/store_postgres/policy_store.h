// SPDX-License-Identifier: Apache-2.0
// MTA-STS policies in PostgreSQL, shared by several nodes. due() claims what it gives for a minute, so that one node refreshes a policy
// while the others use what is there; the claim ends with what is stored of the domain, or with the node.
#pragma once
#include <optional>
#include <string>

#include "postgres/database.h"
#include "store/policy_store.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresPolicyStore final : public PolicyStore {
 public:
  // REQUIRES: database, with policy_migrations() applied, outlives it.
  explicit PostgresPolicyStore(postgres::Database& database) : database_(database) {}

  std::optional<Milliseconds> look_again() const override { return Milliseconds(60'000); }
  asio::awaitable<Result<KeptPolicy>> find(dns::Name domain) override;
  asio::awaitable<Result<>> put(PolicyRow row) override;
  asio::awaitable<Result<>> put_failure(PolicyRow row, std::string refused) override;
  asio::awaitable<Result<>> update(PolicyRow row) override;
  void update_later(PolicyRow row) override;
  asio::awaitable<Result<>> remove(dns::Name domain) override;
  asio::awaitable<Result<DuePolicies>> due(DueBy by) override;

 private:
  asio::awaitable<Result<>> write(postgres::Job job);

  postgres::Database& database_;
};

}  // namespace hoplock::store_postgres
