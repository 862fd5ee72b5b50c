// SPDX-License-Identifier: Apache-2.0
// A ledger in a database of its own, and sessions that are easy to make.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "disk/migrations.h"
#include "reports/returned.h"
#include "store_sqlite/ledger.h"
#include "store_sqlite/report_mails.h"
#include "tests/support/temp_directory.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"

namespace hoplock::reports::test {

using namespace store;
using namespace store_sqlite;

inline dns::Name name(const std::string& text) { return dns::Name::parse(text).value(); }
inline tlsrpt::Day day(const std::string& text) { return tlsrpt::parse_day(text).value(); }
inline const tlsrpt::Day d1 = day("2025-03-01");
inline const tlsrpt::Day d2 = day("2025-03-02");
inline const tlsrpt::Day d3 = day("2025-03-03");
inline ReportKey key(tlsrpt::Day of, const std::string& domain) { return ReportKey{of, name(domain)}; }
inline Time at(tlsrpt::Day of, int seconds) { return Time{of} + Seconds(seconds); }

inline tlsrpt::Submitter submitter(const std::string& organization = "Example") {
  return tlsrpt::Submitter::make(organization, "postmaster@example.net", "tlsrpt@example.net").value();
}

inline tlsrpt::Policy sts_policy(const std::string& domain, const std::string& version = "STSv1") {
  return {tlsrpt::PolicyType::sts,
          {"version: " + version, "mode: enforce", "mx: mx." + domain},
          name(domain),
          {"mx." + domain}};
}
inline tlsrpt::Policy dane_policy(const std::string& host) {
  return {tlsrpt::PolicyType::tlsa, {"3 1 1 0123456789abcdef"}, name(host), {}};
}
inline tlsrpt::Sessions success(tlsrpt::Policy policy) { return {std::move(policy), 1, 0, {}}; }
inline tlsrpt::Failure failure_of(tlsrpt::ResultType type, const std::string& host = "mx.example.org") {
  tlsrpt::Failure one;
  one.type = type;
  one.receiving_host = host;
  one.receiving_ip = Ip::parse("192.0.2.1").value();
  one.sessions = 1;
  return one;
}
inline tlsrpt::Sessions failure(tlsrpt::Policy policy, std::vector<tlsrpt::Failure> details) {
  return {std::move(policy), 0, 1, std::move(details)};
}

// A connection that is closed and opened again between transactions where a test wants it.
struct World {
  World() { open(); }
  void open() {
    db.emplace(disk::Database::open(directory.path() / "queue.db", disk::Access::read_write).value());
    auto list = ledger_migrations();
    list.push_back(report_mail_migration());
    disk::migrate(*db, list).value();
    tx.emplace(*db);
  }
  void reopen() {
    tx.reset();
    db.reset();
    open();
  }
  void count(const ReportKey& where, const std::vector<tlsrpt::Sessions>& session, int times = 1) {
    LedgerCounts counts;
    for (int i = 0; i < times; ++i) counts.add(where, session);
    add_counts(*tx, counts);
  }
  ReportAccount account(const ReportKey& which) {
    auto found = find_account(*tx, which);
    REQUIRE(found);
    return *found;
  }
  std::vector<tlsrpt::Sessions> elements(const ReportKey& which) {
    auto report = preview_report(*tx, which, submitter());
    REQUIRE(report);
    return report->policies;
  }

  support::TempDirectory directory;
  std::optional<disk::Database> db;
  std::optional<disk::Tx> tx;
};

}  // namespace hoplock::reports::test
