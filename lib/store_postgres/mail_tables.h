// SPDX-License-Identifier: Apache-2.0
// The tables of mail. A recipient's row says which incarnation has leased it (`owner`, 0: nobody); what is accepted is born with an owner.
// There is no table of domains or destinations and no bound of due times, so nothing that one node could know better than another: what is
// due is found by the index recipient_due, from one destination to the next. A row of `hold` is there only while its destination fails.
//
// recipient_due has everything that waits: what is free under owner 0, and under each incarnation what it has. Of a message that is
// received and not yet committed there are chunks and a row of `draft`; draft.incarnation 0: whoever comes by drops it.
#pragma once
#include <string>
#include <vector>

#include "postgres/migrations.h"

namespace hoplock::store_postgres {

std::vector<postgres::Migration> mail_migrations();

// NodeOptions::free_leases of these tables.
std::vector<std::string> free_mail();

}  // namespace hoplock::store_postgres
