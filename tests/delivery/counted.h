// SPDX-License-Identifier: Apache-2.0
// What counts come to when they are in a ledger.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "reports/ledger.h"

namespace hoplock::delivery::testing {

struct Counted {
  explicit Counted(const reports::Counts& counts)
      : db(disk::Database::open(":memory:", disk::Access::read_write).value()), tx(db) {
    disk::migrate(db, reports::migrations()).value();
    reports::add(tx, counts);
  }
  std::vector<reports::Account> accounts() { return reports::list(tx, reports::Selection{}); }
  std::vector<tlsrpt::Sessions> elements(const reports::Key& key) {
    const auto by = tlsrpt::Submitter::make("us", "us@example.net", "us@example.net").value();
    return reports::preview(tx, key, by).value().policies;
  }

  disk::Database db;
  disk::Tx tx;
};

// Each element as "domain: type successes/failures result*sessions(reason) …".
inline std::vector<std::string> sessions_in(const reports::Counts& counts) {
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
