// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/quota.h"

#include <chrono>
#include <utility>

namespace hoplock::store_sqlite {

namespace {

constexpr std::string_view quota_table = R"(
CREATE TABLE tlsrpt_quota (
  day INTEGER NOT NULL,
  target TEXT NOT NULL,
  reports INTEGER NOT NULL,
  octets INTEGER NOT NULL,
  PRIMARY KEY (day, target)
) WITHOUT ROWID;
)";

struct Limit {
  std::string target;
  std::uint64_t reports = 0;
  std::uint64_t octets = 0;  // 0: any
};

std::string host_of(const tlsrpt::HttpsDestination& to) {
  const auto* name = std::get_if<dns::Name>(&to.host);
  return name != nullptr ? name->text() : std::get<Ip>(to.host).text();
}

std::vector<Limit> limits_for(const tlsrpt::Destination& to, const ReportQuota& quota) {
  if (const auto* mail = std::get_if<tlsrpt::MailDestination>(&to)) {
    return {{"mailto:" + mail->text(), quota.reports_per_mailbox, 0},
            {"mail:" + mail->domain.text(), quota.reports_per_host, quota.octets_per_host}};
  }
  return {{"https:" + host_of(std::get<tlsrpt::HttpsDestination>(to)), quota.reports_per_host, quota.octets_per_host}};
}

std::int64_t number(tlsrpt::Day day) { return day.time_since_epoch().count(); }

struct Taken {
  std::uint64_t reports = 0;
  std::uint64_t octets = 0;
};

Taken taken(disk::Tx& tx, const ReportLoad& load, const std::string& target) {
  auto row = tx.prepare("SELECT reports, octets FROM tlsrpt_quota WHERE day = ?1 AND target = ?2");
  if (!row.bind(number(load.day), target).step()) return {};
  return {static_cast<std::uint64_t>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1))};
}

}  // namespace

std::vector<disk::Migration> quota_migrations() {
  disk::Migration first;
  first.name = "reports: quota of destinations";
  first.sql = quota_table;
  return {first};
}

std::string take_quota(disk::Tx& tx, const ReportLoad& load, const ReportQuota& quota) {
  const auto limits = limits_for(load.to, quota);
  for (const Limit& limit : limits) {
    const Taken so_far = taken(tx, load, limit.target);
    if (so_far.reports >= limit.reports)
      return "it has had " + std::to_string(limit.reports) +
             " reports today, which is all that one destination is sent";
    if (limit.octets > 0 && so_far.octets + load.octets > limit.octets)
      return "it has had " + std::to_string(so_far.octets) + " octets today, and no more than " +
             std::to_string(limit.octets) + " are sent to one destination";
  }
  for (const Limit& limit : limits) {
    tx.prepare(
          "INSERT INTO tlsrpt_quota (day, target, reports, octets) VALUES (?1, ?2, 1, ?3)"
          " ON CONFLICT (day, target) DO UPDATE SET reports = reports + 1, octets = octets + ?3")
        .bind(number(load.day), limit.target, static_cast<std::int64_t>(load.octets))
        .run();
  }
  return {};
}

void forget_quota(disk::Tx& tx, tlsrpt::Day before) {
  tx.prepare("DELETE FROM tlsrpt_quota WHERE day < ?1").bind(number(before)).run();
}

}  // namespace hoplock::store_sqlite
