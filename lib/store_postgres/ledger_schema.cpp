// SPDX-License-Identifier: Apache-2.0
// The tables of the ledger. What nodes count goes into rows of their own (`slot`), so that none waits for another; what they held together
// is added up when it is read. An account's sessions stand under the policies that applied to them (elements), what failed under its kind
// (details); both go when its report is built, which says the same. Their keys are hashes of the texts, which are longer than an index
// takes. Numbers of types and states are those of their enums.
#include "store_postgres/tables.h"

namespace hoplock::store_postgres {
namespace {

// One statement each.
const std::vector<std::string_view> ledger_tables{
    R"(CREATE TABLE tlsrpt_account (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  day integer NOT NULL,
  domain text COLLATE "C" NOT NULL,
  tag text NOT NULL,
  state smallint NOT NULL DEFAULT 0,
  due bigint,
  since bigint,
  attempts integer NOT NULL DEFAULT 0,
  error text NOT NULL DEFAULT '',
  owner bigint NOT NULL DEFAULT 0,
  UNIQUE (domain, day)
) WITH (fillfactor = 80))",
    R"(CREATE INDEX tlsrpt_account_day ON tlsrpt_account (day, domain))",
    R"(CREATE INDEX tlsrpt_account_due ON tlsrpt_account (due) WHERE due IS NOT NULL)",
    R"(CREATE INDEX tlsrpt_account_collecting ON tlsrpt_account (day, id) WHERE state = 0)",
    R"(CREATE INDEX tlsrpt_account_owner ON tlsrpt_account (owner) WHERE owner <> 0)",
    R"(CREATE TABLE tlsrpt_count (
  account bigint NOT NULL,
  slot smallint NOT NULL,
  sessions bigint NOT NULL DEFAULT 0,
  failures bigint NOT NULL DEFAULT 0,
  elements bigint NOT NULL DEFAULT 0,
  octets bigint NOT NULL DEFAULT 0,
  details bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (account, slot)
) WITH (fillfactor = 50))",
    R"(CREATE TABLE tlsrpt_element (
  account bigint NOT NULL,
  slot smallint NOT NULL,
  key bytea NOT NULL,
  type smallint NOT NULL,
  domain text NOT NULL,
  text text NOT NULL,
  mx_host text NOT NULL,
  successes bigint NOT NULL,
  failures bigint NOT NULL,
  PRIMARY KEY (account, slot, key)
) WITH (fillfactor = 50))",
    R"(CREATE TABLE tlsrpt_detail (
  account bigint NOT NULL,
  slot smallint NOT NULL,
  element bytea NOT NULL,
  key bytea NOT NULL,
  type smallint NOT NULL,
  receiving_host text NOT NULL,
  receiving_ip text NOT NULL,
  receiving_helo text NOT NULL,
  sending_ip text NOT NULL,
  reason text NOT NULL,
  information text NOT NULL,
  sessions bigint NOT NULL,
  PRIMARY KEY (account, slot, element, key)
) WITH (fillfactor = 50))",
    R"(CREATE TABLE tlsrpt_day (
  day integer NOT NULL,
  slot smallint NOT NULL,
  octets bigint NOT NULL,
  details bigint NOT NULL,
  PRIMARY KEY (day, slot)
) WITH (fillfactor = 20))",
    R"(CREATE TABLE tlsrpt_report (
  account bigint PRIMARY KEY,
  report_id text NOT NULL,
  file_name text NOT NULL,
  policies integer NOT NULL,
  gzip bytea NOT NULL
))",
    R"(ALTER TABLE tlsrpt_report ALTER COLUMN gzip SET STORAGE EXTERNAL)",
    R"(CREATE TABLE tlsrpt_destination (
  account bigint NOT NULL,
  key bytea NOT NULL,
  rua text COLLATE "C" NOT NULL,
  state smallint NOT NULL,
  attempts integer NOT NULL,
  next bigint,
  error text NOT NULL,
  PRIMARY KEY (account, key)
))",
    R"(CREATE TABLE tlsrpt_mail (
  mail bigint PRIMARY KEY,
  account bigint NOT NULL,
  rua text COLLATE "C" NOT NULL
))",
    R"(CREATE INDEX tlsrpt_mail_account ON tlsrpt_mail (account))",
    R"(CREATE TABLE tlsrpt_quota (
  day integer NOT NULL,
  target text COLLATE "C" NOT NULL,
  reports bigint NOT NULL,
  octets bigint NOT NULL,
  PRIMARY KEY (day, target)
))",
};

}  // namespace

std::vector<postgres::Migration> ledger_migrations() {
  postgres::Migration first;
  first.name = "reports: the ledger of TLS reports";
  first.statements = ledger_tables;
  return {first};
}

}  // namespace hoplock::store_postgres
