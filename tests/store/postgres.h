// SPDX-License-Identifier: Apache-2.0
// The stores of store_postgres, in a database of their own on a server that the whole test run shares, and that lets nothing be written on
// demand. As one node: a restart is the end of an incarnation, and the next one's registration under its name.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "postgres/database.h"
#include "store_postgres/ledger_store.h"
#include "store_postgres/mail_store.h"
#include "store_postgres/mail_tables.h"
#include "store_postgres/partner_store.h"
#include "store_postgres/policy_store.h"
#include "store_postgres/readers.h"
#include "store_postgres/statistics_store.h"
#include "store_postgres/tables.h"
#include "tests/store/contract.h"
#include "tests/support/memory_log.h"
#include "tests/support/postgres_server.h"

namespace hoplock::store::contract {

inline std::vector<postgres::Migration> postgres_migrations() {
  std::vector<postgres::Migration> all{postgres::node_tables()};
  for (auto part :
       {store_postgres::mail_migrations(), store_postgres::ledger_migrations(), store_postgres::policy_migrations(),
        store_postgres::partner_migrations(), store_postgres::statistics_migrations()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline postgres::NodeOptions postgres_node(const std::string& name) {
  postgres::NodeOptions node;
  node.name = name;
  node.watch = Milliseconds(100);
  node.free_leases = store_postgres::free_mail();
  for (std::string& one : store_postgres::free_claims()) node.free_leases.push_back(std::move(one));
  return node;
}

// One node of several: its incarnation, and the stores that it sees the database through. It leaves with its end.
class PostgresNode {
 public:
  PostgresNode(support::Loop& loop, const postgres::Options& options, const postgres::NodeOptions& node)
      : loop_(loop),
        database_(loop_.executor(), log_, options, node, postgres_migrations()),
        mail_(database_, mail_options(options)),
        policies_(database_),
        partners_(database_),
        ledger_(database_),
        statistics_(database_) {
    loop_.run(database_.start()).value();
  }
  // Its tasks refer to it, so they end first.
  ~PostgresNode() { loop_.run(database_.stop(std::chrono::steady_clock::now() + std::chrono::seconds(3))); }
  PostgresNode(const PostgresNode&) = delete;
  PostgresNode& operator=(const PostgresNode&) = delete;

  template <class T>
  Result<T> ask(asio::awaitable<Result<T>> operation) {
    return loop_.run(std::move(operation));
  }
  postgres::Database& database() { return database_; }
  MailStore& mail() { return mail_; }
  PolicyStore& policies() { return policies_; }
  PartnerStore& partners() { return partners_; }
  LedgerStore& ledger() { return ledger_; }
  StatisticsStore& statistics() { return statistics_; }

 private:
  static store_postgres::MailOptions mail_options(const postgres::Options& options) {
    store_postgres::MailOptions mail;
    mail.name = postgres::describe(options);
    return mail;
  }
  support::Loop& loop_;
  support::MemoryLog log_;
  postgres::Database database_;
  store_postgres::PostgresMailStore mail_;
  store_postgres::PostgresPolicyStore policies_;
  store_postgres::PostgresPartnerStore partners_;
  store_postgres::PostgresLedgerStore ledger_;
  store_postgres::PostgresStatisticsStore statistics_;
};

class Postgres final : public Implementation {
 public:
  Postgres() : name_("store" + std::to_string(++databases())) {
    server().sql("CREATE DATABASE " + name_);
    node_ = join("one");
  }
  ~Postgres() override { heal(); }
  MailStore& store() override { return node_->mail(); }
  PolicyStore& policies() override { return node_->policies(); }
  PartnerStore& partners() override { return node_->partners(); }
  LedgerStore& ledger() override { return node_->ledger(); }
  StatisticsStore& statistics() override { return node_->statistics(); }
  ReadersPtr readers() override { return store_postgres::readers_of(options()); }
  void restart() override {
    node_.reset();
    node_ = join("one");
  }
  void fail() override { server().set("default_transaction_read_only", "on"); }
  void heal() override { server().set("default_transaction_read_only", "off"); }

  PostgresNode& node() { return *node_; }
  // Another one at the same database. It goes before this.
  std::unique_ptr<PostgresNode> join(const std::string& name) {
    return std::make_unique<PostgresNode>(loop, options(), postgres_node(name));
  }
  postgres::Options options() const {
    postgres::Options options = server().options();
    options.url = "postgresql://hoplock@127.0.0.1:" + std::to_string(server().port()) + "/" + name_;
    options.synchronous = postgres::Synchronous::local;
    return options;
  }
  static support::PostgresServer& server() {
    static support::PostgresServer shared;
    return shared;
  }

 private:
  static int& databases() {
    static int count = 0;
    return count;
  }
  std::string name_;
  std::unique_ptr<PostgresNode> node_;
};

}  // namespace hoplock::store::contract
