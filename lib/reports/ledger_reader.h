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
#include "reports/ledger.h"

namespace hoplock::reports {

// One day's accounts, added up.
struct DaySummary {
  struct Count {
    State state = State::collecting;
    std::uint64_t accounts = 0;
  };
  std::uint64_t sessions = 0;
  std::uint64_t failures = 0;
  std::vector<Count> states;  // those that occur
};

class LedgerReader {
 public:
  // no_such_file_or_directory: there is no database yet.
  static Result<LedgerReader> open(const std::filesystem::path& database);

  struct Row {
    Account account;
    std::string report_id;  // "": not built
    std::vector<Destination> destinations;
  };
  // By day and domain, one call an account, whatever selection.after and limit say. A database that never had a ledger has none.
  Result<> list(Selection selection, const std::function<void(const Row&)>& call);

  // The report as it was sent or will be, in the octets of its JSON; of a day that is not built yet, as it would be now. Nothing: no
  // such account.
  Result<std::optional<std::string>> show(const Key& key, const tlsrpt::Submitter& submitter);

  Result<DaySummary> summary(tlsrpt::Day day);

 private:
  explicit LedgerReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::reports
