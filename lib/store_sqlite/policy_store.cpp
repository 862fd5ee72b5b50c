// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/policy_store.h"

#include <utility>

#include "store_sqlite/policies.h"

namespace hoplock::store_sqlite {

using disk::Durability;

asio::awaitable<Result<KeptPolicy>> SqlitePolicyStore::find(dns::Name domain) {
  auto job = [domain = std::move(domain)](disk::Tx& tx) -> Result<KeptPolicy> { return find_kept(tx, domain); };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<>> SqlitePolicyStore::put(PolicyRow row) {
  const std::size_t bytes = row.text ? row.text->size() : 0;
  auto job = [row = std::move(row)](disk::Tx& tx) -> Result<> {
    const auto& held = row.freshness.held;
    held && held->max_age.count() > 0 ? put_policy(tx, row) : remove_policy(tx, row.domain);
    put_refused(tx, row.domain, "");
    return {};
  };
  return disk_.run(Durability::durable, bytes, std::move(job));
}

asio::awaitable<Result<>> SqlitePolicyStore::put_failure(PolicyRow row, std::string refused) {
  auto job = [row = std::move(row), refused = std::move(refused)](disk::Tx& tx) -> Result<> {
    row.freshness.held ? update_policy(tx, row) : put_policy(tx, row);
    put_refused(tx, row.domain, refused);
    return {};
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<>> SqlitePolicyStore::update(PolicyRow row) {
  auto job = [row = std::move(row)](disk::Tx& tx) -> Result<> {
    update_policy(tx, row);
    return {};
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

void SqlitePolicyStore::update_later(PolicyRow row) {
  disk_.post(Durability::relaxed, [row = std::move(row)](disk::Tx& tx) -> Result<> {
    update_policy(tx, row);
    return {};
  });
}

asio::awaitable<Result<>> SqlitePolicyStore::remove(dns::Name domain) {
  auto job = [domain = std::move(domain)](disk::Tx& tx) -> Result<> {
    remove_policy(tx, domain);
    return {};
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<DuePolicies>> SqlitePolicyStore::due(DueBy by) {
  auto job = [by](disk::Tx& tx) -> Result<DuePolicies> { return due_policies(tx, by); };
  return disk_.run(Durability::read, std::move(job));
}

}  // namespace hoplock::store_sqlite
