// SPDX-License-Identifier: Apache-2.0
// The store of store_sqlite, in a directory of its own, over a file system that fails on demand.
#pragma once
#include <sqlite3.h>

#include <memory>

#include "store_sqlite/ledger.h"
#include "store_sqlite/ledger_store.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/partner_store.h"
#include "store_sqlite/partners.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/policy_store.h"
#include "store_sqlite/quota.h"
#include "store_sqlite/readers.h"
#include "store_sqlite/report_mails.h"
#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_store.h"
#include "tests/store/contract.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/temp_directory.h"

namespace hoplock::store::contract {

class Sqlite final : public Implementation {
 public:
  Sqlite() { open(); }
  MailStore& store() override { return *mail_; }
  PolicyStore& policies() override { return *policies_; }
  PartnerStore& partners() override { return *partners_; }
  LedgerStore& ledger() override { return *ledger_; }
  StatisticsStore& statistics() override { return *statistics_; }
  ReadersPtr readers() override { return store_sqlite::readers_of(disk_->path()); }
  void restart() override {
    mail_.reset();
    disk_.reset();
    open();
  }
  void fail() override {
    vfs_.plan().error = SQLITE_FULL;
    vfs_.plan().writes_until_failure = 0;
  }
  void heal() override { vfs_.heal(); }

 private:
  void open() {
    disk::Options options;
    options.directory = directory_.path();
    options.migrations = store_sqlite::mail_migrations();
    for (const auto& more : store_sqlite::policy_migrations()) options.migrations.push_back(more);
    for (const auto& more : store_sqlite::ledger_migrations()) options.migrations.push_back(more);
    for (const auto& more : store_sqlite::quota_migrations()) options.migrations.push_back(more);
    options.migrations.push_back(store_sqlite::history_migration());
    options.migrations.push_back(store_sqlite::report_mail_migration());
    options.migrations.push_back(store_sqlite::statistics_migration());
    options.migrations.push_back(store_sqlite::statistics_batch_migration());
    options.migrations.push_back(store_sqlite::refused_migration());
    options.migrations.push_back(store_sqlite::partner_migration());
    disk_ = std::move(disk::Disk::open(loop.executor(), options).value());
    mail_ = std::make_unique<store_sqlite::SqliteMailStore>(*disk_);
    policies_ = std::make_unique<store_sqlite::SqlitePolicyStore>(*disk_);
    partners_ = std::make_unique<store_sqlite::SqlitePartnerStore>(*disk_);
    ledger_ = std::make_unique<store_sqlite::SqliteLedgerStore>(*disk_);
    statistics_ = std::make_unique<store_sqlite::SqliteStatisticsStore>(*disk_);
  }

  support::TempDirectory directory_;
  support::FaultyVfs vfs_;
  std::unique_ptr<disk::Disk> disk_;
  std::unique_ptr<store_sqlite::SqliteMailStore> mail_;
  std::unique_ptr<store_sqlite::SqlitePolicyStore> policies_;
  std::unique_ptr<store_sqlite::SqlitePartnerStore> partners_;
  std::unique_ptr<store_sqlite::SqliteLedgerStore> ledger_;
  std::unique_ptr<store_sqlite::SqliteStatisticsStore> statistics_;
};

}  // namespace hoplock::store::contract
