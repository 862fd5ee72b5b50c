// SPDX-License-Identifier: Apache-2.0
// The store of store_sqlite, in a directory of its own, over a file system that fails on demand.
#pragma once
#include <sqlite3.h>

#include <memory>

#include "store_sqlite/mail_store.h"
#include "tests/store/contract.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/temp_directory.h"

namespace hoplock::store::contract {

class Sqlite final : public Implementation {
 public:
  Sqlite() { open(); }
  MailStore& store() override { return *mail_; }
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
    options.migrations.push_back(store_sqlite::history_migration());
    disk_ = std::move(disk::Disk::open(loop.executor(), options).value());
    mail_ = std::make_unique<store_sqlite::SqliteMailStore>(*disk_);
  }

  support::TempDirectory directory_;
  support::FaultyVfs vfs_;
  std::unique_ptr<disk::Disk> disk_;
  std::unique_ptr<store_sqlite::SqliteMailStore> mail_;
};

}  // namespace hoplock::store::contract

// All implementations there are.
#define HOPLOCK_MAIL_STORES hoplock::store::contract::Sqlite
