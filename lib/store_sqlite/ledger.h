// SPDX-License-Identifier: Apache-2.0
// The ledger of TLS reports (store/ledger.h) in the tables tlsrpt_account, tlsrpt_element, tlsrpt_detail, tlsrpt_day, tlsrpt_report and
// tlsrpt_destination. Its functions run inside disk jobs.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/job.h"
#include "disk/migrations.h"
#include "store/ledger.h"

namespace hoplock::store_sqlite {

using namespace store;

std::vector<disk::Migration> ledger_migrations();

// --- counting ----------------------------------------------------------------------------------------------------------

// Counts are exact; of policy texts and failure details an account keeps as many as tlsrpt::Limits allows, and fewer once a day's
// accounts together hold very many (RPT-34), but always some: no domain's displace another's (RPT-48). A session whose day's report is
// built already is counted for the next day whose is not.
void add_counts(disk::Tx& tx, const LedgerCounts& counts);

// --- reading -----------------------------------------------------------------------------------------------------------

std::optional<ReportAccount> find_account(disk::Tx& tx, const ReportKey& key);

std::vector<ReportAccount> list_accounts(disk::Tx& tx, const ReportSelection& selection);  // by Key

// --- the report ---------------------------------------------------------------------------------------------------------

// The report as it would be built now, from an account that is not built yet; nothing: there is none, or it is built. Its id is the
// one that build() will give it.
std::optional<tlsrpt::Report> preview_report(disk::Tx& tx, const ReportKey& key, const tlsrpt::Submitter& submitter);
// Built once: stored with the first call, after which counts and details are dropped, the state is `built` and every call gives the
// same octets, whatever `submitter` is by then. Nothing: no such account. Works on days that are not over, too. A skipped account is
// built as well, and so comes back to life.
std::optional<BuiltReport> build_report(disk::Tx& tx, const ReportKey& key, const tlsrpt::Submitter& submitter);
// What build() stored, never building.
std::optional<BuiltReport> stored_report(disk::Tx& tx, const ReportKey& key);

// --- sending --------------------------------------------------------------------------------------------------------------

// Accounts of days before `today` for which nothing is planned yet.
std::vector<ReportKey> unplanned_reports(disk::Tx& tx, tlsrpt::Day today, std::size_t limit);
// collecting becomes due; any other state stays as it is: the time is fixed once (RPT-32).
void plan_report(disk::Tx& tx, const ReportKey& key, Time due);
// After the clock was set back: what would be due later than any plan makes it, for a day before that of `now`, is due now.
void rebase_reports(disk::Tx& tx, Time now, Time latest);
DueReports due_reports(disk::Tx& tx, Time now, std::size_t limit);
// For an operator: due now, whatever it waits for; one that failed or was skipped gets another 24 hours. False: it is sent, or unknown.
bool send_report_now(disk::Tx& tx, const ReportKey& key, Time now);

std::vector<ReportDestination> report_destinations(disk::Tx& tx, const ReportKey& key);  // by rua
void put_report_destination(disk::Tx& tx, const ReportKey& key, const ReportDestination& destination);

void postpone_report(disk::Tx& tx, const ReportKey& key, const ReportPause& pause, std::string_view error);
// REQUIRES: `end` is sent, failed or skipped.
void finish_report(disk::Tx& tx, const ReportKey& key, ReportState end, std::string_view error);

// Forgets accounts of days before `before`, at most `limit` of them. True: there are more.
bool prune_reports(disk::Tx& tx, tlsrpt::Day before, PruneReports which, std::size_t limit);

}  // namespace hoplock::store_sqlite
