// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/quota.h"

#include <doctest/doctest.h>

#include <chrono>

#include "disk/disk.h"
#include "tests/support/loop.h"
#include "tests/support/temp_directory.h"

namespace reports_quota_test {

using namespace hoplock;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;

namespace {
struct Table {
  Table() {
    disk::Options options;
    options.directory = dir.file("data");
    options.migrations = quota_migrations();
    disk = std::move(disk::Disk::open(loop.executor(), options).value());
  }
  std::string take(const std::string& rua, tlsrpt::Day day, std::uint64_t octets = 100) {
    const auto record = tlsrpt::parse_record("v=TLSRPTv1; rua=" + rua).value();
    ReportLoad load;
    load.day = day;
    load.to = record.rua.at(0);
    load.octets = octets;
    auto job = [load, limits = quota](disk::Tx& tx) -> Result<std::string> {
      return store_sqlite::take_quota(tx, load, limits);
    };
    return loop.run(disk->run(disk::Durability::relaxed, std::move(job))).value();
  }
  support::TempDirectory dir;
  support::Loop loop;
  std::unique_ptr<disk::Disk> disk;
  ReportQuota quota{.reports_per_mailbox = 3, .reports_per_host = 5, .octets_per_host = 10'000};
};
const tlsrpt::Day today = tlsrpt::parse_day("2025-03-02").value();
}  // namespace

TEST_CASE("RPT-44: one mailbox gets so many reports a day, whoever names it, and others are not touched by that") {
  Table table;
  for (int i = 0; i < 3; ++i) CHECK(table.take("mailto:victim@example.org", today) == "");
  for (int i = 0; i < 3; ++i)
    CHECK(table.take("mailto:victim@example.org", today).find("3 reports") != std::string::npos);
  CHECK(table.take("mailto:other@example.org", today) == "");
  CHECK(table.take("mailto:victim@example.net", today) == "");
  CHECK(table.take("mailto:victim@example.org", today + std::chrono::days{1}) == "");
}

TEST_CASE("RPT-44: a mail domain and an https host have bounds of their own, over all mailboxes and paths") {
  Table table;
  int taken = 0;
  for (int i = 0; i < 9; ++i)
    taken += table.take("mailto:u" + std::to_string(i) + "@example.org", today).empty() ? 1 : 0;
  CHECK(taken == 5);
  taken = 0;
  for (int i = 0; i < 9; ++i)
    taken += table.take("https://rpt.example.org/" + std::to_string(i), today).empty() ? 1 : 0;
  CHECK(taken == 5);
  CHECK(table.take("https://other.example.org/", today) == "");
}

TEST_CASE("RPT-44: octets count too, and what was refused is not counted") {
  Table table;
  CHECK(table.take("https://rpt.example.org/", today, 9'000) == "");
  CHECK(table.take("https://rpt.example.org/", today, 1'001).find("9000 octets") != std::string::npos);
  CHECK(table.take("https://rpt.example.org/", today, 1'000) == "");
  CHECK(table.take("https://rpt.example.org/", today, 1) != "");
}

TEST_CASE("quota: days that are over are forgotten, this one is not") {
  Table table;
  for (int i = 0; i < 3; ++i) table.take("mailto:victim@example.org", today);
  const auto forget = [&](tlsrpt::Day before) {
    auto job = [before](disk::Tx& tx) -> Result<> {
      forget_quota(tx, before);
      return {};
    };
    table.loop.run(table.disk->run(disk::Durability::relaxed, std::move(job))).value();
  };
  forget(today);
  CHECK(table.take("mailto:victim@example.org", today) != "");
  forget(today + std::chrono::days{1});
  CHECK(table.take("mailto:victim@example.org", today) == "");
}

}  // namespace reports_quota_test
