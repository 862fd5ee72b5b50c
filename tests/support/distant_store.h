// SPDX-License-Identifier: Apache-2.0
// Mail in SQLite that behaves as if it were elsewhere: it goes away and comes back, and leases hold for as long as the test says.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store_sqlite/mail_store.h"

namespace hoplock::support {

class DistantMailStore final : public store_sqlite::SqliteMailStore {
 public:
  using SqliteMailStore::SqliteMailStore;

  Result<> available() const override {
    if (away) return fail(errc::device_or_resource_busy, "the database does not answer");
    return {};
  }
  Result<> writable() const override { return away ? available() : SqliteMailStore::writable(); }
  std::uint64_t free_bytes() override { return away ? 0 : SqliteMailStore::free_bytes(); }
  store::asio::awaitable<Result<store::Recovered>> recover() override {
    auto recovered = co_await SqliteMailStore::recover();
    if (recovered) {
      recovered->slots = slots;
      recovered->slot = slot;
    }
    co_return recovered;
  }
  std::int64_t lease_term() const override { return now; }
  void release(std::string /*destination*/, std::vector<store::Id> ids) override {
    released.insert(released.end(), ids.begin(), ids.end());
  }

  bool away = false;
  std::int64_t now = 1;
  std::int64_t slots = 1;
  std::int64_t slot = 0;
  std::vector<store::Id> released;
};

}  // namespace hoplock::support
