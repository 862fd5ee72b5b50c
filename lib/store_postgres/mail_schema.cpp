// SPDX-License-Identifier: Apache-2.0
// The plain `history` is pruned by rows: partitions by day would be dropped whole, but must be made ahead of time by somebody.
#include "store_postgres/mail_tables.h"

namespace hoplock::store_postgres {
namespace {

const std::vector<std::string_view> tables{
    R"(CREATE TABLE mark (name text PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 20))",
    R"(CREATE TABLE message (
  id bigint PRIMARY KEY,
  received bigint NOT NULL,
  size bigint NOT NULL,
  chunks integer NOT NULL,
  recipients integer NOT NULL,
  flags integer NOT NULL,
  slot smallint NOT NULL,
  sender text NOT NULL,
  client text NOT NULL,
  envid text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0))",
    R"(CREATE TABLE chunk (
  message bigint NOT NULL,
  n integer NOT NULL,
  sum bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (message, n)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000, toast.autovacuum_vacuum_cost_delay = 0))",
    // out of line, and no attempt to compress
    R"(ALTER TABLE chunk ALTER COLUMN data SET STORAGE EXTERNAL)",
    R"(CREATE TABLE draft (message bigint PRIMARY KEY, incarnation bigint NOT NULL))",
    R"(CREATE TABLE hold (
  destination text COLLATE "C" PRIMARY KEY,
  until bigint NOT NULL,
  failures integer NOT NULL,
  interval bigint NOT NULL,
  last bigint NOT NULL,
  status text NOT NULL,
  reply text NOT NULL,
  reason text NOT NULL,
  host text NOT NULL
) WITH (fillfactor = 50))",
    R"(CREATE TABLE recipient (
  message bigint NOT NULL,
  due bigint NOT NULL,
  owner bigint NOT NULL,
  lease bigint NOT NULL DEFAULT 0,
  interval bigint NOT NULL DEFAULT 0,
  last bigint,
  seq integer NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  state smallint NOT NULL DEFAULT 0,
  notify smallint NOT NULL,
  domain text COLLATE "C" NOT NULL,
  destination text COLLATE "C" NOT NULL,
  address text NOT NULL,
  orcpt text,
  status text,
  reply text,
  reason text,
  host text,
  PRIMARY KEY (message, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0))",
    R"(CREATE INDEX recipient_due ON recipient (owner, destination, due, message) WHERE state <= 1)",
    R"(CREATE INDEX recipient_domain ON recipient (domain, message))",
    // few: held or removed while an attempt was under way
    R"(CREATE INDEX recipient_leased ON recipient (owner) WHERE owner <> 0 AND state > 1)",
    R"(CREATE INDEX recipient_removed ON recipient (message) WHERE state = 6)",
    R"(CREATE TABLE history (
  message bigint NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  at bigint NOT NULL,
  slot smallint NOT NULL,
  data text NOT NULL,
  PRIMARY KEY (message, id)
))",
    R"(CREATE TABLE party (
  key bigint NOT NULL,
  message bigint NOT NULL,
  PRIMARY KEY (key, message)
))",
    R"(CREATE INDEX party_message ON party (message))",
};

}  // namespace

std::vector<postgres::Migration> mail_migrations() {
  postgres::Migration first;
  first.name = "mail: first tables";
  first.statements = tables;
  return {first};
}

std::vector<std::string> free_mail() {
  return {
      "UPDATE recipient SET owner = 0 WHERE owner = $1 AND state <= 1",
      "UPDATE recipient SET owner = 0 WHERE owner = $1 AND owner <> 0 AND state > 1",
      // their chunks may be many: whoever comes by drops them, a part at a time
      "UPDATE draft SET incarnation = 0 WHERE incarnation = $1",
  };
}

}  // namespace hoplock::store_postgres
