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
#include "store_sqlite/ledger.h"

namespace hoplock::store_sqlite {

using namespace store;

class LedgerReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<LedgerReader> open(const std::filesystem::path& database);

  // By day and domain, one call an account, whatever selection.after and limit say. A database that never had a ledger has none.
  Result<> list(ReportSelection selection, const std::function<void(const LedgerRow&)>& call);

  // The report as it was sent or will be, in the octets of its JSON; of a day that is not built yet, as it would be now. Nothing: no
  // such account.
  Result<std::optional<std::string>> show(const ReportKey& key, const tlsrpt::Submitter& submitter);

  Result<LedgerSummary> summary(tlsrpt::Day day);

 private:
  explicit LedgerReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
