// SPDX-License-Identifier: Apache-2.0
// The tables of MTA-STS policies. `failures` and what follows tell of the fetches since the policy's own; `policy`, verbatim octets, is NULL
// where none ever succeeded. Who looks after a row claims it for a minute of the server's clock: owner, claimed.
#include "store_postgres/policy_rows.h"

#include <utility>

#include "store_postgres/tables.h"

namespace hoplock::store_postgres {

namespace {

const std::vector<std::string_view> policy_tables{
    R"(CREATE TABLE sts_policy (
  domain text COLLATE "C" PRIMARY KEY,
  due bigint NOT NULL,
  checked bigint NOT NULL,
  failures integer NOT NULL,
  failed bigint NOT NULL,
  failed_record text NOT NULL,
  reason text NOT NULL,
  error text NOT NULL,
  record text,
  fetched bigint,
  max_age bigint,
  policy bytea,
  owner bigint NOT NULL DEFAULT 0,
  claimed bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80))",
    R"(CREATE INDEX sts_policy_due ON sts_policy (due))",
    R"(CREATE TABLE sts_refused (domain text COLLATE "C" PRIMARY KEY, policy bytea NOT NULL))",
};

}  // namespace

std::vector<postgres::Migration> policy_migrations() {
  postgres::Migration first;
  first.name = "route: MTA-STS policies";
  first.statements = policy_tables;
  return {first};
}

std::string select_policies(std::string_view condition) {
  std::string sql =
      "SELECT domain, due, checked, failures, failed, failed_record, reason, error, record, fetched, max_age, policy"
      " FROM sts_policy ";
  sql += condition;
  return sql;
}

std::optional<PolicyRow> policy_of(const postgres::Row& row) {
  auto domain = dns::Name::parse(row.text(0));
  if (!domain) return std::nullopt;
  PolicyRow found;
  found.domain = std::move(*domain);
  found.due = row.time(1);
  found.checked = row.time(2);
  mtasts::Failures& failures = found.freshness.failures;
  failures.count = static_cast<unsigned>(row.integer(3));
  failures.last = row.time(4);
  failures.id = row.text(5);
  if (failures.count > 0) {
    const auto reason = hop::parse_reason(row.text(6)).value_or(hop::Reason::sts_policy_fetch_error);
    found.problem = hop::Refusal{reason, std::string(row.text(7))};
  }
  if (!row.null(11)) {
    found.freshness.held = mtasts::Held{std::string(row.text(8)), row.time(9), Seconds(row.integer(10))};
    found.text = std::string(row.bytea(11));
  }
  return found;
}

}  // namespace hoplock::store_postgres
