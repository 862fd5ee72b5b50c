// Report mails that came back: which report a mail of the queue carries, and what becomes of the report when nobody took it (RPT-47).
// Owns the table tlsrpt_mail. Its functions run inside disk jobs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "disk/job.h"
#include "disk/migrations.h"
#include "reports/ledger.h"

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
// A report that is called sent though every destination failed, its mails having come back before it was marked, is failed.
void mark_if_returned(disk::Tx& tx, const Key& key);

}  // namespace hoplock::reports
