// SPDX-License-Identifier: Apache-2.0
// Report mails that came back: which report a mail of the queue carries, and what becomes of the report when nobody took it, at once or
// hours after the mailbox' server had said 250 (RPT-47). Owns the table tlsrpt_mail. Its functions run inside disk jobs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "disk/job.h"
#include "disk/migrations.h"
#include "reports/ledger.h"
#include "store/id.h"
#include "tlsrpt/bounce.h"

namespace hoplock::reports {

// Later than the first tables of other modules.
disk::Migration mail_migration();

// The mail, by its number in the queue, carries the report to `rua`. Goes with its account.
void put_mail(disk::Tx& tx, std::int64_t mail, const Key& key, std::string_view rua);
// The account is forgotten. For this module's own sources.
void forget_mails(disk::Tx& tx, std::int64_t account);

struct Returned {
  Account account;  // as it is from now on
  std::string rua;
};
// The mail came to its end undelivered: its destination is failed, and so is a report that nobody else has or may still get. Nothing:
// no such mail is known.
std::optional<Returned> give_up_mail(disk::Tx& tx, std::int64_t mail, std::string_view why);
// The same, by a notice that anybody may have written: it counts only with the id of the report that the mail carried, which nobody
// knows but who got it, and only once.
std::optional<Returned> take_bounce(disk::Tx& tx, const tlsrpt::Bounce& bounce);
// The line about it; `mail` as the queue writes its id.
Event event_of(const Returned& returned, std::string_view why, std::string_view mail);
// The id of the mail in the queue, from the Message-ID of a report's mail.
std::optional<store::Id> mail_of(std::string_view message_id);
std::string message_id(store::Id mail, const dns::Name& submitter);

// A report that is called sent though every destination failed, its mails having come back before it was marked, is failed.
void mark_if_returned(disk::Tx& tx, const Key& key);

}  // namespace hoplock::reports
