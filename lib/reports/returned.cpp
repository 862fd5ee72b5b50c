// SPDX-License-Identifier: Apache-2.0
#include "reports/returned.h"

#include <algorithm>
#include <utility>

#include "reports/ledger_rows.h"

namespace hoplock::reports {

namespace {

constexpr std::string_view mail_table = R"(
CREATE TABLE tlsrpt_mail (
  mail INTEGER PRIMARY KEY,
  account INTEGER NOT NULL,
  rua TEXT NOT NULL
);
CREATE INDEX tlsrpt_mail_account ON tlsrpt_mail (account);
)";

constexpr std::string_view behind_id = ".tlsrpt@";  // in a Message-ID

struct Carried {
  std::int64_t account = 0;
  Key key;
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
  found.key = Key{day_of_number(row.integer(2)), std::move(*domain)};
  return found;
}

}  // namespace

disk::Migration mail_migration() {
  disk::Migration second;
  second.name = "reports: mails that carry reports";
  second.sql = mail_table;
  return second;
}

void put_mail(disk::Tx& tx, std::int64_t mail, const Key& key, std::string_view rua) {
  const auto row = find_row(tx, key);
  if (!row) return;
  tx.prepare("INSERT OR REPLACE INTO tlsrpt_mail (mail, account, rua) VALUES (?1, ?2, ?3)")
      .bind(mail, row->id, rua)
      .run();
}

void forget_mails(disk::Tx& tx, std::int64_t account) {
  tx.prepare("DELETE FROM tlsrpt_mail WHERE account = ?1").bind(account).run();
}

std::optional<Returned> give_up_mail(disk::Tx& tx, std::int64_t mail, std::string_view why) {
  auto carried = carried_by(tx, mail);
  if (!carried) return std::nullopt;
  tx.prepare("UPDATE tlsrpt_destination SET state = ?3, next = NULL, error = ?4 WHERE account = ?1 AND rua = ?2")
      .bind(carried->account, carried->rua, Destination::State::failed, why)
      .run();
  mark_if_returned(tx, carried->key);
  auto account = find(tx, carried->key);
  if (!account) return std::nullopt;
  return Returned{std::move(*account), std::move(carried->rua)};
}

std::optional<Returned> take_bounce(disk::Tx& tx, const tlsrpt::Bounce& bounce) {
  const auto mail = mail_of(bounce.message_id);
  const auto carried = mail ? carried_by(tx, mail->value) : std::nullopt;
  if (!carried) return std::nullopt;
  const auto report = stored(tx, carried->key);
  if (!report || report->report_id != bounce.report_id) return std::nullopt;
  const auto all = destinations(tx, carried->key);
  const bool thought_accepted = std::any_of(all.begin(), all.end(), [&carried](const Destination& one) {
    return one.rua == carried->rua && one.state == Destination::State::accepted;
  });
  if (!thought_accepted) return std::nullopt;
  return give_up_mail(tx, mail->value, bounce.why);
}

Event event_of(const Returned& returned, std::string_view why, std::string_view mail) {
  const Account& account = returned.account;
  Event event(Level::warn, "tlsrpt");
  event.add("domain", account.key.domain.text()).add("day", tlsrpt::to_text(account.key.day)).add("action", "failed");
  event.add("sessions", static_cast<std::int64_t>(account.sessions));
  event.add("failures", static_cast<std::int64_t>(account.failures));
  event.add("rua", returned.rua).add("error", std::string(why)).add("id", std::string(mail));
  return event;
}

std::string message_id(store::Id mail, const dns::Name& submitter) {
  return mail.text() + std::string(behind_id) + submitter.text();
}

std::optional<store::Id> mail_of(std::string_view message_id) {
  const auto end = message_id.find(behind_id);
  return end == std::string_view::npos ? std::nullopt : store::Id::parse(message_id.substr(0, end));
}

void mark_if_returned(disk::Tx& tx, const Key& key) {
  const auto account = find(tx, key);
  if (!account || account->state != State::sent) return;
  const auto all = destinations(tx, key);
  const auto failed = [](const Destination& one) { return one.state == Destination::State::failed; };
  if (all.empty() || !std::all_of(all.begin(), all.end(), failed)) return;
  tx.prepare("UPDATE tlsrpt_account SET state = ?3, error = ?4 WHERE day = ?1 AND domain = ?2")
      .bind(number_of(key.day), key.domain.text(), State::failed, all.front().error)
      .run();
}

}  // namespace hoplock::reports
