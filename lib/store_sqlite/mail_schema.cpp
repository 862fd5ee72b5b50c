// SPDX-License-Identifier: Apache-2.0
// The tables of the queue. Keys are composed of numbers so that a message's rows lie together and no second index finds them:
// recipient.id = message.id << 15 | seq, chunk.id = message.id << 15 | n. A domain belongs to one destination at a time, so new
// routes move rows of `domain` and never those of `recipient`.
//
// domain.due and destination.due are never later than the earliest due time of the waiting recipients below them, and NULL only
// when there are none: what is due is found from the destinations down, and 100,000 messages behind a dead host are one row.
#include "store_sqlite/mail_store.h"

namespace hoplock::store_sqlite {
namespace {

constexpr std::string_view first_mail_tables = R"(
CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  received INTEGER NOT NULL,
  size INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  sender TEXT NOT NULL,
  client TEXT NOT NULL,
  envid TEXT
);
CREATE TABLE recipient (
  id INTEGER PRIMARY KEY,
  domain INTEGER NOT NULL,
  state INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  interval INTEGER NOT NULL,
  address TEXT NOT NULL,
  notify INTEGER NOT NULL,
  orcpt TEXT,
  last INTEGER,
  status TEXT,
  reply TEXT,
  reason TEXT,
  host TEXT
);
CREATE INDEX recipient_place ON recipient (domain, state, due);
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY,
  sum INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE TABLE draft (id INTEGER PRIMARY KEY);
CREATE TABLE domain (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  destination INTEGER NOT NULL,
  due INTEGER
);
CREATE INDEX domain_due ON domain (destination, due);
CREATE TABLE destination (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  due INTEGER,
  hold INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  interval INTEGER NOT NULL DEFAULT 0,
  last INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT '',
  reply TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  host TEXT NOT NULL DEFAULT ''
);
CREATE INDEX destination_wake ON destination (max(due, hold)) WHERE due IS NOT NULL;
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
)";

// history.h has the keys.
constexpr std::string_view history_tables = R"(
CREATE TABLE history (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  data TEXT NOT NULL
);
CREATE TABLE party (
  key INTEGER NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (key, message)
) WITHOUT ROWID;
)";

}  // namespace

std::vector<disk::Migration> mail_migrations() {
  disk::Migration first;
  first.name = "queue: first tables";
  first.sql = first_mail_tables;
  first.bulk = "chunk";
  return {first};
}

disk::Migration history_migration() {
  disk::Migration history;
  history.name = "queue: history";
  history.sql = history_tables;
  return history;
}

}  // namespace hoplock::store_sqlite
