// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/ledger_reader.h"

#include <utility>

#include "disk/guarded.h"
#include "disk/migrations.h"
#include "store_sqlite/snapshot.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"

namespace hoplock::store_sqlite {

namespace {

constexpr std::size_t accounts_at_once = 512;
constexpr std::size_t longest_report = 64U << 20U;  // of our own; RPT-34 keeps them below 10 MB

LedgerRow row_of(disk::Tx& tx, ReportAccount account) {
  LedgerRow row;
  if (account.state >= ReportState::built) {
    if (auto built = stored_report(tx, account.key)) row.report_id = std::move(built->report_id);
    row.destinations = report_destinations(tx, account.key);
  }
  row.account = std::move(account);
  return row;
}

}  // namespace

Result<SqliteLedgerReader> SqliteLedgerReader::open(const std::filesystem::path& database) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return SqliteLedgerReader(std::move(*db));
}

Result<> SqliteLedgerReader::list(ReportSelection selection, const std::function<void(const LedgerRow&)>& call) {
  selection.after.reset();
  selection.limit = accounts_at_once;
  return disk::guarded([&]() -> Result<> {
    for (;;) {
      std::vector<LedgerRow> rows;
      {
        disk::Tx tx(db_);
        if (!disk::has_table(tx, "tlsrpt_account")) return {};
        for (ReportAccount& account : list_accounts(tx, selection)) rows.push_back(row_of(tx, std::move(account)));
      }
      for (const LedgerRow& row : rows) call(row);
      if (rows.empty()) return {};
      selection.after = rows.back().account.key;
    }
  });
}

Result<std::optional<std::string>> SqliteLedgerReader::show(const ReportKey& key, const tlsrpt::Submitter& submitter) {
  return disk::guarded([&]() -> Result<std::optional<std::string>> {
    std::optional<BuiltReport> built;
    std::optional<tlsrpt::Report> open;
    {
      const Snapshot snapshot(db_);
      disk::Tx tx(db_);
      if (!disk::has_table(tx, "tlsrpt_account")) return std::optional<std::string>();
      built = stored_report(tx, key);
      if (!built) open = preview_report(tx, key, submitter);
    }
    if (open) return std::optional(tlsrpt::to_json(*open));
    if (!built) return std::optional<std::string>();
    auto json = tlsrpt::gunzip(built->gzip, longest_report);
    if (!json) return json.error();
    return std::optional(std::move(*json));
  });
}

Result<LedgerSummary> SqliteLedgerReader::summary(tlsrpt::Day day) {
  return disk::guarded([&]() -> Result<LedgerSummary> {
    disk::Tx tx(db_);
    LedgerSummary summary;
    if (!disk::has_table(tx, "tlsrpt_account")) return summary;
    auto row = tx.prepare(
        "SELECT state, count(*), sum(sessions), sum(failures) FROM tlsrpt_account WHERE day = ?1 GROUP BY state");
    for (row.bind(day.time_since_epoch().count()); row.step();) {
      summary.states.push_back({static_cast<ReportState>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1))});
      summary.sessions += static_cast<std::uint64_t>(row.integer(2));
      summary.failures += static_cast<std::uint64_t>(row.integer(3));
    }
    return summary;
  });
}

}  // namespace hoplock::store_sqlite
