// SPDX-License-Identifier: Apache-2.0
// Rows that several sources of the ledger read: accounts by key, policies as columns. For this module's own sources.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/stored_report.h"
#include "store_sqlite/days.h"
#include "store_sqlite/ledger.h"

namespace hoplock::store_sqlite {

// Digits in SQL, and in the condition of an index (ledger_schema.cpp).
static_assert(static_cast<int>(ReportState::collecting) == 0 && static_cast<int>(ReportState::due) == 1 &&
              static_cast<int>(ReportState::built) == 2);
static_assert(static_cast<int>(ReportDestination::State::waiting) == 0 &&
              static_cast<int>(ReportDestination::State::failed) == 2);

struct AccountRow {
  std::int64_t id = 0;
  ReportState state = ReportState::collecting;
  std::string tag;  // tells reports about one day apart, in report-id and file name
  std::uint64_t elements = 0;
  std::uint64_t octets = 0;  // of their texts
  std::uint64_t details = 0;
};
std::optional<AccountRow> find_row(disk::Tx& tx, const ReportKey& key);

// All that an account counted, once its report says it.
void drop_counts(disk::Tx& tx, std::int64_t account);

}  // namespace hoplock::store_sqlite
