// SPDX-License-Identifier: Apache-2.0
// How much a UTC day's reports may weigh on one destination (store::ReportQuota), whichever node sends them.
#include "store_postgres/ledger_rows.h"
#include "store_postgres/ledger_write.h"

namespace hoplock::store_postgres {

using postgres::statement;

namespace {

std::string host_of(const tlsrpt::HttpsDestination& to) {
  const auto* name = std::get_if<dns::Name>(&to.host);
  return name != nullptr ? name->text() : std::get<Ip>(to.host).text();
}

std::string why_over(const QuotaLimit& limit, const ReportLoad& load, std::uint64_t reports, std::uint64_t octets) {
  if (reports >= limit.reports)
    return "it has had " + std::to_string(limit.reports) + " reports today, which is all that one destination is sent";
  if (limit.octets > 0 && octets + load.octets > limit.octets)
    return "it has had " + std::to_string(octets) + " octets today, and no more than " + std::to_string(limit.octets) +
           " are sent to one destination";
  return {};
}

}  // namespace

std::vector<QuotaLimit> limits_for(const tlsrpt::Destination& to, const ReportQuota& quota) {
  if (const auto* mail = std::get_if<tlsrpt::MailDestination>(&to)) {
    return {{"mailto:" + mail->text(), quota.reports_per_mailbox, 0},
            {"mail:" + mail->domain.text(), quota.reports_per_host, quota.octets_per_host}};
  }
  return {{"https:" + host_of(std::get<tlsrpt::HttpsDestination>(to)), quota.reports_per_host, quota.octets_per_host}};
}

void add_quota(postgres::Batch& batch, const ReportLoad& load, const std::vector<QuotaLimit>& limits) {
  const auto day = number_of(load.day);
  std::vector<std::string> targets;
  std::vector<std::uint64_t> reports, octets;
  for (const QuotaLimit& limit : limits) {
    targets.push_back(limit.target);
    reports.push_back(limit.reports);
    octets.push_back(limit.octets);
  }
  batch.push_back(statement(
      "INSERT INTO tlsrpt_quota (day, target, reports, octets) SELECT $1, t.target, 0, 0 FROM unnest($2) AS t(target)"
      " ORDER BY t.target ON CONFLICT (day, target) DO NOTHING",
      day, targets));
  batch.push_back(
      statement("SELECT target, reports, octets FROM tlsrpt_quota WHERE day = $1 AND target = ANY($2) ORDER BY target"
                " FOR UPDATE",
                day, targets));
  batch.push_back(statement(
      "UPDATE tlsrpt_quota SET reports = reports + 1, octets = octets + $3 WHERE day = $1 AND target = ANY($2)"
      " AND NOT EXISTS (SELECT FROM tlsrpt_quota q JOIN unnest($2, $4, $5) AS l(target, reports, octets)"
      " ON l.target = q.target WHERE q.day = $1"
      " AND (q.reports >= l.reports OR (l.octets > 0 AND q.octets + $3 > l.octets)))",
      day, targets, load.octets, reports, octets));
}

std::string over_quota(const postgres::Rows& taken, const ReportLoad& load, const std::vector<QuotaLimit>& limits) {
  for (const QuotaLimit& limit : limits) {
    for (const postgres::Row row : taken) {
      if (row.text(0) != limit.target) continue;
      std::string why =
          why_over(limit, load, static_cast<std::uint64_t>(row.integer(1)), static_cast<std::uint64_t>(row.integer(2)));
      if (!why.empty()) return why;
    }
  }
  return {};
}

}  // namespace hoplock::store_postgres
