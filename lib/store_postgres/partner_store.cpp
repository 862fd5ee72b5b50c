// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/partner_store.h"

#include <utility>

#include "store_postgres/partner_rows.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;

namespace {

// Entries as columns.
struct PartnerColumns {
  std::vector<std::string> domain, note, who;
  std::vector<std::int64_t> rule, level;
  std::vector<std::optional<std::int64_t>> until;
  std::vector<Time> since;
  std::vector<bool> told, gone;

  void add(const partners::Entry& entry, PartnerRow row = PartnerRow::there) {
    domain.push_back(dns::to_text(entry.domain));
    rule.push_back(rule_number(entry.rule));
    level.push_back(level_number(entry.level));
    until.push_back(entry.until ? std::optional<std::int64_t>(entry.until->time_since_epoch().count()) : std::nullopt);
    note.push_back(text_of(entry.note));
    who.push_back(text_of(entry.by));
    since.push_back(entry.since);
    told.push_back(entry.told);
    gone.push_back(row == PartnerRow::gone);
  }
};

// $1: the slot of its writer. The last of equal ones counts.
postgres::Statement put_rows(const PartnerColumns& rows) {
  return statement(
      "INSERT INTO partner (domain, rule, batch, level, until, note, who, since, told, gone)"
      " SELECT DISTINCT ON (e.domain, e.rule) e.domain, e.rule, -$1 - 1, e.level, e.until, e.note, e.who, e.since, "
      "e.told,"
      " e.gone FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY"
      " AS e(domain, rule, level, until, note, who, since, told, gone, n) ORDER BY e.domain, e.rule, e.n DESC"
      " ON CONFLICT (domain, rule, batch) DO UPDATE SET level = excluded.level, until = excluded.until,"
      " note = excluded.note, who = excluded.who, since = excluded.since, told = excluded.told, gone = excluded.gone",
      Parameter::slot(), rows.domain, rows.rule, rows.level, rows.until, rows.note, rows.who, rows.since, rows.told,
      rows.gone);
}

// Every part is durable, so that none is missing behind a change of primaries. One node after the other: the row of partner_batch is locked until the end of the job.
void add_commit(postgres::Batch& batch) {
  batch.push_back(statement("UPDATE partner_batch SET committed = committed + 1"));
  batch.push_back(statement("UPDATE partner SET batch = (SELECT committed FROM partner_batch) WHERE batch = -$1 - 1",
                            Parameter::slot()));
}

}  // namespace

asio::awaitable<Result<>> PostgresPartnerStore::write(postgres::Job job) {
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  co_return Result<>();
}

asio::awaitable<Result<PartnerPage>> PostgresPartnerStore::list(PartnerAt after, std::size_t limit) {
  postgres::Statement page = select_partner_page(after, limit);
  auto rows = co_await database_.run(std::move(page));
  if (!rows) co_return rows.error();
  co_return partner_page_of(*rows, limit);
}

asio::awaitable<Result<>> PostgresPartnerStore::write(std::vector<PartnerChange> changes, Part part) {
  postgres::Job job;
  PartnerColumns rows;
  for (const auto& [entry, row] : changes) rows.add(entry, row);
  job.statements.push_back(put_rows(rows));
  if (part == Part::last) add_commit(job.statements);
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<>> PostgresPartnerStore::drop_earlier(std::vector<partners::Entry> entries, Part part) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  PartnerColumns rows;
  for (const auto& entry : entries) rows.add(entry);
  job.statements.push_back(statement(
      "DELETE FROM partner p USING unnest($1, $2) AS e(domain, rule), partner_batch b WHERE p.domain = e.domain"
      " AND p.rule = e.rule AND p.batch > 0 AND (p.batch < b.committed OR (p.batch = b.committed AND p.gone))",
      rows.domain, rows.rule));
  if (part == Part::last)
    job.statements.push_back(statement("UPDATE partner_batch SET followed = greatest(followed, committed)"));
  co_return co_await write(std::move(job));
}

// Ours, and those of nodes that are no more: of others we do not know.
asio::awaitable<Result<More>> PostgresPartnerStore::drop_uncommitted(std::size_t limit) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  job.statements.push_back(statement(
      "DELETE FROM partner WHERE (domain, rule, batch) IN (SELECT domain, rule, batch FROM partner WHERE batch < 0"
      " AND (batch = -$1 - 1 OR -batch - 1 NOT IN (SELECT slot FROM node WHERE state = 0))"
      " LIMIT $2 FOR UPDATE SKIP LOCKED)",
      Parameter::slot(), limit));
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  if (written->rows.empty()) co_return More::yes;
  co_return static_cast<std::size_t>(written->rows.at(0).changed()) < limit ? More::no : More::yes;
}

asio::awaitable<Result<PartnerBatches>> PostgresPartnerStore::batches() {
  postgres::Statement both = statement("SELECT followed, committed FROM partner_batch");
  auto rows = co_await database_.run(std::move(both));
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return PartnerBatches{};
  co_return PartnerBatches{(*rows)[0].integer(0), (*rows)[0].integer(1)};
}

asio::awaitable<Result<std::vector<ChangedPartner>>> PostgresPartnerStore::changed_since(PartnerBatch followed,
                                                                                         PartnerAt after,
                                                                                         std::size_t limit) {
  postgres::Statement changes =
      statement(select_partners("p.batch > $4 AND (p.domain, p.rule) > ($1, $2) ORDER BY p.domain, p.rule LIMIT $3"),
                after.domain, after.rule, limit, followed);
  auto rows = co_await database_.run(std::move(changes));
  if (!rows) co_return rows.error();
  std::vector<ChangedPartner> changed;
  for (const postgres::Row row : *rows) {
    auto entry = partner_of(row);
    if (!entry) co_return entry.error();
    changed.push_back({std::move(*entry), row.boolean(9) ? PartnerRow::gone : PartnerRow::there,
                       PartnerAt{std::string(row.text(0)), row.integer(1)}});
  }
  co_return changed;
}

asio::awaitable<Result<>> PostgresPartnerStore::mark_followed(PartnerBatch batch) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  job.statements.push_back(statement("UPDATE partner_batch SET followed = greatest(followed, $1)", batch));
  co_return co_await write(std::move(job));
}

asio::awaitable<Result<>> PostgresPartnerStore::mark_told(std::vector<partners::Entry> entries) {
  postgres::Job job;
  job.durability = postgres::Durability::relaxed;
  PartnerColumns rows;
  for (const auto& entry : entries) rows.add(entry);
  job.statements.push_back(
      statement("UPDATE partner p SET told = e.told FROM unnest($1, $2, $3) AS e(domain, rule, told)"
                " WHERE p.domain = e.domain AND p.rule = e.rule",
                rows.domain, rows.rule, rows.told));
  co_return co_await write(std::move(job));
}

}  // namespace hoplock::store_postgres
