// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/report_mails.h"

#include <algorithm>
#include <utility>

#include "store_sqlite/ledger_rows.h"

namespace hoplock::store_sqlite {

namespace {

constexpr std::string_view mail_table = R"(
CREATE TABLE tlsrpt_mail (
  mail INTEGER PRIMARY KEY,
  account INTEGER NOT NULL,
  rua TEXT NOT NULL
);
CREATE INDEX tlsrpt_mail_account ON tlsrpt_mail (account);
)";

struct Carried {
  std::int64_t account = 0;
  ReportKey key;
  std::string rua;
};

std::optional<Carried> carried_by(disk::Tx& tx, std::int64_t mail) {
  auto row = tx.prepare(
      "SELECT m.account, m.rua, a.day, a.domain FROM tlsrpt_mail m CROSS JOIN tlsrpt_account a ON a.id = m.account"
      " WHERE m.mail = ?1");
  if (!row.bind(mail).step()) return std::nullopt;
  auto domain = dns::Name::parse(row.text(3));
  if (!domain) return std::nullopt;
  Carried found;
  found.account = row.integer(0);
  found.rua = row.text(1);
  found.key = ReportKey{day_of_number(row.integer(2)), std::move(*domain)};
  return found;
}

}  // namespace

disk::Migration report_mail_migration() {
  disk::Migration second;
  second.name = "reports: mails that carry reports";
  second.sql = mail_table;
  return second;
}

void put_report_mail(disk::Tx& tx, std::int64_t mail, const ReportKey& key, std::string_view rua) {
  const auto row = find_row(tx, key);
  if (!row) return;
  tx.prepare("INSERT OR REPLACE INTO tlsrpt_mail (mail, account, rua) VALUES (?1, ?2, ?3)")
      .bind(mail, row->id, rua)
      .run();
}

void forget_report_mails(disk::Tx& tx, std::int64_t account) {
  tx.prepare("DELETE FROM tlsrpt_mail WHERE account = ?1").bind(account).run();
}

std::optional<ReturnedReport> give_up_report_mail(disk::Tx& tx, std::int64_t mail, std::string_view why) {
  auto carried = carried_by(tx, mail);
  if (!carried) return std::nullopt;
  tx.prepare("UPDATE tlsrpt_destination SET state = ?3, next = NULL, error = ?4 WHERE account = ?1 AND rua = ?2")
      .bind(carried->account, carried->rua, ReportDestination::State::failed, why)
      .run();
  mark_if_returned(tx, carried->key);
  auto account = find_account(tx, carried->key);
  if (!account) return std::nullopt;
  return ReturnedReport{std::move(*account), std::move(carried->rua)};
}

std::optional<ReturnedReport> take_report_bounce(disk::Tx& tx, Id mail, const tlsrpt::Bounce& bounce) {
  const auto carried = carried_by(tx, mail.value);
  if (!carried) return std::nullopt;
  const auto report = stored_report(tx, carried->key);
  if (!report || report->report_id != bounce.report_id) return std::nullopt;
  const auto all = report_destinations(tx, carried->key);
  const bool thought_accepted = std::any_of(all.begin(), all.end(), [&carried](const ReportDestination& one) {
    return one.rua == carried->rua && one.state == ReportDestination::State::accepted;
  });
  if (!thought_accepted) return std::nullopt;
  return give_up_report_mail(tx, mail.value, bounce.why);
}

void mark_if_returned(disk::Tx& tx, const ReportKey& key) {
  const auto account = find_account(tx, key);
  if (!account || account->state != ReportState::sent) return;
  const auto all = report_destinations(tx, key);
  const auto failed = [](const ReportDestination& one) { return one.state == ReportDestination::State::failed; };
  if (all.empty() || !std::all_of(all.begin(), all.end(), failed)) return;
  tx.prepare("UPDATE tlsrpt_account SET state = ?3, error = ?4 WHERE day = ?1 AND domain = ?2")
      .bind(number_of(key.day), key.domain.text(), ReportState::failed, all.front().error)
      .run();
}

}  // namespace hoplock::store_sqlite
