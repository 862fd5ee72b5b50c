// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/readers.h"

#include <utility>

#include "postgres/blocking.h"
#include "postgres/migrations.h"
#include "store_postgres/ledger_reader.h"
#include "store_postgres/mail_reader.h"
#include "store_postgres/partner_reader.h"
#include "store_postgres/policy_reader.h"
#include "store_postgres/statistics_reader.h"

namespace hoplock::store_postgres {

namespace {

constexpr Milliseconds patience{10'000};  // to connect

class PostgresReaders final : public store::Readers {
 public:
  explicit PostgresReaders(postgres::Options options) : options_(std::move(options)) {}
  bool is_shared() const override { return true; }
  Result<std::unique_ptr<store::MailReader>> mail() const override {
    return open<store::MailReader, PostgresMailReader>();
  }
  Result<std::unique_ptr<store::PolicyReader>> policies() const override {
    return open<store::PolicyReader, PostgresPolicyReader>();
  }
  Result<std::unique_ptr<store::PartnerReader>> partners() const override {
    return open<store::PartnerReader, PostgresPartnerReader>();
  }
  Result<std::unique_ptr<store::LedgerReader>> ledger() const override {
    return open<store::LedgerReader, PostgresLedgerReader>();
  }
  Result<std::unique_ptr<store::StatisticsReader>> statistics() const override {
    return open<store::StatisticsReader, PostgresStatisticsReader>();
  }

 private:
  template <class Interface, class Reader>
  Result<std::unique_ptr<Interface>> open() const {
    auto connection = postgres::BlockingConnection::open(options_, postgres::Use::read_only, patience);
    if (!connection) return connection.error();
    const auto meta = postgres::examine(*connection);
    if (!meta) return meta.error();
    if (meta->version == 0)
      return fail(errc::no_such_file_or_directory, postgres::describe(options_) + ": no store of hoplock");
    return std::unique_ptr<Interface>(std::make_unique<Reader>(std::move(*connection)));
  }

  postgres::Options options_;
};

}  // namespace

store::ReadersPtr readers_of(postgres::Options options) {
  return std::make_shared<const PostgresReaders>(std::move(options));
}

}  // namespace hoplock::store_postgres
