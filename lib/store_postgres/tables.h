// SPDX-License-Identifier: Apache-2.0
// The tables beside those of mail (mail_tables.h), as migrations: one list for each owner, in the order in which they came to be.
#pragma once
#include <string>
#include <vector>

#include "postgres/migrations.h"

namespace hoplock::store_postgres {

std::vector<postgres::Migration> ledger_migrations();
std::vector<postgres::Migration> policy_migrations();
std::vector<postgres::Migration> partner_migrations();
std::vector<postgres::Migration> statistics_migrations();

// NodeOptions::free_leases of these tables: what an incarnation that is dead, $1, had claimed is free again.
std::vector<std::string> free_claims();

}  // namespace hoplock::store_postgres
