// SPDX-License-Identifier: Apache-2.0
// The table of partners. What is written in parts waits under a number of its writer's own, below zero, until its last part: then all of it
// gets the number of the batch that is committed, in one moment, whatever other nodes write. until: days since 1970; told: whether its end
// was told; gone: it was removed with that batch. followed: the last batch that was told of, and that waiting mail was tried on.
#include "store_postgres/partner_rows.h"

#include <utility>

#include "store_postgres/tables.h"

namespace hoplock::store_postgres {

namespace {

using partners::Entry;

const std::vector<std::string_view> partner_tables{
    R"(CREATE TABLE partner (
  domain text COLLATE "C" NOT NULL,
  rule smallint NOT NULL,
  batch bigint NOT NULL,
  level smallint NOT NULL,
  until bigint,
  note text NOT NULL,
  who text NOT NULL,
  since bigint NOT NULL,
  told boolean NOT NULL,
  gone boolean NOT NULL,
  PRIMARY KEY (domain, rule, batch)
))",
    R"(CREATE INDEX partner_by_batch ON partner (batch))",
    R"(CREATE TABLE partner_batch (
  id integer PRIMARY KEY CHECK (id = 1),
  committed bigint NOT NULL,
  followed bigint NOT NULL
))",
    R"(INSERT INTO partner_batch (id, committed, followed) VALUES (1, 0, 0))",
};

}  // namespace

std::vector<postgres::Migration> partner_migrations() {
  postgres::Migration first;
  first.name = "route: partners";
  first.statements = partner_tables;
  return {first};
}

std::string select_partners(std::string_view condition) {
  std::string sql =
      "SELECT p.domain, p.rule, p.batch, p.level, p.until, p.note, p.who, p.since, p.told, p.gone FROM partner p"
      " WHERE p.batch > 0 AND NOT EXISTS (SELECT FROM partner q WHERE q.domain = p.domain AND q.rule = p.rule"
      " AND q.batch > p.batch) AND ";
  sql += condition;
  return sql;
}

Result<Entry> partner_of(const postgres::Row& row) {
  StoredPartner one;
  one.domain = row.text(0);
  one.rule = row.integer(1);
  one.level = row.integer(3);
  if (!row.null(4)) one.until = row.integer(4);
  one.note = row.text(5);
  one.by = row.text(6);
  one.since = row.time(7);
  one.told = row.boolean(8);
  return entry_of(one);
}

postgres::Statement select_partner_page(const PartnerAt& after, std::size_t limit) {
  return postgres::statement(
      select_partners("NOT p.gone AND (p.domain, p.rule) > ($1, $2) ORDER BY p.domain, p.rule LIMIT $3"), after.domain,
      after.rule, limit);
}

Result<PartnerPage> partner_page_of(const postgres::Rows& rows, std::size_t limit) {
  PartnerPage page;
  for (const postgres::Row row : rows) {
    auto entry = partner_of(row);
    if (!entry) return entry.error();
    page.next = PartnerAt{std::string(row.text(0)), row.integer(1)};
    page.entries.push_back(std::move(*entry));
  }
  if (page.entries.size() < limit) page.next.reset();
  return page;
}

}  // namespace hoplock::store_postgres
