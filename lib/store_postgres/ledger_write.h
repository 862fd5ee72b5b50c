// SPDX-License-Identifier: Apache-2.0
// Statements that change the ledger. For this module's own sources.
#pragma once
#include <string>
#include <vector>

#include "postgres/batch.h"
#include "store/admin.h"
#include "store/ledger_store.h"

namespace hoplock::store_postgres {

using namespace store;

// Anew, or over what stands there. Nothing where there is no such account.
void add_destinations(postgres::Batch& batch, const ReportKey& key, const std::vector<ReportDestination>& destinations);

// From then on nothing is counted in the account, and who was just adding to it is through. Nothing where the report is stored.
postgres::Job seal_report(const ReportKey& key);
// Stores it, once; what was counted goes. REQUIRES: it is sealed.
void add_report(postgres::Batch& batch, const ReportKey& key, const BuiltReport& report);

postgres::Statement mark_if_returned(const ReportKey& key);
postgres::Statement mark_if_returned(const std::vector<Id>& mails);
// The destination of the report that the mail carried to it fails, by whoever knows the report's id: the first statement changes one row or
// none. Two statements.
void add_bounce(postgres::Job& job, Id mail, const tlsrpt::Bounce& bounce);

// Two statements; the second one changes as many rows as got a time.
void add_plan(postgres::Batch& batch, const ReportPlan& plan);
// One row: how many accounts went.
postgres::Statement forget_reports(tlsrpt::Day before, PruneReports which, std::int64_t limit);
// day, domain and state before of each account of the selection.
postgres::Statement hasten_reports(const ReportSelection& which, Time now);

// --- quota.cpp

struct QuotaLimit {
  std::string target;
  std::uint64_t reports = 0;
  std::uint64_t octets = 0;  // 0: any
};
std::vector<QuotaLimit> limits_for(const tlsrpt::Destination& to, const ReportQuota& quota);
// The second of its statements gives what was taken so far, and nobody else takes any until the job's end.
void add_quota(postgres::Batch& batch, const ReportLoad& load, const std::vector<QuotaLimit>& limits);
// Why nothing was counted, in one sentence; "": it was.
std::string over_quota(const postgres::Rows& taken, const ReportLoad& load, const std::vector<QuotaLimit>& limits);

}  // namespace hoplock::store_postgres
