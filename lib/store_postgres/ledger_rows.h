// SPDX-License-Identifier: Apache-2.0
// Rows that several sources of the ledger read, and the statements that give them. For this module's own sources.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/batch.h"
#include "store/ledger.h"
#include "store/stored_report.h"

namespace hoplock::store_postgres {

using namespace store;

// Digits in SQL (DUR-06).
static_assert(static_cast<int>(ReportState::collecting) == 0 && static_cast<int>(ReportState::due) == 1 &&
              static_cast<int>(ReportState::built) == 2 && static_cast<int>(ReportState::sent) == 3 &&
              static_cast<int>(ReportState::failed) == 4 && static_cast<int>(ReportState::skipped) == 5);
static_assert(static_cast<int>(ReportDestination::State::waiting) == 0 &&
              static_cast<int>(ReportDestination::State::accepted) == 1 &&
              static_cast<int>(ReportDestination::State::failed) == 2);

inline std::int64_t number_of(std::chrono::sys_days day) { return day.time_since_epoch().count(); }
inline std::chrono::sys_days day_of_number(std::int64_t number) {
  return std::chrono::sys_days{std::chrono::days{number}};
}

// The account's columns from `first` on; then those of whoever asks. `condition` speaks of the account as `a`.
std::string select_accounts(std::string_view more_columns, std::string_view condition);
inline constexpr int account_columns = 9;
// Nothing: what stands there is no name of ours.
std::optional<ReportAccount> account_of(const postgres::Row& row, int first = 0);
std::optional<ReportKey> key_of(const postgres::Row& row);  // day, domain

// A page of accounts by day and domain: columns of the account, its id, the report-id ("": not built), the name of the node that sends it.
postgres::Statement select_page(const ReportSelection& selection);
// account id, rua, state, attempts, next, error; by account and rua.
postgres::Statement select_destinations(const std::vector<std::int64_t>& accounts);
postgres::Statement select_destinations(const ReportKey& key);
ReportDestination destination_of(const postgres::Row& row);

// --- the report

// Its tag; no row: there is no such account.
postgres::Statement select_tag(const ReportKey& key);
// What was counted, of all nodes and in one state of the database.
postgres::Statement select_counted(const ReportKey& key);
// The report as it is built from the rows of these two.
tlsrpt::Report report_of(const ReportKey& key, const tlsrpt::Submitter& submitter, std::string_view tag,
                         const postgres::Rows& counted);
// No row: it is not built.
postgres::Statement select_built(const ReportKey& key);
std::optional<BuiltReport> built_of(const postgres::Rows& rows);

}  // namespace hoplock::store_postgres
