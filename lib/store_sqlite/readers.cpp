// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/readers.h"

#include <utility>

#include "store_sqlite/ledger_reader.h"
#include "store_sqlite/mail_reader.h"
#include "store_sqlite/partner_reader.h"
#include "store_sqlite/policy_reader.h"
#include "store_sqlite/statistics_reader.h"

namespace hoplock::store_sqlite {

namespace {

template <class Interface, class Reader>
Result<std::unique_ptr<Interface>> moved(Result<Reader> reader) {
  if (!reader) return reader.error();
  return std::unique_ptr<Interface>(std::make_unique<Reader>(std::move(*reader)));
}

class SqliteReaders final : public store::Readers {
 public:
  explicit SqliteReaders(std::filesystem::path database) : database_(std::move(database)) {}
  Result<std::unique_ptr<store::MailReader>> mail() const override {
    return moved<store::MailReader>(SqliteMailReader::open(database_));
  }
  Result<std::unique_ptr<store::PolicyReader>> policies() const override {
    return moved<store::PolicyReader>(SqlitePolicyReader::open(database_));
  }
  Result<std::unique_ptr<store::PartnerReader>> partners() const override {
    return moved<store::PartnerReader>(SqlitePartnerReader::open(database_));
  }
  Result<std::unique_ptr<store::LedgerReader>> ledger() const override {
    return moved<store::LedgerReader>(SqliteLedgerReader::open(database_));
  }
  Result<std::unique_ptr<store::StatisticsReader>> statistics() const override {
    return moved<store::StatisticsReader>(SqliteStatisticsReader::open(database_));
  }

 private:
  std::filesystem::path database_;
};

}  // namespace

store::ReadersPtr readers_of(std::filesystem::path database) {
  return std::make_shared<const SqliteReaders>(std::move(database));
}

}  // namespace hoplock::store_sqlite
