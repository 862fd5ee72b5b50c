// SPDX-License-Identifier: Apache-2.0
// What the ledger of TLS reports and the statistics have written together with mail: statements that MailStore puts into its own jobs.
// Nothing is read for them: which day's account is still open, and what has room in it, is found inside the statements.
//
// Accounts are locked in the order of (day, domain), FOR KEY SHARE: nodes count side by side, into rows of their own slot, and wait for
// nobody but who builds that very report. REQUIRES of all: a job of a stream, so that Parameter::slot() is this node's.
#pragma once
#include <optional>
#include <vector>

#include "postgres/batch.h"
#include "statistics/rows.h"
#include "store/ledger.h"
#include "store/results.h"

namespace hoplock::store_postgres {

using namespace store;

// With MailStore::settle. Counts are exact; of policy texts and failure details each node keeps as many of an account as tlsrpt::Limits
// allows, and fewer once its accounts of a day together hold very many (RPT-34, RPT-48). A session whose day's report is built already is
// counted for the next day whose is not.
void add_counts(postgres::Batch& batch, const LedgerCounts& counts);
void add_statistics(postgres::Batch& batch, const statistics::Counts& counts);

// With MailStore::commit: the message carries the report. Fails the job with bad_message where the destination waits for none any more:
// another node has sent it.
void add_report_mark(postgres::Batch& batch, Id mail, const ReportMark& mark);

// With MailStore::settle: mails that came to their end undelivered. The rows of the last statement are what returned_reports() reads; it
// changes nothing, and says the same when it is asked again (Job::read_back).
void add_given_up(postgres::Batch& batch, const std::vector<GivenUpReport>& reports);
postgres::Statement read_given_up(const std::vector<GivenUpReport>& reports);
// Of each in its order; nothing: no such mail is known.
std::vector<std::optional<ReturnedReport>> returned_reports(const postgres::Rows& rows, std::size_t reports);

}  // namespace hoplock::store_postgres
