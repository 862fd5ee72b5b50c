// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <utility>

#include "store_sqlite/ledger_rows.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"

namespace hoplock::store_sqlite {

namespace {

// What is stored has room in a report; nothing is merged a second time.
constexpr tlsrpt::Limits no_limits{std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max(),
                                   std::numeric_limits<std::size_t>::max()};

std::optional<Ip> ip_of(std::string_view text) {
  const auto ip = Ip::parse(text);
  return ip ? std::optional(*ip) : std::nullopt;
}

std::vector<tlsrpt::Failure> details_of(disk::Tx& tx, std::int64_t element) {
  std::vector<tlsrpt::Failure> found;
  auto rows = tx.prepare(
      "SELECT type, receiving_host, receiving_ip, receiving_helo, sending_ip, reason, information, sessions"
      " FROM tlsrpt_detail WHERE element = ?1");
  for (rows.bind(element); rows.step();) {
    tlsrpt::Failure one;
    one.type = static_cast<tlsrpt::ResultType>(rows.integer(0));
    one.receiving_host = rows.text(1);
    one.receiving_ip = ip_of(rows.text(2));
    one.receiving_helo = rows.text(3);
    one.sending_ip = ip_of(rows.text(4));
    one.reason = rows.text(5);
    one.information = rows.text(6);
    one.sessions = static_cast<std::uint64_t>(rows.integer(7));
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<tlsrpt::Sessions> elements_of(disk::Tx& tx, std::int64_t account, const dns::Name& domain) {
  tlsrpt::Tally tally(domain, no_limits);
  auto rows =
      tx.prepare("SELECT id, type, domain, text, mx_host, successes, failures FROM tlsrpt_element WHERE account = ?1");
  for (rows.bind(account); rows.step();) {
    tlsrpt::Sessions sessions;
    sessions.policy.type = static_cast<tlsrpt::PolicyType>(rows.integer(1));
    if (auto name = dns::Name::parse(rows.text(2))) sessions.policy.domain = std::move(*name);
    sessions.policy.text = split_lines(rows.text(3));
    sessions.policy.mx_host = split_lines(rows.text(4));
    sessions.successes = static_cast<std::uint64_t>(rows.integer(5));
    sessions.failures = static_cast<std::uint64_t>(rows.integer(6));
    sessions.details = details_of(tx, rows.integer(0));
    tally.add(sessions);
  }
  return tally.sum();
}

tlsrpt::Report report_of(disk::Tx& tx, const AccountRow& row, const ReportKey& key,
                         const tlsrpt::Submitter& submitter) {
  return report_about(key, submitter, row.tag, elements_of(tx, row.id, key.domain));
}

std::optional<BuiltReport> stored_in(disk::Tx& tx, std::int64_t account) {
  auto row = tx.prepare(
      "SELECT r.report_id, r.file_name, r.gzip, r.policies, a.sessions, a.failures"
      " FROM tlsrpt_report r CROSS JOIN tlsrpt_account a ON a.id = r.account WHERE r.account = ?1");
  if (!row.bind(account).step()) return std::nullopt;
  BuiltReport built;
  built.report_id = row.text(0);
  built.file_name = row.text(1);
  built.gzip = row.blob(2);
  built.policies = static_cast<std::uint32_t>(row.integer(3));
  built.sessions = static_cast<std::uint64_t>(row.integer(4));
  built.failures = static_cast<std::uint64_t>(row.integer(5));
  return built;
}

}  // namespace

void drop_counts(disk::Tx& tx, std::int64_t account) {
  tx.prepare("DELETE FROM tlsrpt_detail WHERE element IN (SELECT id FROM tlsrpt_element WHERE account = ?1)")
      .bind(account)
      .run();
  tx.prepare("DELETE FROM tlsrpt_element WHERE account = ?1").bind(account).run();
}

std::optional<tlsrpt::Report> preview_report(disk::Tx& tx, const ReportKey& key, const tlsrpt::Submitter& submitter) {
  const auto row = find_row(tx, key);
  if (!row || stored_in(tx, row->id)) return std::nullopt;
  return report_of(tx, *row, key, submitter);
}

std::optional<BuiltReport> stored_report(disk::Tx& tx, const ReportKey& key) {
  const auto row = find_row(tx, key);
  return row ? stored_in(tx, row->id) : std::nullopt;
}

std::optional<BuiltReport> build_report(disk::Tx& tx, const ReportKey& key, const tlsrpt::Submitter& submitter) {
  const auto row = find_row(tx, key);
  if (!row) return std::nullopt;
  if (auto built = stored_in(tx, row->id)) return built;
  const tlsrpt::Report report = report_of(tx, *row, key, submitter);
  const std::string gzip = tlsrpt::gzip(tlsrpt::to_json(report));
  tx.prepare("INSERT INTO tlsrpt_report (account, report_id, file_name, policies, gzip) VALUES (?1, ?2, ?3, ?4, ?5)")
      .bind(row->id, report.id, tlsrpt::file_name(submitter, key.domain, key.day, row->tag), report.policies.size(),
            disk::Blob{gzip})
      .run();
  tx.prepare("UPDATE tlsrpt_account SET state = ?2 WHERE id = ?1").bind(row->id, ReportState::built).run();
  drop_counts(tx, row->id);
  return stored_in(tx, row->id);
}

}  // namespace hoplock::store_sqlite
