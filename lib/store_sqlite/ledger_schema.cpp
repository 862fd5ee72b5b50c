// SPDX-License-Identifier: Apache-2.0
// The tables of the ledger. An account's sessions stand under the policies that applied to them (elements), what failed under its
// kind (details); both go when its report is built, which says the same. Numbers of types and states are those of their enums.
#include "store_sqlite/ledger.h"

namespace hoplock::store_sqlite {
namespace {

constexpr std::string_view ledger_tables = R"(
CREATE TABLE tlsrpt_account (
  id INTEGER PRIMARY KEY,
  day INTEGER NOT NULL,
  domain TEXT NOT NULL,
  tag TEXT NOT NULL,
  state INTEGER NOT NULL DEFAULT 0,
  sessions INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  elements INTEGER NOT NULL DEFAULT 0,
  octets INTEGER NOT NULL DEFAULT 0,
  details INTEGER NOT NULL DEFAULT 0,
  due INTEGER,
  since INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  UNIQUE (day, domain)
);
CREATE INDEX tlsrpt_account_due ON tlsrpt_account (due) WHERE due IS NOT NULL;
CREATE INDEX tlsrpt_account_collecting ON tlsrpt_account (day) WHERE state = 0;
CREATE TABLE tlsrpt_element (
  id INTEGER PRIMARY KEY,
  account INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  type INTEGER NOT NULL,
  domain TEXT NOT NULL,
  text TEXT NOT NULL,
  mx_host TEXT NOT NULL,
  successes INTEGER NOT NULL,
  failures INTEGER NOT NULL
);
CREATE INDEX tlsrpt_element_account ON tlsrpt_element (account, hash);
CREATE TABLE tlsrpt_detail (
  element INTEGER NOT NULL,
  type INTEGER NOT NULL,
  receiving_host TEXT NOT NULL,
  receiving_ip TEXT NOT NULL,
  receiving_helo TEXT NOT NULL,
  sending_ip TEXT NOT NULL,
  reason TEXT NOT NULL,
  information TEXT NOT NULL,
  sessions INTEGER NOT NULL,
  PRIMARY KEY (element, type, receiving_host, receiving_ip, receiving_helo, sending_ip, reason, information)
) WITHOUT ROWID;
CREATE TABLE tlsrpt_day (
  day INTEGER PRIMARY KEY,
  octets INTEGER NOT NULL,
  details INTEGER NOT NULL
);
CREATE TABLE tlsrpt_report (
  account INTEGER PRIMARY KEY,
  report_id TEXT NOT NULL,
  file_name TEXT NOT NULL,
  policies INTEGER NOT NULL,
  gzip BLOB NOT NULL
);
CREATE TABLE tlsrpt_destination (
  account INTEGER NOT NULL,
  rua TEXT NOT NULL,
  state INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next INTEGER,
  error TEXT NOT NULL,
  PRIMARY KEY (account, rua)
) WITHOUT ROWID;
)";

}  // namespace

std::vector<disk::Migration> ledger_migrations() {
  disk::Migration first;
  first.name = "reports: the ledger of TLS reports";
  first.sql = ledger_tables;
  return {first};
}

}  // namespace hoplock::store_sqlite
