// SPDX-License-Identifier: Apache-2.0
// The tables of the statistics. As everywhere, each node writes rows of its own slot, and readers add them up. `first` and `last` are seconds
// of the day. A row takes some 150 octets, since texts stand in it: a relay that writes to 100 partners a day keeps 75 KiB a day; under
// attack a node makes 14 MiB a day at most.
#include "statistics/batch.h"
#include "store_postgres/ledger_batch.h"
#include "store_postgres/ledger_rows.h"
#include "store_postgres/tables.h"

namespace hoplock::store_postgres {

namespace {

const std::vector<std::string_view> statistics_tables{
    R"(CREATE TABLE statistics_batch (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slot smallint NOT NULL,
  day integer NOT NULL,
  data bytea NOT NULL
))",
    R"(CREATE TABLE statistics (
  day integer NOT NULL,
  domain text COLLATE "C" NOT NULL,
  kind smallint NOT NULL,
  what text COLLATE "C" NOT NULL,
  slot smallint NOT NULL,
  count bigint NOT NULL,
  messages bigint NOT NULL,
  octets bigint NOT NULL,
  first integer NOT NULL,
  last integer NOT NULL,
  PRIMARY KEY (day, domain, kind, what, slot)
) WITH (fillfactor = 80))",
    // a domain's day is the latest that has a row of it
    R"(CREATE TABLE statistics_domain (domain text COLLATE "C" PRIMARY KEY, day integer NOT NULL) WITH (fillfactor = 80))",
    R"(CREATE INDEX statistics_domain_day ON statistics_domain (day))",
    R"(CREATE TABLE statistics_day (
  day integer NOT NULL,
  slot smallint NOT NULL,
  domains bigint NOT NULL,
  strangers bigint NOT NULL,
  rows bigint NOT NULL,
  PRIMARY KEY (day, slot)
) WITH (fillfactor = 50))",
    R"(CREATE TABLE statistics_series (
  step integer NOT NULL,
  at bigint NOT NULL,
  slot smallint NOT NULL,
  accepted bigint NOT NULL,
  delivered bigint NOT NULL,
  deferred bigint NOT NULL,
  bounced bigint NOT NULL,
  dane bigint NOT NULL,
  sts bigint NOT NULL,
  verified bigint NOT NULL,
  encrypted bigint NOT NULL,
  clear bigint NOT NULL,
  depth bigint,
  oldest bigint,
  PRIMARY KEY (step, at, slot)
) WITH (fillfactor = 80))",
};

}  // namespace

std::vector<postgres::Migration> statistics_migrations() {
  postgres::Migration first;
  first.name = "statistics: rows by day and domain, their batches, and the series";
  first.statements = statistics_tables;
  return {first};
}

void add_statistics(postgres::Batch& batch, const statistics::Counts& counts) {
  if (counts.empty()) return;
  std::vector<std::int64_t> days;
  std::vector<postgres::Octets> data;
  for (auto& [day, octets] : statistics::packed(counts)) {
    days.push_back(number_of(day));
    data.push_back(postgres::Octets{octets});
  }
  batch.push_back(postgres::statement(
      "INSERT INTO statistics_batch (slot, day, data) SELECT $1, d.day, d.data FROM unnest($2, $3) AS d(day, data)",
      postgres::Parameter::slot(), days, data));
}

std::vector<std::string> free_claims() {
  return {
      "UPDATE tlsrpt_account SET owner = 0 WHERE owner = $1 AND owner <> 0",
      "UPDATE sts_policy SET owner = 0 WHERE owner = $1",
  };
}

}  // namespace hoplock::store_postgres
