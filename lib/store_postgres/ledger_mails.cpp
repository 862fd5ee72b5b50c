// SPDX-License-Identifier: Apache-2.0
// Which mail carries which report, and what becomes of the report when nobody took it (RPT-30, RPT-47).
#include <utility>

#include "store_postgres/ledger_batch.h"
#include "store_postgres/ledger_rows.h"
#include "store_postgres/ledger_write.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::statement;

void add_report_mark(postgres::Batch& batch, Id mail, const ReportMark& mark) {
  const auto day = number_of(mark.key.day);
  const std::string domain = mark.key.domain.text();
  const std::string rua = text_of(mark.destination.rua);
  batch.push_back(
      statement("INSERT INTO tlsrpt_mail (mail, account, rua) SELECT $1, a.id, $4 FROM tlsrpt_account a"
                " WHERE a.day = $2 AND a.domain = $3"
                " ON CONFLICT (mail) DO UPDATE SET account = excluded.account, rua = excluded.rua",
                mail.value, day, domain, rua));
  // Of a forgotten account nothing is marked, and its mail goes all the same.
  batch.push_back(statement(
      "WITH account AS (SELECT a.id FROM tlsrpt_account a WHERE a.day = $1 AND a.domain = $2),"
      " put AS (INSERT INTO tlsrpt_destination AS d (account, key, rua, state, attempts, next, error)"
      " SELECT a.id, sha256(convert_to($3, 'UTF8')), $3, $4, $5, $6, $7 FROM account a"
      " ON CONFLICT (account, key) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,"
      " next = excluded.next, error = excluded.error WHERE d.state <> 1 RETURNING 1)"
      " SELECT 1 / (CASE WHEN EXISTS (SELECT FROM put) OR NOT EXISTS (SELECT FROM account) THEN 1 ELSE 0 END)",
      day, domain, rua, mark.destination.state, mark.destination.attempts, mark.destination.next,
      text_of(mark.destination.error)));
}

void add_given_up(postgres::Batch& batch, const std::vector<GivenUpReport>& reports) {
  if (reports.empty()) return;
  std::vector<Id> ids;
  std::vector<std::int64_t> mails;
  std::vector<std::string> why;
  for (const GivenUpReport& one : reports) {
    ids.push_back(one.mail);
    mails.push_back(one.mail.value);
    why.push_back(text_of(one.why));
  }
  batch.push_back(
      statement("UPDATE tlsrpt_destination d SET state = 2, next = NULL, error = g.why"
                " FROM unnest($1, $2) AS g(mail, why) JOIN tlsrpt_mail m ON m.mail = g.mail"
                " WHERE d.account = m.account AND d.rua = m.rua",
                mails, why));
  batch.push_back(mark_if_returned(ids));
  batch.push_back(read_given_up(reports));
}

postgres::Statement read_given_up(const std::vector<GivenUpReport>& reports) {
  std::vector<std::int64_t> mails;
  for (const GivenUpReport& one : reports) mails.push_back(one.mail.value);
  return statement(select_accounts(", g.n, m.rua",
                                   "JOIN tlsrpt_mail m ON m.account = a.id"
                                   " JOIN unnest($1) WITH ORDINALITY AS g(mail, n) ON g.mail = m.mail"),
                   mails);
}

std::vector<std::optional<ReturnedReport>> returned_reports(const postgres::Rows& rows, std::size_t reports) {
  std::vector<std::optional<ReturnedReport>> returned(reports);
  for (const postgres::Row row : rows) {
    auto account = account_of(row);
    if (!account) continue;
    returned.at(static_cast<std::size_t>(row.integer(account_columns) - 1)) =
        ReturnedReport{std::move(*account), std::string(row.text(account_columns + 1))};
  }
  return returned;
}

}  // namespace hoplock::store_postgres
