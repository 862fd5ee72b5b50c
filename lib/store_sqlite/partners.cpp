// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/partners.h"

#include <utility>

#include "disk/db.h"
#include "store/stored_partner.h"

namespace hoplock::store_sqlite {

namespace {

using partners::Entry;

// until: days since 1970; told: whether its end was told; gone: it was removed with that batch. followed: the last batch that was told of, and
// that waiting mail was tried on.
constexpr std::string_view partner_tables = R"(
CREATE TABLE partner (
  domain TEXT NOT NULL,
  rule INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  level INTEGER NOT NULL,
  until INTEGER,
  note TEXT NOT NULL,
  who TEXT NOT NULL,
  since INTEGER NOT NULL,
  told INTEGER NOT NULL,
  gone INTEGER NOT NULL,
  PRIMARY KEY (domain, rule, batch)
) WITHOUT ROWID;
CREATE INDEX partner_by_batch ON partner (batch);
CREATE TABLE partner_batch (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  committed INTEGER NOT NULL,
  followed INTEGER NOT NULL
);
INSERT INTO partner_batch (id, committed, followed) VALUES (1, 0, 0);
)";

constexpr std::string_view partner_columns = "domain, rule, batch, level, until, note, who, since, told, gone";
// Of each entry the row of its latest batch that is committed, ?1. It counts unless it is gone.
constexpr std::string_view latest_rows =
    " FROM partner AS p WHERE batch = (SELECT max(batch) FROM partner AS q WHERE q.domain = p.domain AND q.rule = "
    "p.rule AND q.batch <= ?1)";

Result<Entry> partner_of(const disk::Statement& row) {
  StoredPartner one;
  one.domain = row.text(0);
  one.rule = row.integer(1);
  one.level = row.integer(3);
  if (!row.null(4)) one.until = row.integer(4);
  one.note = row.text(5);
  one.by = row.text(6);
  one.since = from_millis(row.integer(7));
  one.told = row.integer(8) != 0;
  return entry_of(one);
}

}  // namespace

disk::Migration partner_migration() {
  disk::Migration migration;
  migration.name = "route: partners";
  migration.sql = partner_tables;
  return migration;
}

PartnerBatch committed_batch(disk::Tx& tx) {
  auto row = tx.prepare("SELECT committed FROM partner_batch");
  return row.step() ? row.integer(0) : 0;
}

void commit_batch(disk::Tx& tx, PartnerBatch batch) {
  tx.prepare("UPDATE partner_batch SET committed = ?1").bind(batch).run();
}

Result<PartnerPage> list_partners(disk::Tx& tx, const PartnerAt& after, std::size_t limit) {
  PartnerPage page;
  auto rows = tx.prepare("SELECT " + std::string(partner_columns) + std::string(latest_rows) +
                         " AND NOT gone AND (domain, rule) > (?2, ?3) ORDER BY domain, rule LIMIT ?4");
  rows.bind(committed_batch(tx), after.domain, after.rule, limit);
  while (rows.step()) {
    auto entry = partner_of(rows);
    if (!entry) return entry.error();
    page.next = PartnerAt{std::string(rows.text(0)), rows.integer(1)};
    page.entries.push_back(std::move(*entry));
  }
  if (page.entries.size() < limit) page.next.reset();
  return page;
}

Result<std::vector<Entry>> find_partners(disk::Tx& tx, const dns::Pattern& pattern) {
  std::vector<Entry> found;
  const std::string name = dns::to_text(pattern);  // bound until the last step
  auto rows = tx.prepare("SELECT " + std::string(partner_columns) + std::string(latest_rows) +
                         " AND NOT gone AND domain = ?2 ORDER BY domain, rule");
  for (rows.bind(committed_batch(tx), name); rows.step();) {
    auto entry = partner_of(rows);
    if (!entry) return entry.error();
    found.push_back(std::move(*entry));
  }
  return found;
}

Result<std::vector<Entry>> find_partners(disk::Tx& tx, const dns::Name& domain) {
  auto found = find_partners(tx, dns::Pattern{dns::Pattern::Kind::exact, domain});
  for (dns::Name above = domain.parent(); found && !above.is_root(); above = above.parent()) {
    auto more = find_partners(tx, dns::Pattern{dns::Pattern::Kind::subdomains, above});
    if (!more) return more;
    for (Entry& one : *more) found->push_back(std::move(one));
  }
  return found;
}

void put_partner(disk::Tx& tx, const Entry& entry, PartnerBatch batch, PartnerRow row) {
  const auto until = entry.until ? std::optional<std::int64_t>(entry.until->time_since_epoch().count()) : std::nullopt;
  tx.prepare(
        "INSERT OR REPLACE INTO partner (domain, rule, batch, level, until, note, who, since, told, gone) VALUES (?1, "
        "?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")
      .bind(dns::to_text(entry.domain), rule_number(entry.rule), batch, level_number(entry.level), until, entry.note,
            entry.by, to_millis(entry.since), entry.told, row == PartnerRow::gone)
      .run();
}

void drop_earlier(disk::Tx& tx, const Entry& entry, PartnerBatch batch) {
  tx.prepare("DELETE FROM partner WHERE domain = ?1 AND rule = ?2 AND (batch < ?3 OR (batch = ?3 AND gone))")
      .bind(dns::to_text(entry.domain), rule_number(entry.rule), batch)
      .run();
}

PartnerBatch followed_batch(disk::Tx& tx) {
  auto row = tx.prepare("SELECT followed FROM partner_batch");
  return row.step() ? row.integer(0) : 0;
}

void mark_followed(disk::Tx& tx, PartnerBatch batch) {
  tx.prepare("UPDATE partner_batch SET followed = max(followed, ?1)").bind(batch).run();
}

Result<std::vector<ChangedPartner>> changed_since(disk::Tx& tx, PartnerBatch followed, const PartnerAt& after,
                                                  std::size_t limit) {
  std::vector<ChangedPartner> changed;
  auto rows = tx.prepare("SELECT " + std::string(partner_columns) + std::string(latest_rows) +
                         " AND batch > ?5 AND (domain, rule) > (?2, ?3) ORDER BY domain, rule LIMIT ?4");
  rows.bind(committed_batch(tx), after.domain, after.rule, limit, followed);
  while (rows.step()) {
    auto entry = partner_of(rows);
    if (!entry) return entry.error();
    changed.push_back({std::move(*entry), rows.integer(9) != 0 ? PartnerRow::gone : PartnerRow::there,
                       PartnerAt{std::string(rows.text(0)), rows.integer(1)}});
  }
  return changed;
}

void mark_told(disk::Tx& tx, const Entry& entry) {
  tx.prepare("UPDATE partner SET told = ?3 WHERE domain = ?1 AND rule = ?2")
      .bind(dns::to_text(entry.domain), rule_number(entry.rule), entry.told)
      .run();
}

bool drop_uncommitted(disk::Tx& tx, std::size_t limit) {
  struct Key {
    std::string domain;
    std::int64_t rule = 0, batch = 0;
  };
  std::vector<Key> keys;
  {
    auto rows =
        tx.prepare("SELECT domain, rule, batch FROM partner INDEXED BY partner_by_batch WHERE batch > ?1 LIMIT ?2");
    for (rows.bind(committed_batch(tx), limit); rows.step();)
      keys.push_back({std::string(rows.text(0)), rows.integer(1), rows.integer(2)});
  }
  auto gone = tx.prepare("DELETE FROM partner WHERE domain = ?1 AND rule = ?2 AND batch = ?3");
  for (const Key& key : keys) gone.bind(key.domain, key.rule, key.batch).run();
  return keys.size() < limit;
}

}  // namespace hoplock::store_sqlite
