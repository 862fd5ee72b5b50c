// SPDX-License-Identifier: Apache-2.0
// A shared database as what mail is copied into. Nodes may run on it meanwhile: a message is there as a whole, or not at all.
#pragma once
#include <memory>

#include "postgres/blocking.h"
#include "store/copied.h"

namespace hoplock::store_postgres {

// REQUIRES: the database has all its tables. Waits while another copy into it runs. Each page is proved as `synchronous` has it.
Result<std::unique_ptr<store::CopyTarget>> copy_target(postgres::BlockingConnection connection,
                                                       postgres::Synchronous synchronous);
// Error io_error: no synchronous standby, where one is required.
Result<> check_standby(postgres::BlockingConnection& connection, postgres::Synchronous synchronous);

}  // namespace hoplock::store_postgres
