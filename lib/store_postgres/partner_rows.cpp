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

// On disk.
constexpr std::int64_t level_encrypt = 1, level_verify = 2, level_dane = 3;
constexpr std::int64_t rule_mandate = 0, rule_dane = 1, rule_sts = 2;

std::optional<hop::Mandate> level_of(std::int64_t number) {
  if (number == level_encrypt) return hop::Mandate::encrypt;
  if (number == level_verify) return hop::Mandate::verify;
  return number == level_dane ? std::optional(hop::Mandate::dane) : std::nullopt;
}

}  // namespace

std::vector<postgres::Migration> partner_migrations() {
  postgres::Migration first;
  first.name = "route: partners";
  first.statements = partner_tables;
  return {first};
}

std::int64_t number_of(partners::Rule rule) {
  return rule == partners::Rule::mandate ? rule_mandate : rule == partners::Rule::dane ? rule_dane : rule_sts;
}

std::int64_t number_of(hop::Mandate level) {
  switch (level) {
    case hop::Mandate::encrypt:
      return level_encrypt;
    case hop::Mandate::verify:
      return level_verify;
    case hop::Mandate::dane_audit:
    case hop::Mandate::dane:
      return level_dane;
    case hop::Mandate::none:
      break;
  }
  return 0;
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
  Entry entry;
  auto domain = partners::parse_domain(row.text(0));
  const auto rule = row.integer(1);
  const auto level = level_of(row.integer(3));
  const bool mandate = rule == rule_mandate;
  const bool known = mandate || rule == rule_dane || rule == rule_sts;
  if (!domain || !known || (mandate && !level) || (!mandate && row.null(4)))
    return fail(errc::bad_message,
                "the row '" + std::string(row.text(0)) + "' of the table of partners cannot be read");
  entry.domain = std::move(*domain);
  entry.rule = mandate ? partners::Rule::mandate : rule == rule_dane ? partners::Rule::dane : partners::Rule::mta_sts;
  if (mandate) entry.level = *level;
  if (!row.null(4)) entry.until = partners::Day{std::chrono::days{row.integer(4)}};
  entry.note = row.text(5);
  entry.by = row.text(6);
  entry.since = row.time(7);
  entry.told = row.boolean(8);
  return entry;
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
