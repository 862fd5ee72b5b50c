// SPDX-License-Identifier: Apache-2.0
// What counts come to when they are in a ledger.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "store_sqlite/ledger.h"

namespace hoplock::delivery::testing {

struct Counted {
  explicit Counted(const store::LedgerCounts& counts)
      : db(disk::Database::open(":memory:", disk::Access::read_write).value()), tx(db) {
    disk::migrate(db, store_sqlite::ledger_migrations()).value();
    store_sqlite::add_counts(tx, counts);
  }
  std::vector<store::ReportAccount> accounts() { return store_sqlite::list_accounts(tx, store::ReportSelection{}); }
  std::vector<tlsrpt::Sessions> elements(const store::ReportKey& key) {
    const auto by = tlsrpt::Submitter::make("us", "us@example.net", "us@example.net").value();
    return store_sqlite::preview_report(tx, key, by).value().policies;
  }

  disk::Database db;
  disk::Tx tx;
};

// Each element as "domain: type successes/failures result*sessions(reason) …".
inline std::vector<std::string> sessions_in(const store::LedgerCounts& counts) {
  Counted ledger(counts);
  std::vector<std::string> lines;
  for (const auto& account : ledger.accounts()) {
    for (const auto& one : ledger.elements(account.key)) {
      std::string line = account.key.domain.text() + ": " + std::string(tlsrpt::to_text(one.policy.type)) + " " +
                         std::to_string(one.successes) + "/" + std::to_string(one.failures);
      for (const auto& detail : one.details) {
        line += " " + std::string(tlsrpt::to_text(detail.type)) + "*" + std::to_string(detail.sessions);
        if (!detail.reason.empty()) line += "(" + detail.reason + ")";
      }
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

}  // namespace hoplock::delivery::testing
