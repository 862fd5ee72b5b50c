// SPDX-License-Identifier: Apache-2.0
// Report mails that came back: which report a mail of the queue carries, and what becomes of the report when nobody took it, at once or
// hours after the mailbox' server had said 250 (RPT-47). The table tlsrpt_mail; functions inside a disk job.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "disk/job.h"
#include "disk/migrations.h"
#include "store/id.h"
#include "store/ledger.h"
#include "tlsrpt/bounce.h"

namespace hoplock::store_sqlite {

using namespace store;

// Later than the first tables of others.
disk::Migration report_mail_migration();

// The mail, by its number in the queue, carries the report to `rua`. Goes with its account.
void put_report_mail(disk::Tx& tx, std::int64_t mail, const ReportKey& key, std::string_view rua);
// The account is forgotten.
void forget_report_mails(disk::Tx& tx, std::int64_t account);

// The mail came to its end undelivered: its destination is failed, and so is a report that nobody else has or may still get. Nothing:
// no such mail is known.
std::optional<ReturnedReport> give_up_report_mail(disk::Tx& tx, std::int64_t mail, std::string_view why);
// The same, by a notice that anybody may have written: it counts only with the id of the report that the mail carried, which nobody
// knows but who got it, and only once.
std::optional<ReturnedReport> take_report_bounce(disk::Tx& tx, Id mail, const tlsrpt::Bounce& bounce);

// A report that is called sent though every destination failed, its mails having come back before it was marked, is failed.
void mark_if_returned(disk::Tx& tx, const ReportKey& key);

}  // namespace hoplock::store_sqlite
