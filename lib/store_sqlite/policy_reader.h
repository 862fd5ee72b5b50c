// SPDX-License-Identifier: Apache-2.0
// The kept MTA-STS policies as the operator's tool reads them: straight from the database file, with or without a running daemon, in
// short reads that never keep the daemon from writing. Fetches nothing and changes nothing.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "disk/db.h"
#include "store_sqlite/policies.h"

namespace hoplock::store_sqlite {

class PolicyReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<PolicyReader> open(const std::filesystem::path& database);

  // By domain, one call a row. A database that never had policies has none.
  Result<> list(const std::function<void(const PolicyRow&)>& call);
  Result<std::optional<PolicyRow>> find(const dns::Name& domain);
  Result<PolicySummary> summary(Time now);

 private:
  explicit PolicyReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
