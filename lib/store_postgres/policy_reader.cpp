// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/policy_reader.h"

#include <string>

#include "store_postgres/policy_rows.h"

namespace hoplock::store_postgres {

using postgres::statement;

namespace {

constexpr std::size_t policies_at_once = 256;  // policies of 64 KiB at most

}  // namespace

Result<> PostgresPolicyReader::list(const std::function<void(const PolicyRow&)>& call) {
  std::string after;
  for (;;) {
    const auto rows = connection_.run(
        statement(select_policies("WHERE domain > $1 ORDER BY domain LIMIT $2"), after, policies_at_once));
    if (!rows) return rows.error();
    for (const postgres::Row row : *rows) {
      after = row.text(0);
      if (const auto policy = policy_of(row)) call(*policy);
    }
    if (rows->size() < policies_at_once) return {};
  }
}

Result<std::optional<PolicyRow>> PostgresPolicyReader::find(const dns::Name& domain) {
  const auto rows = connection_.run(statement(select_policies("WHERE domain = $1"), domain.text()));
  if (!rows) return rows.error();
  return rows->empty() ? std::optional<PolicyRow>() : policy_of((*rows)[0]);
}

Result<PolicySummary> PostgresPolicyReader::summary(Time now) {
  const auto rows =
      connection_.run(statement("SELECT count(*) FILTER (WHERE policy IS NOT NULL AND fetched + max_age * 1000 > $1),"
                                " count(*) FILTER (WHERE policy IS NOT NULL AND fetched + max_age * 1000 <= $1),"
                                " count(*) FILTER (WHERE failures > 0) FROM sts_policy",
                                now));
  if (!rows) return rows.error();
  PolicySummary summary;
  summary.in_force = static_cast<std::uint64_t>((*rows)[0].integer(0));
  summary.lapsed = static_cast<std::uint64_t>((*rows)[0].integer(1));
  summary.failing = static_cast<std::uint64_t>((*rows)[0].integer(2));
  return summary;
}

}  // namespace hoplock::store_postgres
