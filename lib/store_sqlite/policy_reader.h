// SPDX-License-Identifier: Apache-2.0
// The kept MTA-STS policies as the operator's tool reads them: straight from the database file, with or without a running daemon, in
// short reads that never keep the daemon from writing. Fetches nothing and changes nothing.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "disk/db.h"
#include "store/readers.h"
#include "store_sqlite/policies.h"

namespace hoplock::store_sqlite {

class SqlitePolicyReader final : public store::PolicyReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<SqlitePolicyReader> open(const std::filesystem::path& database);

  Result<> list(const std::function<void(const PolicyRow&)>& call) override;
  Result<std::optional<PolicyRow>> find(const dns::Name& domain) override;
  Result<PolicySummary> summary(Time now) override;

 private:
  explicit SqlitePolicyReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
