// SPDX-License-Identifier: Apache-2.0
// The table of partners as the operator's tool reads it: a page at a time, with the role that only reads.
#pragma once
#include <functional>
#include <vector>

#include "postgres/blocking.h"
#include "store/readers.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresPartnerReader final : public store::PartnerReader {
 public:
  explicit PostgresPartnerReader(postgres::BlockingConnection connection) : connection_(std::move(connection)) {}

  Result<> list(const std::function<void(const partners::Entry&)>& call) override;
  Result<std::vector<partners::Entry>> find(const dns::Name& domain) override;
  Result<std::vector<partners::Entry>> find(const dns::Pattern& pattern) override;

 private:
  Result<std::vector<partners::Entry>> find(const std::vector<std::string>& patterns);

  postgres::BlockingConnection connection_;
};

}  // namespace hoplock::store_postgres
