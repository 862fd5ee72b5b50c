// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/policy_reader.h"

#include <string>
#include <utility>
#include <vector>

#include "disk/guarded.h"
#include "disk/migrations.h"

namespace hoplock::store_sqlite {

namespace {

constexpr std::size_t policies_at_once = 256;  // policies of 64 KiB at most

}  // namespace

Result<SqlitePolicyReader> SqlitePolicyReader::open(const std::filesystem::path& database) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return SqlitePolicyReader(std::move(*db));
}

Result<> SqlitePolicyReader::list(const std::function<void(const PolicyRow&)>& call) {
  return disk::guarded([&]() -> Result<> {
    std::string after;
    for (;;) {
      std::vector<PolicyRow> rows;
      {
        disk::Tx tx(db_);
        if (disk::has_table(tx, "sts_policy")) rows = list_policies(tx, after, policies_at_once);
      }
      for (const PolicyRow& row : rows) call(row);
      if (rows.empty()) return {};
      after = rows.back().domain.text();
    }
  });
}

Result<std::optional<PolicyRow>> SqlitePolicyReader::find(const dns::Name& domain) {
  return disk::guarded([&]() -> Result<std::optional<PolicyRow>> {
    disk::Tx tx(db_);
    if (!disk::has_table(tx, "sts_policy")) return std::optional<PolicyRow>();
    return find_policy(tx, domain);
  });
}

Result<PolicySummary> SqlitePolicyReader::summary(Time now) {
  return disk::guarded([&]() -> Result<PolicySummary> {
    disk::Tx tx(db_);
    PolicySummary summary;
    if (!disk::has_table(tx, "sts_policy")) return summary;
    auto row = tx.prepare(
        "SELECT count(*) FILTER (WHERE policy IS NOT NULL AND fetched + max_age * 1000 > ?1),"
        " count(*) FILTER (WHERE policy IS NOT NULL AND fetched + max_age * 1000 <= ?1),"
        " count(*) FILTER (WHERE failures > 0) FROM sts_policy");
    if (!row.bind(to_millis(now)).step()) return summary;
    summary.in_force = static_cast<std::uint64_t>(row.integer(0));
    summary.lapsed = static_cast<std::uint64_t>(row.integer(1));
    summary.failing = static_cast<std::uint64_t>(row.integer(2));
    return summary;
  });
}

}  // namespace hoplock::store_sqlite
