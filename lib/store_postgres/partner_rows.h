// SPDX-License-Identifier: Apache-2.0
// Rows of partners, and the statements that give them. For this module's own sources.
#pragma once
#include <string>
#include <string_view>

#include "postgres/batch.h"
#include "store/partner_store.h"
#include "store/stored_partner.h"

namespace hoplock::store_postgres {

using namespace store;

// Of each entry the row of its latest committed batch: the columns that partner_of() reads, and `gone` behind them. `condition`: what
// follows AND, of the row as `p`.
std::string select_partners(std::string_view condition);
// Error bad_message: a row that is none of ours, so that nobody knows what was agreed on.
Result<partners::Entry> partner_of(const postgres::Row& row);
// $1 and $2 are a domain and a rule, $3 a number of rows.
postgres::Statement select_partner_page(const PartnerAt& after, std::size_t limit);
Result<PartnerPage> partner_page_of(const postgres::Rows& rows, std::size_t limit);

}  // namespace hoplock::store_postgres
