// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/ledger_write.h"

#include <limits>

#include "store_postgres/ledger_rows.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Parameter;
using postgres::statement;

namespace {

// A report that is called sent though every destination failed, its mails having come back meanwhile, is failed.
constexpr std::string_view if_returned =
    " AND a.state = 3 AND EXISTS (SELECT FROM tlsrpt_destination d WHERE d.account = a.id)"
    " AND NOT EXISTS (SELECT FROM tlsrpt_destination d WHERE d.account = a.id AND d.state <> 2)";
constexpr std::string_view fail_returned =
    "UPDATE tlsrpt_account a SET state = 4,"
    " error = (SELECT d.error FROM tlsrpt_destination d WHERE d.account = a.id ORDER BY d.rua LIMIT 1) WHERE ";

std::string fail_if_returned(std::string_view condition) {
  std::string sql(fail_returned);
  (sql += condition) += if_returned;
  return sql;
}

}  // namespace

void add_destinations(postgres::Batch& batch, const ReportKey& key,
                      const std::vector<ReportDestination>& destinations) {
  if (destinations.empty()) return;
  std::vector<std::string> rua, error;
  std::vector<ReportDestination::State> state;
  std::vector<std::uint32_t> attempts;
  std::vector<std::optional<Time>> next;
  for (const ReportDestination& one : destinations) {
    rua.push_back(text_of(one.rua));
    state.push_back(one.state);
    attempts.push_back(one.attempts);
    next.push_back(one.next);
    error.push_back(text_of(one.error));
  }
  batch.push_back(statement(
      "INSERT INTO tlsrpt_destination (account, key, rua, state, attempts, next, error)"
      " SELECT DISTINCT ON (d.rua) a.id, sha256(convert_to(d.rua, 'UTF8')), d.rua, d.state, d.attempts, d.next, d.error"
      " FROM tlsrpt_account a"
      " CROSS JOIN unnest($3, $4, $5, $6, $7) WITH ORDINALITY AS d(rua, state, attempts, next, error, n)"
      " WHERE a.day = $1 AND a.domain = $2 ORDER BY d.rua, d.n DESC"
      " ON CONFLICT (account, key) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,"
      " next = excluded.next, error = excluded.error",
      number_of(key.day), key.domain.text(), rua, state, attempts, next, error));
}

// Who adds counts pins the account of the session's own day, which may be some days before the one that it counts in (ledger_count.cpp).
postgres::Job seal_report(const ReportKey& key) {
  postgres::Job job;
  job.statements.push_back(
      statement("SELECT count(*) FROM (SELECT FROM tlsrpt_account a WHERE a.domain = $2 AND a.day BETWEEN $1 - 7 AND $1"
                " ORDER BY a.day FOR UPDATE) locked",
                number_of(key.day), key.domain.text()));
  job.statements.push_back(
      statement("UPDATE tlsrpt_account a SET state = 2 WHERE a.day = $1 AND a.domain = $2 AND a.state <> 2"
                " AND NOT EXISTS (SELECT FROM tlsrpt_report r WHERE r.account = a.id)",
                number_of(key.day), key.domain.text()));
  return job;
}

void add_report(postgres::Batch& batch, const ReportKey& key, const BuiltReport& report) {
  batch.push_back(
      statement("INSERT INTO tlsrpt_report (account, report_id, file_name, policies, gzip)"
                " SELECT a.id, $3, $4, $5, $6 FROM tlsrpt_account a WHERE a.day = $1 AND a.domain = $2 AND a.state = 2"
                " ON CONFLICT (account) DO NOTHING",
                number_of(key.day), key.domain.text(), report.report_id, report.file_name, report.policies,
                postgres::Octets{report.gzip}));
  for (const char* table : {"tlsrpt_detail", "tlsrpt_element"})
    batch.push_back(statement(std::string("DELETE FROM ") + table +
                                  " WHERE account IN (SELECT r.account FROM tlsrpt_account a JOIN tlsrpt_report r"
                                  " ON r.account = a.id WHERE a.day = $1 AND a.domain = $2)",
                              number_of(key.day), key.domain.text()));
}

postgres::Statement mark_if_returned(const ReportKey& key) {
  return statement(fail_if_returned("a.day = $1 AND a.domain = $2"), number_of(key.day), key.domain.text());
}

postgres::Statement mark_if_returned(const std::vector<Id>& mails) {
  std::vector<std::int64_t> numbers;
  for (const Id id : mails) numbers.push_back(id.value);
  return statement(fail_if_returned("a.id IN (SELECT m.account FROM tlsrpt_mail m WHERE m.mail = ANY($1))"), numbers);
}

void add_bounce(postgres::Job& job, Id mail, const tlsrpt::Bounce& bounce) {
  const std::string of_mail =
      " FROM tlsrpt_mail m JOIN tlsrpt_report r ON r.account = m.account"
      " WHERE m.mail = $1 AND r.report_id = $2 AND d.account = m.account AND d.rua = m.rua";
  const std::string report_id = text_of(bounce.report_id);
  const std::string why = text_of(bounce.why);
  job.statements.push_back(
      statement("UPDATE tlsrpt_destination d SET state = 2, next = NULL, error = $3" + of_mail + " AND d.state = 1",
                mail.value, report_id, why));
  job.statements.push_back(mark_if_returned({mail}));
  const auto is_so = statement(
      "SELECT 1 FROM tlsrpt_destination d, tlsrpt_mail m JOIN tlsrpt_report r ON r.account = m.account WHERE m.mail = "
      "$1"
      " AND r.report_id = $2 AND d.account = m.account AND d.rua = m.rua AND d.state = 2 AND d.error = $3",
      mail.value, report_id, why);
  job.read_back = {is_so, is_so};
}

void add_plan(postgres::Batch& batch, const ReportPlan& plan) {
  const auto today = number_of(tlsrpt::day_of(plan.now));
  batch.push_back(statement("UPDATE tlsrpt_account SET due = $1, since = $1 WHERE due > $2 AND day < $3", plan.now,
                            plan.latest, today));
  // What is locked is being planned by somebody else.
  batch.push_back(statement(
      "WITH picked AS (SELECT id, day FROM tlsrpt_account WHERE state = 0 AND day < $1 ORDER BY day, id LIMIT $2"
      " FOR NO KEY UPDATE SKIP LOCKED),"
      " timed AS (SELECT s.id, greatest($3, (s.day + 1) * 86400000::bigint + $4 + d.delay) AS due"
      " FROM (SELECT id, day, row_number() OVER (ORDER BY day, id) AS n FROM picked) s"
      " JOIN unnest($5) WITH ORDINALITY AS d(delay, n) ON d.n = s.n)"
      " UPDATE tlsrpt_account a SET state = 1, due = t.due, since = t.due FROM timed t WHERE a.id = t.id",
      today, plan.delays.size(), plan.now, plan.send_at.count(), [&plan] {
        std::vector<std::int64_t> delays;
        for (const Milliseconds one : plan.delays) delays.push_back(one.count());
        return delays;
      }()));
}

postgres::Statement forget_reports(tlsrpt::Day before, PruneReports which, std::int64_t limit) {
  std::string sql =
      "WITH gone AS (DELETE FROM tlsrpt_account WHERE id IN (SELECT id FROM tlsrpt_account WHERE day < $1 AND state >= "
      "$2"
      " ORDER BY day, domain LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id)";
  for (const char* table :
       {"tlsrpt_count", "tlsrpt_element", "tlsrpt_detail", "tlsrpt_report", "tlsrpt_destination", "tlsrpt_mail"})
    ((sql += std::string(", of_") + table) += " AS (DELETE FROM ") +=
        std::string(table) + " WHERE account IN (SELECT id FROM gone))";
  sql += " SELECT count(*) FROM gone";
  return statement(sql, number_of(before), which == PruneReports::ended ? ReportState::sent : ReportState::collecting,
                   limit);
}

// One that failed or was skipped gets another 24 hours.
postgres::Statement hasten_reports(const ReportSelection& which, Time now) {
  std::string sql =
      "WITH page AS (SELECT a.id, a.day, a.domain, a.state, a.state IN (4, 5) AS anew, a.state = 2 OR EXISTS ("
      "SELECT FROM tlsrpt_report r WHERE r.account = a.id) AS built FROM tlsrpt_account a"
      " WHERE (a.day, a.domain) > ($1, $2)";
  if (which.day) sql += " AND a.day = $4";
  if (which.domain) sql += " AND a.domain = $5";
  sql +=
      " AND $4 IS NOT NULL AND $5 IS NOT NULL ORDER BY a.day, a.domain LIMIT $3),"
      " accounts AS (UPDATE tlsrpt_account a SET state = CASE WHEN p.built THEN 2 ELSE 1 END, due = $6,"
      " since = CASE WHEN p.anew THEN $6 ELSE coalesce(a.since, $6) END,"
      " attempts = CASE WHEN p.anew THEN 0 ELSE a.attempts END, error = CASE WHEN p.anew THEN '' ELSE a.error END"
      " FROM page p WHERE a.id = p.id AND p.state <> 3),"
      " destinations AS (UPDATE tlsrpt_destination d SET next = NULL,"
      " state = CASE WHEN p.anew AND d.state = 2 THEN 0 ELSE d.state END,"
      " attempts = CASE WHEN p.anew AND d.state = 2 THEN 0 ELSE d.attempts END"
      " FROM page p WHERE d.account = p.id AND p.state <> 3)"
      " SELECT day, domain, state FROM page ORDER BY day, domain";
  return statement(sql, which.after ? number_of(which.after->day) : std::numeric_limits<std::int64_t>::min(),
                   which.after ? which.after->domain.text() : std::string(), which.limit,
                   which.day ? number_of(*which.day) : 0, which.domain ? which.domain->text() : std::string(), now);
}

}  // namespace hoplock::store_postgres
