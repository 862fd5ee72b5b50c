// SPDX-License-Identifier: Apache-2.0
// The ledger as the operator's tool reads it: a page at a time, with the role that only reads. Builds nothing that stays.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "postgres/blocking.h"
#include "store/readers.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresLedgerReader final : public store::LedgerReader {
 public:
  explicit PostgresLedgerReader(postgres::BlockingConnection connection) : connection_(std::move(connection)) {}

  Result<> list(ReportSelection selection, const std::function<void(const LedgerRow&)>& call) override;
  Result<std::optional<std::string>> show(const ReportKey& key, const tlsrpt::Submitter& submitter) override;
  Result<LedgerSummary> summary(tlsrpt::Day day) override;

 private:
  postgres::BlockingConnection connection_;
};

}  // namespace hoplock::store_postgres
