// SPDX-License-Identifier: Apache-2.0
// The kept MTA-STS policies as the operator's tool reads them: a page at a time, with the role that only reads.
#pragma once
#include <functional>
#include <optional>

#include "postgres/blocking.h"
#include "store/readers.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresPolicyReader final : public store::PolicyReader {
 public:
  explicit PostgresPolicyReader(postgres::BlockingConnection connection) : connection_(std::move(connection)) {}

  Result<> list(const std::function<void(const PolicyRow&)>& call) override;
  Result<std::optional<PolicyRow>> find(const dns::Name& domain) override;
  Result<PolicySummary> summary(Time now) override;

 private:
  postgres::BlockingConnection connection_;
};

}  // namespace hoplock::store_postgres
