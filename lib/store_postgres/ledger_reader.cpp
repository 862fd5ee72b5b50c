// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/ledger_reader.h"

#include <map>
#include <utility>

#include "store_postgres/ledger_rows.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"

namespace hoplock::store_postgres {

using postgres::statement;

namespace {

constexpr std::size_t accounts_at_once = 512;
constexpr std::size_t longest_report = 64U << 20U;  // of our own; RPT-34 keeps them below 10 MB

}  // namespace

Result<> PostgresLedgerReader::list(ReportSelection selection, const std::function<void(const LedgerRow&)>& call) {
  selection.after.reset();
  selection.limit = accounts_at_once;
  for (;;) {
    const auto page = connection_.run(select_page(selection));
    if (!page) return page.error();
    std::vector<std::int64_t> built;
    for (const postgres::Row row : *page)
      if (static_cast<ReportState>(row.integer(2)) >= ReportState::built) built.push_back(row.integer(account_columns));
    std::map<std::int64_t, std::vector<ReportDestination>> destinations;
    if (!built.empty()) {
      const auto found = connection_.run(select_destinations(built));
      if (!found) return found.error();
      for (const postgres::Row row : *found) destinations[row.integer(0)].push_back(destination_of(row));
    }
    for (const postgres::Row row : *page) {
      auto account = account_of(row);
      if (!account) continue;
      selection.after = account->key;
      LedgerRow one;
      one.account = std::move(*account);
      one.destinations = std::move(destinations[row.integer(account_columns)]);
      if (one.account.state >= ReportState::built) one.report_id = row.text(account_columns + 1);
      one.node = row.text(account_columns + 2);
      call(one);
    }
    if (page->size() < accounts_at_once) return {};
  }
}

Result<std::optional<std::string>> PostgresLedgerReader::show(const ReportKey& key,
                                                              const tlsrpt::Submitter& submitter) {
  postgres::Batch batch;  // what was counted is read first: where it is gone, the report is there
  batch.push_back(select_tag(key));
  batch.push_back(select_counted(key));
  batch.push_back(select_built(key));
  const auto answer = connection_.run(batch);
  if (!answer) return answer.error();
  if (answer->at(0).empty()) return std::optional<std::string>();
  const auto built = built_of(answer->at(2));
  if (!built) return std::optional(tlsrpt::to_json(report_of(key, submitter, answer->at(0)[0].text(0), answer->at(1))));
  auto json = tlsrpt::gunzip(built->gzip, longest_report);
  if (!json) return json.error();
  return std::optional(std::move(*json));
}

Result<LedgerSummary> PostgresLedgerReader::summary(tlsrpt::Day day) {
  const auto rows =
      connection_.run(statement("SELECT a.state, count(DISTINCT a.id), coalesce(sum(c.sessions), 0)::bigint,"
                                " coalesce(sum(c.failures), 0)::bigint FROM tlsrpt_account a"
                                " LEFT JOIN tlsrpt_count c ON c.account = a.id WHERE a.day = $1 GROUP BY a.state",
                                number_of(day)));
  if (!rows) return rows.error();
  LedgerSummary summary;
  for (const postgres::Row row : *rows) {
    summary.states.push_back({static_cast<ReportState>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1))});
    summary.sessions += static_cast<std::uint64_t>(row.integer(2));
    summary.failures += static_cast<std::uint64_t>(row.integer(3));
  }
  return summary;
}

}  // namespace hoplock::store_postgres
