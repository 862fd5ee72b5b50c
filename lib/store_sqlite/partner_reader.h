// SPDX-License-Identifier: Apache-2.0
// The table of partners as the operator's tool reads it: straight from the database file, with or without a running daemon, in short
// reads. Changes nothing. A database that never had partners has none.
#pragma once
#include <filesystem>
#include <functional>
#include <vector>

#include "disk/db.h"
#include "store_sqlite/partners.h"

namespace hoplock::store_sqlite {

class PartnerReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<PartnerReader> open(const std::filesystem::path& database);

  // By domain, one call an entry.
  Result<> list(const std::function<void(const partners::Entry&)>& call);
  // As find_partners().
  Result<std::vector<partners::Entry>> find(const dns::Name& domain);
  Result<std::vector<partners::Entry>> find(const dns::Pattern& pattern);

 private:
  explicit PartnerReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
