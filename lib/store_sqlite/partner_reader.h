// SPDX-License-Identifier: Apache-2.0
// The table of partners as the operator's tool reads it: straight from the database file, with or without a running daemon, in short
// reads. Changes nothing. A database that never had partners has none.
#pragma once
#include <filesystem>
#include <functional>
#include <vector>

#include "disk/db.h"
#include "store/readers.h"
#include "store_sqlite/partners.h"

namespace hoplock::store_sqlite {

class SqlitePartnerReader final : public store::PartnerReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<SqlitePartnerReader> open(const std::filesystem::path& database);

  Result<> list(const std::function<void(const partners::Entry&)>& call) override;
  Result<std::vector<partners::Entry>> find(const dns::Name& domain) override;
  Result<std::vector<partners::Entry>> find(const dns::Pattern& pattern) override;

 private:
  explicit SqlitePartnerReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
