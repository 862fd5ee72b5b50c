// SPDX-License-Identifier: Apache-2.0
// The ledger as the operator's tool reads it: straight from the database file, with or without a running daemon, in short reads that
// never keep the daemon from writing. Builds nothing that stays and changes nothing.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "disk/db.h"
#include "store/readers.h"
#include "store_sqlite/ledger.h"

namespace hoplock::store_sqlite {

using namespace store;

class SqliteLedgerReader final : public store::LedgerReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<SqliteLedgerReader> open(const std::filesystem::path& database);

  Result<> list(ReportSelection selection, const std::function<void(const LedgerRow&)>& call) override;

  Result<std::optional<std::string>> show(const ReportKey& key, const tlsrpt::Submitter& submitter) override;

  Result<LedgerSummary> summary(tlsrpt::Day day) override;

 private:
  explicit SqliteLedgerReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
